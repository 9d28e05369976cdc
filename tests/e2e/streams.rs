//! Event streams, sockets with positions, and the feed over all conversations.

use std::{collections::HashMap, time::Duration};

use reqwest::{Method, Response};
use serde_json::{Value, json};
use test_support::{Socket, TestServer};
use tokio::time::timeout;

pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// A client of Server-Sent Events, as plain as `EventSource`.
pub(crate) struct Stream {
    pub(crate) response: Response,
    pub(crate) text: String,
    /// Where it would continue.
    pub(crate) last: Option<String>,
    pub(crate) comments: usize,
}

#[derive(Debug, Default, PartialEq)]
pub(crate) struct Sent {
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) data: Value,
}

impl Stream {
    pub(crate) async fn open(server: &TestServer, path: &str, last: Option<&str>) -> Self {
        let mut request = server.request(Method::GET, path);
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        let headers = response.headers();
        assert_eq!(headers["content-type"], "text/event-stream");
        assert_eq!(headers["cache-control"], "no-store");
        assert!(headers.get("content-encoding").is_none());
        Self {
            response,
            text: String::new(),
            last: last.map(str::to_owned),
            comments: 0,
        }
    }

    /// The next block with data; none at the end. Comments and the like are passed over.
    pub(crate) async fn next(&mut self) -> Option<Sent> {
        loop {
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let mut sent = Sent::default();
                for line in block.lines() {
                    self.comments += usize::from(line.starts_with(':'));
                    match line.split_once(": ") {
                        Some(("id", id)) => sent.id = Some(id.to_owned()),
                        Some(("event", name)) => sent.name = Some(name.to_owned()),
                        Some(("data", data)) => sent.data = serde_json::from_str(data).unwrap(),
                        other => assert!(matches!(other, Some(("retry" | "", _))), "{line}"),
                    }
                }
                self.text = rest.to_owned();
                if sent.id.is_some() {
                    self.last.clone_from(&sent.id);
                }
                if !sent.data.is_null() {
                    return Some(sent);
                }
            }
            // Looked at again only when blocks are whole: some have many megabytes.
            while !self.text.ends_with("\n\n") {
                let chunk = timeout(TIMEOUT, self.response.chunk()).await.unwrap();
                self.text += std::str::from_utf8(&chunk.unwrap()?).unwrap();
            }
        }
    }

    /// The next so many with an id.
    pub(crate) async fn logged(&mut self, count: usize) -> Vec<Sent> {
        let mut found = Vec::new();
        while found.len() < count {
            let sent = self.next().await.unwrap();
            let passing = ["sync", "created"].contains(&sent.data["type"].as_str().unwrap_or(""));
            if sent.id.is_some() && !passing {
                found.push(sent);
            }
        }
        found
    }
}

pub(crate) async fn conversation(server: &TestServer, tags: Value) -> String {
    let (_, made) = server.post("/conversations", &json!({"tags": tags})).await;
    made["id"].as_str().unwrap().to_owned()
}

