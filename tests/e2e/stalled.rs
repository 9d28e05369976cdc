//! Clients that do not read: they get the reason, lose nothing, and free their place for others.

use std::num::{NonZeroU64, NonZeroUsize};

use reqwest::Method;
use serde_json::{Value, json};
use test_support::{Received, Socket, TestServer, small_connection};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Duration, sleep, timeout},
};

const TIMEOUT: Duration = Duration::from_secs(60);

/// A server that gives clients up soon, with one place on each conversation.
async fn short_timeouts() -> TestServer {
    TestServer::with(|settings| {
        settings.socket_send_timeout_seconds = NonZeroU64::MIN;
        settings.max_sockets_per_conversation = NonZeroUsize::MIN;
    })
    .await
}

async fn conversation(server: &TestServer) -> String {
    let (_, made) = server.post("/conversations", &json!({})).await;
    made["id"].as_str().unwrap().to_owned()
}

/// More than a connection holds.
async fn say_much(server: &TestServer, id: &str) {
    for number in 0..4 {
        let content = format!("{number}{}", "x".repeat(1 << 20));
        let path = format!("/conversations/{id}/events");
        let body = json!({"content": content, "run": false});
        assert_eq!(server.post(&path, &body).await.0, 200);
    }
}

/// Waits until the one place on a conversation is free.
async fn place_comes_free(server: &TestServer, path: &str) {
    let free = async {
        loop {
            let asked = server.request(Method::GET, path).send().await.unwrap();
            match asked.status().as_u16() {
                200 => break,
                status => assert_eq!(status, 503),
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(TIMEOUT, free).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_is_not_read_gets_the_reason_later_and_resumes_from_its_cursor() {
    let server = short_timeouts().await;
    let id = conversation(&server).await;
    let path = format!("/sockets/session/{id}?after_seq=-1");
    let mut stalled = Socket::connect_small(server.address(), &path).await;
    assert_eq!(stalled.json().await["type"], "sync");
    say_much(&server, &id).await;
    place_comes_free(&server, &format!("/conversations/{id}/events/stream")).await;

    let mut seen: Vec<(u64, Value)> = Vec::new();
    let note = |seen: &mut Vec<(u64, Value)>, frame: Value| {
        if frame["type"] == "durable" {
            seen.push((frame["seq"].as_u64().unwrap(), frame["event"].clone()));
        }
    };
    let end = loop {
        match stalled.receive().await {
            Received::Json(frame) => note(&mut seen, frame),
            end @ Received::Closed(..) => break end,
        }
    };
    assert_eq!(end, Received::Closed(1013, "slow_consumer".to_owned()));
    let all = server.events(&id).await;
    assert!(seen.len() < all.len(), "it was not stalled");

    let last = seen.last().unwrap().0;
    let path = format!("/sockets/session/{id}?after_seq={last}");
    let resumed = async {
        loop {
            let mut socket = Socket::connect(&server.socket_url(&path), &[]).await;
            // The stream that found the place free may still leave it.
            if let Received::Json(_) = socket.receive().await {
                break socket;
            }
        }
    };
    let mut resumed = timeout(TIMEOUT, resumed).await.unwrap();
    while seen.len() < all.len() {
        note(&mut seen, resumed.json().await);
    }
    let expected: Vec<(u64, Value)> = (0..).zip(all).collect();
    assert!(seen == expected, "lost or repeated something");
}

/// The body that came in chunks. RFC 9112, 7.1.
fn joined(mut chunks: &str) -> String {
    let mut body = String::new();
    loop {
        let (size, rest) = chunks.split_once("\r\n").unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return body;
        }
        body += &rest[..size];
        chunks = rest[size..].strip_prefix("\r\n").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_stream_that_is_not_read_gets_the_reason_too() {
    let server = short_timeouts().await;
    let id = conversation(&server).await;
    let path = format!("/conversations/{id}/events/stream");
    let mut stalled = small_connection(server.address()).await;
    let head = "Host: localhost\r\nConnection: close\r\n\r\n";
    let request = format!("GET {path}?after_seq=-1 HTTP/1.1\r\n{head}");
    stalled.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    // Has its place.
    stalled.read_buf(&mut bytes).await.unwrap();
    say_much(&server, &id).await;
    place_comes_free(&server, &path).await;

    let read = timeout(TIMEOUT, stalled.read_to_end(&mut bytes)).await;
    read.unwrap().unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (_, chunks) = text.split_once("\r\n\r\n").unwrap();
    let body = joined(chunks);
    let end = "event: end\ndata: {\"code\":1013,\"reason\":\"slow_consumer\"}\n\n";
    let body = body.strip_suffix(end).expect("the reason at the end");
    let mut seen: Vec<(u64, Value)> = Vec::new();
    for block in body.split_terminator("\n\n") {
        if let Some(("id", rest)) = block.split_once(": ")
            && let Some((seq, data)) = rest.split_once("\ndata: ")
        {
            let event = serde_json::from_str(data).unwrap();
            seen.push((seq.parse().unwrap(), event));
        }
    }
    let all = server.events(&id).await;
    let expected: Vec<(u64, Value)> = (0..).zip(all).collect();
    assert!(seen.len() < expected.len(), "it was not stalled");
    assert!(seen == expected[..seen.len()], "lost or repeated something");

    // It continues after the last event it had.
    let last = seen.last().unwrap().0.to_string();
    let resumed = async {
        loop {
            let request = server.request(Method::GET, &path);
            let answer = request.header("Last-Event-ID", &last).send().await.unwrap();
            if answer.status() == 200 {
                break answer;
            }
        }
    };
    let mut resumed = timeout(TIMEOUT, resumed).await.unwrap();
    let next = format!("id: {}\ndata: {{", seen.len());
    let mut text = String::new();
    while !text.contains(&next) {
        let chunk = timeout(TIMEOUT, resumed.chunk()).await.unwrap().unwrap();
        text += std::str::from_utf8(&chunk.expect("more to come")).unwrap();
    }
    let greeting = format!("retry: 1000\nid: {last}\n\n");
    assert_eq!(text.find(&next), Some(greeting.len()), "{text:.200}");
}
