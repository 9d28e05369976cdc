use std::time::Duration;

use serde_json::{Value, json};
use test_support::{
    Socket, TestServer,
    model_server::{ModelServer, Reply},
};

use crate::streams::Stream;

fn logged(frames: &[Value]) -> Vec<Value> {
    let transient =
        |frame: &&Value| frame["key"] != "full_state" && frame["kind"] != "StreamingDeltaEvent";
    frames.iter().filter(transient).cloned().collect()
}

async fn finished(server: &TestServer) -> String {
    let id = server.create_running("$ echo alpha\n$ echo beta").await;
    server.wait_for(&id, "finished").await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_first_then_every_event_as_the_log_has_it() {
    let server = TestServer::start().await;
    for path in ["/conversations/{}/events/socket", "/sockets/events/{}"] {
        let (_, made) = server.post("/conversations", &json!({})).await;
        let id = made["id"].as_str().unwrap();
        let mut socket = Socket::connect(&server.socket_url(&path.replace("{}", id)), &[]).await;
        let snapshot = socket.json().await;
        assert_eq!(snapshot["key"], "full_state");
        assert_eq!(snapshot["value"]["execution_status"], "idle");
        assert_eq!(snapshot["value"]["id"], id);
        assert_eq!(snapshot.get("parent_id"), None);

        socket
            .send(&json!({"type": "message", "content": "$ echo over the socket"}))
            .await;
        let frames = socket.until_snapshot("finished").await;
        assert_eq!(logged(&frames), server.events(id).await);
        // Snapshots are not in the log.
        assert!(
            server
                .events(id)
                .await
                .iter()
                .all(|event| event["key"] != "full_state")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_message_forms_are_taken_and_run() {
    let server = TestServer::start().await;
    let (_, made) = server.post("/conversations", &json!({})).await;
    let mut socket = server.follow(made["id"].as_str().unwrap()).await;
    for message in [
        json!({"type": "message", "content": "Hello, agent!"}),
        json!({"role": "user", "content": [{"type": "text", "text": "Hello again"}]}),
    ] {
        socket.json().await;
        socket.send(&message).await;
        let frames = socket.until_snapshot("finished").await;
        assert!(
            frames
                .iter()
                .any(|f| f["source"] == "agent" && f["kind"] == "MessageEvent")
        );
        // The run came by message: its end is told once.
        drop(std::mem::replace(
            &mut socket,
            server.follow(made["id"].as_str().unwrap()).await,
        ));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_see_the_same() {
    let server = TestServer::start().await;
    let (_, made) = server.post("/conversations", &json!({})).await;
    let id = made["id"].as_str().unwrap();
    let (mut one, mut two) = (server.follow(id).await, server.follow(id).await);
    one.json().await;
    two.json().await;
    one.send(&json!({"type": "message", "content": "$ echo hi"}))
        .await;
    let (seen_by_one, seen_by_two) = tokio::join!(
        one.until_snapshot("finished"),
        two.until_snapshot("finished")
    );
    assert_eq!(seen_by_one, seen_by_two);
}

#[tokio::test(flavor = "multi_thread")]
async fn resends_start_where_they_are_asked_to() {
    let server = TestServer::start().await;
    let id = finished(&server).await;
    let all = server.events(&id).await;
    let middle = all.len() / 2;
    let (time, cursor) = (
        all[middle]["timestamp"].as_str().unwrap(),
        all[middle]["id"].as_str().unwrap(),
    );
    for (query, expected) in [
        ("?resend_mode=all".to_owned(), &all[..]),
        ("?resend_all=true".to_owned(), &all[..]),
        // Inclusive, as the reference has it.
        (
            format!("?resend_mode=since&after_timestamp={time}"),
            &all[middle..],
        ),
        (
            format!("?resend_mode=since&after_timestamp={time}Z"),
            &all[middle..],
        ),
        (format!("?after_event_id={cursor}"), &all[middle + 1..]),
        ("?resend_mode=since".to_owned(), &[][..]),
        (String::new(), &[][..]),
    ] {
        let mut socket = server.follow_with(&id, &query).await;
        assert_eq!(socket.json().await["key"], "full_state", "{query}");
        let mut seen = Vec::new();
        while seen.len() < expected.len() {
            seen.push(socket.json().await);
        }
        assert_eq!(seen, expected, "{query}");
        assert!(
            socket.is_silent_for(Duration::from_millis(100)).await,
            "{query}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_neither_loses_nor_repeats_during_a_run() {
    let server = TestServer::start().await;
    let steps: Vec<String> = (0..12).map(|n| format!("$ echo {n}")).collect();
    let id = server.create_running(&steps.join("\n")).await;
    let mut seen: Vec<Value> = Vec::new();
    let mut query = "?resend_mode=all".to_owned();
    loop {
        // Drops the connection after a few frames and comes back with the last id it saw.
        let mut socket = server.follow_with(&id, &query).await;
        let mut budget = 5;
        let done = loop {
            let frame = socket.json().await;
            if frame["key"] == "full_state" {
                continue;
            }
            let last = frame["key"] == "execution_status" && frame["value"] == "finished";
            seen.push(frame);
            budget -= 1;
            if last || budget == 0 {
                break last;
            }
        };
        if done {
            break;
        }
        query = format!(
            "?after_event_id={}",
            seen.last().unwrap()["id"].as_str().unwrap()
        );
    }
    assert_eq!(seen, server.events(&id).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_streamed_reply_comes_in_pieces_that_are_not_logged() {
    let server = TestServer::start().await;
    let body = json!({"agent": {"llm": {"model": "scripted", "stream": true}}});
    let (_, made) = server.post("/conversations", &body).await;
    let id = made["id"].as_str().unwrap();
    let mut socket = server.follow(id).await;
    socket.json().await;
    socket
        .send(&json!({"type": "message", "content": "hello"}))
        .await;
    let frames = socket.until_snapshot("finished").await;
    let pieces: Vec<&str> = frames
        .iter()
        .filter(|frame| frame["kind"] == "StreamingDeltaEvent")
        .filter_map(|frame| frame["content"].as_str())
        .collect();
    assert!(pieces.len() > 1, "{pieces:?}");
    let message = frames
        .iter()
        .find(|frame| frame["kind"] == "MessageEvent" && frame["source"] == "agent")
        .unwrap();
    assert_eq!(
        message["llm_message"]["content"][0]["text"],
        pieces.concat()
    );
    assert!(
        server
            .events(id)
            .await
            .iter()
            .all(|e| e["kind"] != "StreamingDeltaEvent")
    );
}

/// What a client shows of the reply that is being written: the pieces since they were last said to be void.
#[derive(Default)]
struct Shown {
    text: String,
    voided: Vec<String>,
}

impl Shown {
    /// Takes the next frame; the agent's message when it is there.
    fn take(&mut self, frame: &Value) -> Option<String> {
        let event = frame.get("event").unwrap_or(frame);
        if event["kind"] == "StreamingDeltaEvent" {
            self.text += event["content"].as_str().unwrap_or_default();
        }
        if event["key"] == "streaming_reply" {
            assert_eq!(event["kind"], "ConversationStateUpdateEvent");
            assert_eq!(event["value"], "discarded");
            self.voided.push(std::mem::take(&mut self.text));
        }
        let is_said = event["kind"] == "MessageEvent" && event["source"] == "agent";
        let said = &event["llm_message"]["content"][0]["text"];
        is_said.then(|| said.as_str().unwrap().to_owned())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_breaks_off_starts_again_for_every_client() {
    let server = TestServer::start().await;
    let whole = "The second try comes to its end.";
    let model = ModelServer::start([
        Reply::StreamCut(Box::new(Reply::text("The first try breaks off."))),
        Reply::text(whole),
    ]);
    let llm = json!({
        "model": "openai/test", "base_url": model.base_url, "api_key": "k", "stream": true,
        "num_retries": 1, "retry_min_wait": 0, "retry_max_wait": 0
    });
    let (_, made) = server
        .post("/conversations", &json!({"agent": {"llm": llm}}))
        .await;
    let id = made["id"].as_str().unwrap();
    let mut plain = server.follow(id).await;
    plain.json().await;
    let url = server.socket_url(&format!("/sockets/session/{id}"));
    let mut session = Socket::connect(&url, &[]).await;
    session.json().await;
    let path = format!("/conversations/{id}/events/stream");
    let mut stream = Stream::open(&server, &path, None).await;
    plain.send(&json!({"role": "user", "content": "go"})).await;
    for client in ["plain", "session", "stream"] {
        let mut shown = Shown::default();
        let said = loop {
            let frame = match client {
                "plain" => plain.json().await,
                "session" => session.json().await,
                _ => stream.next().await.unwrap().data,
            };
            if let Some(said) = shown.take(&frame) {
                break said;
            }
        };
        assert_eq!(
            (said.as_str(), shown.text.as_str()),
            (whole, whole),
            "{client}"
        );
        assert_eq!(shown.voided.len(), 1, "{client}: {:?}", shown.voided);
        let voided = &shown.voided[0];
        assert!(!voided.is_empty() && "The first try breaks off.".starts_with(voided));
    }
    server.wait_for(id, "finished").await;
    let is_void = |event: &Value| event["key"] == "streaming_reply";
    assert!(!server.events(id).await.iter().any(is_void));
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_sockets_on_one_conversation_are_turned_away() {
    let server = TestServer::with(|settings| {
        settings.max_sockets_per_conversation = 2.try_into().unwrap();
    })
    .await;
    let (_, made) = server.post("/conversations", &json!({})).await;
    let id = made["id"].as_str().unwrap();
    let (mut one, mut two) = (server.follow(id).await, server.follow(id).await);
    one.json().await;
    two.json().await;
    assert_eq!(server.follow(id).await.close_code().await, 1013);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_delays_nobody_and_misses_nothing() {
    let server = TestServer::start().await;
    let (_, made) = server.post("/conversations", &json!({})).await;
    let id = made["id"].as_str().unwrap();
    let (mut laggard, mut prompt) = (server.follow(id).await, server.follow(id).await);
    prompt.json().await;
    // More than the buffers of a connection hold.
    let path = format!("/conversations/{id}/events");
    for n in 0..16 {
        let content = format!("{n}{}", "x".repeat(1 << 20));
        let message = json!({"content": content, "run": false});
        assert_eq!(server.post(&path, &message).await.0, 200);
        let seen = prompt.until(|f| f["kind"] == "MessageEvent").await;
        let said = &seen.last().unwrap()["llm_message"]["content"][0]["text"];
        assert_eq!(said, &content);
    }
    assert_eq!(laggard.json().await["key"], "full_state");
    let all = server.events(id).await;
    for event in &all {
        assert_eq!(laggard.json().await["id"], event["id"]);
    }
    assert!(all.len() > 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_may_have_what_a_body_may_have_unless_that_is_set() {
    for (body, frame, limit) in [
        (3000, None, 3000),
        (3000, Some(1000), 1000),
        (1000, Some(3000), 3000),
    ] {
        let server = TestServer::with(|settings| {
            settings.max_body_bytes = body.try_into().unwrap();
            settings.max_frame_bytes = frame.map(|bytes: usize| bytes.try_into().unwrap());
        })
        .await;
        let (_, made) = server.post("/conversations", &json!({})).await;
        let mut socket = server.follow(made["id"].as_str().unwrap()).await;
        socket.json().await;
        for (length, code) in [(limit + 1, "body_too_large"), (limit, "JSONDecodeError")] {
            socket.send_text(&"x".repeat(length)).await;
            let refused = socket.json().await;
            assert_eq!(refused["kind"], "ServerErrorEvent");
            assert_eq!(refused["code"], code, "{length} bytes of {limit}");
        }
    }
}
