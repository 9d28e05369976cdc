//! Event streams that break off, that nothing happens on, and logs with damage in them.

use serde_json::{Value, json};
use test_support::{Socket, TestServer};
use tokio::time::timeout;

use crate::streams::{Stream, TIMEOUT, conversation, say};

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_lost_before_its_first_event_loses_nothing() {
    let server = TestServer::start().await;
    let id = conversation(&server, json!({})).await;
    let path = format!("/conversations/{id}/events/stream");
    // Nothing is logged yet, and then something is.
    for _ in 0..2 {
        let before = server.events(&id).await;
        let mut live = Stream::open(&server, &path, None).await;
        assert_eq!(live.next().await.unwrap().data["key"], "full_state");
        let last = live.last.take().unwrap();
        assert_eq!(last, (before.len() as i64 - 1).to_string());
        drop(live);
        for number in 0..3 {
            say(&server, &id, &format!("number {number}")).await;
        }
        let all = server.events(&id).await;
        let missed = &all[before.len()..];
        let mut back = Stream::open(&server, &path, Some(&last)).await;
        let told = back.logged(missed.len()).await;
        let told: Vec<Value> = told.into_iter().map(|sent| sent.data).collect();
        assert_eq!(told, missed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_on_which_nothing_happens_stays_alive() {
    let server = TestServer::with(|settings| {
        settings.socket_ping_interval_seconds = std::num::NonZeroU64::MIN;
    })
    .await;
    let id = conversation(&server, json!({})).await;
    let path = format!("/conversations/{id}/events/stream");
    for path in [path.as_str(), "/events/stream"] {
        let mut stream = Stream::open(&server, path, None).await;
        stream.next().await.unwrap();
        let beating = async {
            while !stream.text.contains(": still here\n\n") {
                let chunk = stream.response.chunk().await.unwrap().unwrap();
                stream.text += std::str::from_utf8(&chunk).unwrap();
            }
        };
        timeout(TIMEOUT, beating).await.unwrap();
        // The comment is no event.
        say(&server, &id, "hello").await;
        assert!(stream.next().await.unwrap().id.is_some());
        assert!(stream.comments > 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn followers_continue_after_a_damaged_line() {
    let server = TestServer::start().await;
    let id = conversation(&server, json!({})).await;
    for number in 0..4 {
        say(&server, &id, &format!("number {number}")).await;
    }
    let events = server.events(&id).await;
    let damaged = events.len() - 3;
    let log = server.folder(&id).join("events.jsonl");
    let left = server.stop().await;
    let text = std::fs::read_to_string(&log).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines[damaged].replace_range(0..1, "#");
    std::fs::write(&log, lines.join("\n") + "\n").unwrap();
    let server = TestServer::start_in(left).await;
    let whole = |seq: &usize| *seq != damaged;
    let expected: Vec<(String, Value)> = (0..events.len())
        .filter(whole)
        .map(|seq| (seq.to_string(), events[seq].clone()))
        .collect();

    let path = format!("/conversations/{id}/events/stream?after_seq=-1");
    let mut stream = Stream::open(&server, &path, None).await;
    let told = stream.logged(expected.len()).await;
    let told: Vec<_> = told
        .into_iter()
        .map(|sent| (sent.id.unwrap(), sent.data))
        .collect();
    assert_eq!(told, expected);

    let path = format!("/sockets/session/{id}?after_seq=-1");
    let mut session = Socket::connect(&server.socket_url(&path), &[]).await;
    let mut plain = server.follow_with(&id, "?resend_mode=all").await;
    let mut all = Stream::open(&server, "/events/stream?cursor=beginning", None).await;
    let (mut in_session, mut in_plain, mut in_all) = (Vec::new(), Vec::new(), Vec::new());
    while in_session.len() < expected.len() {
        let frame = session.json().await;
        if frame["type"] == "durable" {
            in_session.push((frame["seq"].to_string(), frame["event"].clone()));
        }
    }
    while in_plain.len() < expected.len() {
        let event = plain.json().await;
        if event["key"] != "full_state" {
            in_plain.push(event);
        }
    }
    while in_all.len() < expected.len() {
        let data = all.next().await.unwrap().data;
        if data["type"] == "durable" {
            in_all.push((data["seq"].to_string(), data["event"].clone()));
        }
    }
    assert_eq!(in_session, expected);
    assert_eq!(in_all, expected);
    let bare: Vec<Value> = expected.into_iter().map(|(_, event)| event).collect();
    assert_eq!(in_plain, bare);
}
