//! Events of many megabytes in the middle of a log: every client gets them, and what follows.

use futures_util::future::join_all;
use serde_json::{Value, json};
use test_support::{Socket, TestServer};

use crate::streams::{Stream, conversation, say};

/// Just below what a body may have.
const LARGEST: usize = 19 << 19;

enum Client {
    Socket(Socket),
    Stream(Stream),
}

impl Client {
    /// The next logged event.
    async fn event(&mut self) -> Value {
        loop {
            let frame = match self {
                Self::Socket(socket) => socket.json().await,
                Self::Stream(stream) => stream.next().await.unwrap().data,
            };
            if frame["type"] == "durable" {
                return frame["event"].clone();
            }
            if frame["kind"].is_string() && frame["key"] != "full_state" {
                return frame;
            }
        }
    }
}

/// One client of each kind, from the beginning or from now on.
async fn clients(server: &TestServer, id: &str, replay: bool) -> Vec<(&'static str, Client)> {
    let mut clients = Vec::new();
    for (name, path, query) in [
        (
            "socket",
            "/conversations/{}/events/socket",
            "?resend_mode=all",
        ),
        (
            "socket with positions",
            "/sockets/session/{}",
            "?after_seq=-1",
        ),
        ("socket of all", "/sockets/events", "?cursor=beginning"),
    ] {
        let path = path.replace("{}", id) + if replay { query } else { "" };
        let mut socket = Socket::connect(&server.socket_url(&path), &[]).await;
        // It follows from here on.
        let first = socket.json().await;
        assert!(first["type"] == "sync" || first["key"] == "full_state");
        clients.push((name, Client::Socket(socket)));
    }
    for (name, path, query) in [
        ("stream", "/conversations/{}/events/stream", "?after_seq=-1"),
        ("stream of all", "/events/stream", "?cursor=beginning"),
    ] {
        let path = path.replace("{}", id) + if replay { query } else { "" };
        let stream = Stream::open(server, &path, None).await;
        clients.push((name, Client::Stream(stream)));
    }
    clients
}

/// Each client is told just these events.
async fn all_told(clients: Vec<(&'static str, Client)>, expected: &[Value]) {
    let told = clients.into_iter().map(async |(name, mut client)| {
        for (nth, event) in expected.iter().enumerate() {
            // Not `assert_eq`: it would print them.
            assert!(client.event().await == *event, "{name}: event {nth}");
        }
    });
    join_all(told).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_event_stops_no_client() {
    let server = TestServer::start().await;
    let id = conversation(&server, json!({})).await;
    say(&server, &id, "before").await;
    let before = server.events(&id).await.len();
    let live = clients(&server, &id, false).await;
    for length in [5 << 20, 1, LARGEST, 1] {
        say(&server, &id, &"x".repeat(length)).await;
    }
    let events = server.events(&id).await;
    let lengths: Vec<usize> = events[before..]
        .iter()
        .filter_map(|event| event["llm_message"]["content"][0]["text"].as_str())
        .map(str::len)
        .collect();
    assert_eq!(lengths, [5 << 20, 1, LARGEST, 1]);
    all_told(live, &events[before..]).await;
    all_told(clients(&server, &id, true).await, &events).await;

    // By id, one at a time and several at once.
    let ids: Vec<&str> = events
        .iter()
        .filter_map(|event| event["id"].as_str())
        .collect();
    for (id_of, event) in ids.iter().zip(&events) {
        let path = format!("/conversations/{id}/events/{id_of}");
        assert!(server.get(&path).await.1 == *event);
    }
    let query: String = ids.iter().map(|id| format!("event_ids={id}&")).collect();
    let path = format!("/conversations/{id}/events?{query}");
    assert!(server.get(&path).await == (200, json!(events)));
}
