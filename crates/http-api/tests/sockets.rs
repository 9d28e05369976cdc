//! Who may open a socket, and why it closes, over a real connection.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails where it goes wrong"
)]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use actix_web::{App, HttpServer};
use agent_runtime::{NewConversation, Runtime, RuntimeConfig};
use core_model::LlmSettings;
use futures_util::{SinkExt, StreamExt};
use http_api::{Api, ApiConfig, Limits};
use secrecy::SecretString;
use serde_json::Value;
use store_fs::{FsStore, Options};
use tempfile::TempDir;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest, handshake::client::Request},
};

const HANG_GUARD: Duration = Duration::from_secs(30);

struct Server {
    address: SocketAddr,
    conversation: String,
    _folder: TempDir,
}

async fn server(keys: &[&str], limits: Limits) -> Server {
    let folder = tempfile::tempdir().unwrap();
    let store = FsStore::open(&folder.path().join("conversations"), Options::default()).unwrap();
    let llm = LlmSettings {
        model: "scripted".to_owned(),
        ..LlmSettings::default()
    };
    let runtime = RuntimeConfig::new([7; 32], llm, folder.path().join("project"));
    let runtime = Runtime::start(runtime, Arc::new(store)).await.unwrap();
    let made = runtime.create(NewConversation::default()).await.unwrap();
    let keys = keys.iter().map(|key| SecretString::from(*key)).collect();
    let api = Api::new(
        runtime,
        ApiConfig {
            keys,
            limits,
            ..ApiConfig::default()
        },
    )
    .unwrap();
    let server = HttpServer::new(move || App::new().configure(|cfg| api.configure(cfg)))
        .workers(1)
        .disable_signals()
        .bind(("127.0.0.1", 0))
        .unwrap();
    let address = server.addrs()[0];
    tokio::spawn(server.run());
    Server {
        address,
        conversation: made.info.id.to_string(),
        _folder: folder,
    }
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

impl Server {
    fn urls(&self) -> [String; 3] {
        let Self {
            address,
            conversation,
            ..
        } = self;
        [
            format!("ws://{address}/conversations/{conversation}/events/socket"),
            format!("ws://{address}/api/conversations/{conversation}/events/socket"),
            format!("ws://{address}/sockets/events/{conversation}"),
        ]
    }

    fn request(&self) -> Request {
        self.urls()[0].as_str().into_client_request().unwrap()
    }
}

async fn open(request: impl IntoClientRequest + Unpin) -> Socket {
    connect_async(request).await.unwrap().0
}

/// The next frame: an event's key, or the code the socket closes with.
async fn next(socket: &mut Socket) -> Result<String, u16> {
    loop {
        match timeout(HANG_GUARD, socket.next()).await.unwrap() {
            Some(Ok(Message::Text(text))) => {
                let event: Value = serde_json::from_str(&text).unwrap();
                let name = event.get("key").or(event.get("kind"));
                return Ok(name.and_then(Value::as_str).unwrap().to_owned());
            }
            Some(Ok(Message::Close(reason))) => return Err(reason.unwrap().code.into()),
            Some(Ok(_)) => {}
            other => panic!("neither frame nor close: {other:?}"),
        }
    }
}

fn text(json: &str) -> Message {
    Message::text(json)
}

#[actix_web::test]
async fn a_key_in_a_header_opens_and_a_wrong_one_closes() {
    let server = server(&["sekrit", "other"], Limits::default()).await;
    for (header, value, expected) in [
        ("x-session-api-key", "sekrit", Ok("full_state".to_owned())),
        ("authorization", "Bearer other", Ok("full_state".to_owned())),
        ("x-session-api-key", "wrong", Err(4001)),
        ("authorization", "Bearer wrong", Err(4001)),
    ] {
        let mut request = server.request();
        request.headers_mut().insert(header, value.parse().unwrap());
        assert_eq!(
            next(&mut open(request).await).await,
            expected,
            "{header}: {value}"
        );
    }
}

#[actix_web::test]
async fn a_key_in_the_query_opens_and_a_wrong_one_closes() {
    let server = server(&["sekrit"], Limits::default()).await;
    for url in server.urls() {
        let mut socket = open(format!("{url}?session_api_key=sekrit")).await;
        assert_eq!(next(&mut socket).await, Ok("full_state".to_owned()));
        let mut socket = open(format!("{url}?session_api_key=wrong")).await;
        assert_eq!(next(&mut socket).await, Err(4001));
    }
}

#[actix_web::test]
async fn the_first_frame_may_bring_the_key() {
    let server = server(&["sekrit"], Limits::default()).await;
    for url in server.urls() {
        let mut socket = open(url.clone()).await;
        socket
            .send(text(r#"{"type":"auth","session_api_key":"sekrit"}"#))
            .await
            .unwrap();
        assert_eq!(next(&mut socket).await, Ok("full_state".to_owned()));
        // Once more changes nothing; the complaint about the next frame shows that it was heard.
        socket
            .send(text(r#"{"type":"auth","session_api_key":"sekrit"}"#))
            .await
            .unwrap();
        socket.send(text("nonsense")).await.unwrap();
        assert_eq!(next(&mut socket).await, Ok("ServerErrorEvent".to_owned()));
        for first in [
            r#"{"type":"auth","session_api_key":"no"}"#,
            r#"{"role":"user"}"#,
            "x",
        ] {
            let mut socket = open(url.clone()).await;
            socket.send(text(first)).await.unwrap();
            assert_eq!(next(&mut socket).await, Err(4001), "{first}");
        }
    }
}

#[actix_web::test]
async fn who_never_brings_a_key_is_sent_away() {
    let limits = Limits {
        auth_timeout: Duration::from_millis(50),
        ..Limits::default()
    };
    let server = server(&["sekrit"], limits).await;
    assert_eq!(next(&mut open(server.request()).await).await, Err(4001));
}

#[actix_web::test]
async fn places_are_limited_and_given_back() {
    let limits = Limits {
        sockets_per_conversation: 1,
        ..Limits::default()
    };
    let server = server(&[], limits).await;
    let mut first = open(server.request()).await;
    assert_eq!(next(&mut first).await, Ok("full_state".to_owned()));
    assert_eq!(next(&mut open(server.request()).await).await, Err(1013));
    first.close(None).await.unwrap();
    let back = async {
        while next(&mut open(server.request()).await).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(HANG_GUARD, back).await.unwrap();
}

#[actix_web::test]
async fn frames_that_cannot_be_taken_close_with_the_reason() {
    let limits = Limits {
        frame_bytes: 1000,
        ..Limits::default()
    };
    let server = server(&[], limits).await;
    for (frame, code) in [
        (Message::binary(b"x".to_vec()), 1003),
        (Message::text("x".repeat(1001)), 1009),
        (Message::text("x".repeat(8 << 20)), 1009),
    ] {
        let mut socket = open(server.request()).await;
        assert_eq!(next(&mut socket).await, Ok("full_state".to_owned()));
        // The server may close while a large frame is still on its way.
        socket.send(frame).await.ok();
        assert_eq!(next(&mut socket).await, Err(code));
    }
}

#[actix_web::test]
async fn who_gives_no_sign_of_life_is_sent_away() {
    let limits = Limits {
        ping_interval: Duration::from_millis(20),
        idle_timeout: Duration::ZERO,
        ..Limits::default()
    };
    let server = server(&[], limits).await;
    // Whatever the client does, it has been silent for longer than that by the first ping.
    let mut socket = open(server.request()).await;
    assert_eq!(next(&mut socket).await, Ok("full_state".to_owned()));
    assert_eq!(next(&mut socket).await, Err(1011));
}