pub(crate) async fn say(server: &TestServer, id: &str, text: &str) {
    let body = json!({"role": "user", "content": text, "run": false});
    let path = format!("/conversations/{id}/events");
    assert_eq!(server.post(&path, &body).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_has_each_event_at_its_place_and_continues_after_the_last_one_seen() {
    let server = TestServer::start().await;
    let id = conversation(&server, json!({})).await;
    for number in 0..10 {
        say(&server, &id, &format!("number {number}")).await;
    }
    let events = server.events(&id).await;
    for prefix in ["", "/api"] {
        let path = format!("{prefix}/conversations/{id}/events/stream");
        let mut all = Stream::open(&server, &format!("{path}?after_seq=-1"), None).await;
        for (seq, event) in events.iter().enumerate() {
            let sent = all.next().await.unwrap();
            let expected = Sent {
                id: Some(seq.to_string()),
                name: None,
                data: event.clone(),
            };
            assert_eq!(sent, expected);
        }
        // What is not logged has no id, so that a resumed stream forgets nothing.
        let snapshot = all.next().await.unwrap();
        assert_eq!(
            (snapshot.id, &snapshot.data["key"]),
            (None, &json!("full_state"))
        );

        let mut rest = Stream::open(&server, &path, Some("4")).await;
        assert_eq!(rest.next().await.unwrap().data, events[5]);
        let mut rest = Stream::open(&server, &format!("{path}?after_seq=7"), None).await;
        assert_eq!(rest.next().await.unwrap().data, events[8]);
        let mut live = Stream::open(&server, &path, None).await;
        assert_eq!(live.next().await.unwrap().data["key"], "full_state");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_meets_live_without_gap_or_double_while_others_write() {
    let server = TestServer::start().await;
    let id = conversation(&server, json!({})).await;
    say(&server, &id, "the first").await;
    let writing = async {
        for number in 0..60 {
            say(&server, &id, &format!("number {number}")).await;
        }
    };
    let reading = async {
        let mut seen: Vec<Value> = Vec::new();
        let path = format!("/conversations/{id}/events/stream");
        // Comes back every few events, as after a lost connection.
        while seen.len() < 100 {
            let last = seen.len().checked_sub(1).map(|last| last.to_string());
            let begin = if last.is_none() { "?after_seq=-1" } else { "" };
            let url = format!("{path}{begin}");
            let mut stream = Stream::open(&server, &url, last.as_deref()).await;
            for sent in stream.logged(7).await {
                assert_eq!(sent.id, Some(seen.len().to_string()));
                seen.push(sent.data);
            }
        }
        seen
    };
    let (_, seen) = tokio::join!(writing, reading);
    assert_eq!(seen, server.events(&id).await[..seen.len()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_says_why_it_ends() {
    let server = TestServer::start().await;
    let id = conversation(&server, json!({})).await;
    let path = format!("/conversations/{id}/events/stream");
    let mut stream = Stream::open(&server, &path, None).await;
    stream.next().await.unwrap();
    server.delete(&format!("/conversations/{id}")).await;
    let end = stream.next().await.unwrap();
    assert_eq!(
        (end.name.as_deref(), &end.data["code"]),
        (Some("end"), &json!(4004))
    );
    assert_eq!(stream.next().await, None);
    assert_eq!(server.get(&path).await.0, 404);

    let mut all = Stream::open(&server, "/events/stream", None).await;
    assert_eq!(all.next().await.unwrap().data["type"], "sync");
    let stop = server.stop();
    let (_, end) = tokio::join!(stop, all.next());
    let end = end.unwrap();
    assert_eq!(
        (end.name.as_deref(), &end.data["code"]),
        (Some("end"), &json!(1001))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_parameters_of_a_stream_are_refused() {
    let server = TestServer::with(|settings| {
        settings.max_sockets_per_conversation = std::num::NonZeroUsize::MIN;
    })
    .await;
    let id = conversation(&server, json!({})).await;
    let path = format!("/conversations/{id}/events/stream");
    for query in ["after_seq=-2", "after_seq=x", "resend_mode=some"] {
        assert_eq!(
            server.get(&format!("{path}?{query}")).await.0,
            422,
            "{query}"
        );
    }
    for query in ["cursor=x", "conversation_id=x"] {
        let (status, _) = server.get(&format!("/events/stream?{query}")).await;
        assert_eq!(status, 422, "{query}");
    }
    let bad_id = server
        .request(Method::GET, &path)
        .header("Last-Event-ID", "-2");
    assert_eq!(bad_id.send().await.unwrap().status(), 422);
    let bad_id = server
        .request(Method::GET, &path)
        .header("Last-Event-ID", "x");
    assert_eq!(bad_id.send().await.unwrap().status(), 422);
    for foreign in ["00000000000000aa-0-0", "00000000000000aa-999999-0"] {
        let asked = server
            .request(Method::GET, &format!("/events/stream?cursor={foreign}"))
            .send()
            .await
            .unwrap();
        assert_eq!(asked.status(), 410);
        assert_eq!(asked.headers()["x-error-code"], "cursor_expired");
    }
    let _one = Stream::open(&server, &path, None).await;
    let crowded = server.request(Method::GET, &path).send().await.unwrap();
    assert_eq!(crowded.status(), 503);
    assert_eq!(crowded.headers()["x-error-code"], "too_many_followers");
    let head = server
        .request(Method::HEAD, "/events/stream")
        .send()
        .await
        .unwrap();
    assert_eq!(head.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_with_positions_syncs_replays_and_continues() {
    let server = TestServer::start().await;
    let id = conversation(&server, json!({})).await;
    for number in 0..3 {
        say(&server, &id, &format!("number {number}")).await;
    }
    let events = server.events(&id).await;
    let last = events.len() - 1;
    for path in [
        format!("/sockets/session/{id}"),
        format!("/conversations/{id}/events/session"),
    ] {
        let url = server.socket_url(&format!("{path}?after_seq=1"));
        let mut socket = Socket::connect(&url, &[]).await;
        let sync = json!({"type": "sync", "from_seq": 2, "through_seq": last});
        assert_eq!(socket.json().await, sync);
        for (seq, event) in events.iter().enumerate().skip(2) {
            let frame = json!({"type": "durable", "seq": seq, "event": event});
            assert_eq!(socket.json().await, frame);
        }
        let snapshot = socket.json().await;
        assert_eq!(snapshot["type"], "transient");
        assert_eq!(snapshot["event"]["key"], "full_state");
        socket.send_text("nonsense").await;
        let error = socket.json().await;
        assert_eq!(
            (&error["type"], &error["code"]),
            (&json!("error"), &json!("JSONDecodeError"))
        );

        let mut live = Socket::connect(&server.socket_url(&path), &[]).await;
        assert_eq!(
            live.json().await,
            json!({"type": "sync", "through_seq": last})
        );
        assert_eq!(live.json().await["type"], "transient");
    }
    let mut socket =
        Socket::connect(&server.socket_url(&format!("/sockets/session/{id}")), &[]).await;
    socket
        .send(&json!({"type": "message", "content": "$ echo hi"}))
        .await;
    let frames = socket
        .until(|frame| frame["event"]["value"]["execution_status"] == "finished")
        .await;
    let seqs: Vec<u64> = frames
        .iter()
        .filter_map(|frame| frame["seq"].as_u64())
        .collect();
    let expected: Vec<u64> = (events.len() as u64..).take(seqs.len()).collect();
    assert!(seqs.len() > 3);
    assert_eq!(seqs, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_stream_follows_all_conversations_across_a_restart() {
    let server = TestServer::start().await;
    let mut stream = Stream::open(&server, "/events/stream", None).await;
    let sync = stream.next().await.unwrap();
    assert_eq!(sync.data["type"], "sync");
    let mut cursor = sync.id.unwrap();
    assert_eq!(sync.data["cursor"], cursor.as_str());
    let ids = [
        conversation(&server, json!({})).await,
        conversation(&server, json!({})).await,
    ];
    for number in 0..6 {
        say(&server, &ids[number % 2], "hello").await;
    }
    let mut seen: HashMap<String, Vec<Value>> = HashMap::new();
    let mut take = |sent: Sent, cursor: &mut String| {
        let Sent { id, data, .. } = sent;
        assert_eq!(
            (&data["type"], &data["cursor"]),
            (&json!("durable"), &json!(id))
        );
        let of = seen.entry(data["conversation_id"].as_str().unwrap().to_owned());
        let events = of.or_default();
        assert_eq!(data["seq"], events.len());
        events.push(data["event"].clone());
        *cursor = id.unwrap();
    };
    for sent in stream.logged(5).await {
        take(sent, &mut cursor);
    }
    drop(stream);
    // The rest after a restart, from the cursor; then live over the socket.
    let server = server.restart().await;
    let total: usize = {
        let (a, b) = (server.events(&ids[0]).await, server.events(&ids[1]).await);
        a.len() + b.len()
    };
    let mut stream = Stream::open(&server, "/api/events/stream", Some(&cursor)).await;
    for sent in stream.logged(total - 5).await {
        take(sent, &mut cursor);
    }
    for id in &ids {
        assert_eq!(seen[id], server.events(id).await);
    }
    for path in ["/events/socket", "/sockets/events"] {
        let url = server.socket_url(&format!("{path}?cursor={cursor}"));
        let mut socket = Socket::connect(&url, &[]).await;
        assert_eq!(socket.json().await["type"], "sync");
        say(&server, &ids[1], "live").await;
        let frame = socket.json().await;
        assert_eq!(
            (&frame["type"], &frame["conversation_id"]),
            (&json!("durable"), &json!(ids[1]))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_feed_expires_its_cursors_and_a_new_one_tells_what_is_stored() {
    let server = TestServer::start().await;
    let mut stream = Stream::open(&server, "/events/stream", None).await;
    let cursor = stream.next().await.unwrap().id.unwrap();
    let id = conversation(&server, json!({})).await;
    let created = stream.next().await.unwrap();
    assert_eq!(
        (&created.data["type"], &created.data["conversation_id"]),
        (&json!("created"), &json!(id))
    );
    say(&server, &id, "hello").await;
    let events = server.events(&id).await;
    let feed = server.folder(&id).parent().unwrap().join(".feed");
    let left = server.stop().await;
    std::fs::remove_file(feed).unwrap();
    let server = TestServer::start_in(left).await;
    let path = format!("/events/stream?cursor={cursor}");
    let asked = server.request(Method::GET, &path).send().await.unwrap();
    assert_eq!(asked.status(), 410);
    assert_eq!(asked.headers()["x-error-code"], "cursor_expired");
    let url = server.socket_url(&format!("/events/socket?cursor={cursor}"));
    assert_eq!(Socket::connect(&url, &[]).await.close_code().await, 4410);
    let mut again = Stream::open(&server, "/events/stream?cursor=beginning", None).await;
    for (sent, event) in again.logged(events.len()).await.iter().zip(&events) {
        assert_eq!(&sent.data["event"], event);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_leaves_events_out_and_a_deletion_is_sent() {
    let server = TestServer::start().await;
    let blue = conversation(&server, json!({"team": "blue"})).await;
    let red = conversation(&server, json!({"team": "red"})).await;
    for id in [&blue, &red] {
        say(&server, id, "hello").await;
    }
    let from = "/events/stream?cursor=beginning";
    let kinds = |sent: Vec<Sent>| -> Vec<(Value, Value)> {
        sent.into_iter()
            .map(|sent| {
                (
                    sent.data["conversation_id"].clone(),
                    sent.data["event"]["kind"].clone(),
                )
            })
            .collect()
    };
    for (query, expected) in [
        ("kind=MessageEvent".to_owned(), vec![&blue, &red]),
        ("kind=MessageEvent&tag=team:red".to_owned(), vec![&red]),
        ("kind=MessageEvent&tag=team".to_owned(), vec![&blue, &red]),
        (
            format!("kind=MessageEvent&conversation_id={blue}"),
            vec![&blue],
        ),
    ] {
        let mut stream = Stream::open(&server, &format!("{from}&{query}"), None).await;
        let expected: Vec<_> = expected
            .into_iter()
            .map(|id| (json!(id), json!("MessageEvent")))
            .collect();
        assert_eq!(
            kinds(stream.logged(expected.len()).await),
            expected,
            "{query}"
        );
    }
    let mut live = Stream::open(&server, "/events/stream", None).await;
    live.next().await.unwrap();
    server.delete(&format!("/conversations/{red}")).await;
    let deleted = live.logged(1).await.remove(0);
    assert_eq!(
        (&deleted.data["type"], &deleted.data["conversation_id"]),
        (&json!("deleted"), &json!(red))
    );
    // What is gone is left out of the past.
    let mut past = Stream::open(&server, &format!("{from}&kind=MessageEvent"), None).await;
    let told = past.logged(2).await;
    assert_eq!(told[0].data["conversation_id"], blue.as_str());
    assert_eq!(told[1].data["type"], "deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_shows_what_was_repaired() {
    let server = TestServer::start().await;
    let id = conversation(&server, json!({})).await;
    say(&server, &id, "hello").await;
    let count = server.events(&id).await.len();
    let folder = server.folder(&id);
    let log = folder.join("events.jsonl");
    let left = server.stop().await;
    let mut text = std::fs::read(&log).unwrap();
    text.extend_from_slice(b"{\"id\":\"torn");
    std::fs::write(&log, text).unwrap();
    let server = TestServer::start_in(left).await;
    assert_eq!(server.events(&id).await.len(), count);
    let ready = async {
        loop {
            let (status, ready) = server.get("/ready").await;
            assert_eq!(status, 200);
            if ready["details"]["settled"] == true {
                return ready;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let ready = timeout(TIMEOUT, ready).await.unwrap();
    let notice = &ready["details"]["notices"][0];
    assert_eq!(ready["details"]["notices"].as_array().unwrap().len(), 1);
    assert_eq!(notice["conversation_id"], id.as_str());
    assert!(
        notice["text"]
            .as_str()
            .unwrap()
            .contains("events.jsonl.torn-"),
        "{notice}"
    );
}
