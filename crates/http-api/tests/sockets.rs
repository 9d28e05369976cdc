//! Who may open a socket, and why it closes, over a real connection.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails where it goes wrong"
)]

#[path = "sockets/log.rs"]
mod log;
#[path = "sockets/protocol.rs"]
mod protocol;
#[path = "sockets/slots.rs"]
mod slots;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use actix_web::{App, HttpServer};
use agent_runtime::{NewConversation, Runtime, RuntimeConfig};
use core_model::LlmSettings;
use futures_util::{SinkExt, StreamExt};
use http_api::{Api, ApiConfig, Limits};
use secrecy::SecretString;
use serde_json::{Value, json};
use store_fs::{FsStore, Options};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        Message,
        client::IntoClientRequest,
        handshake::client::{Request, generate_key},
        protocol::frame::{
            Frame,
            coding::{Data, OpCode},
        },
    },
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
    let runtime = RuntimeConfig::new([7; 32], llm, folder.path().join("project"), store.root());
    let runtime = Runtime::start(runtime, Arc::new(store));
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

/// The next frame: an event's key, kind or type, or the code the socket closes with.
async fn next(socket: &mut Socket) -> Result<String, u16> {
    loop {
        match timeout(HANG_GUARD, socket.next()).await.unwrap() {
            Some(Ok(Message::Text(text))) => {
                let event: Value = serde_json::from_str(&text).unwrap();
                let name = ["key", "kind", "type"]
                    .into_iter()
                    .find_map(|name| event[name].as_str());
                return Ok(name.unwrap().to_owned());
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

#[actix_web::test]
async fn who_answers_pings_may_stay() {
    let limits = Limits {
        ping_interval: Duration::from_millis(50),
        idle_timeout: Duration::from_secs(2),
        ..Limits::default()
    };
    let server = server(&[], limits.clone()).await;
    let mut socket = open(server.request()).await;
    assert_eq!(next(&mut socket).await, Ok("full_state".to_owned()));
    let begin = std::time::Instant::now();
    let mut pings = 0;
    // Reading answers them.
    while begin.elapsed() < limits.idle_timeout * 3 / 2 {
        let message = timeout(HANG_GUARD, socket.next()).await.unwrap();
        let message = message.unwrap().unwrap();
        assert!(message.is_ping(), "{message:?}");
        pings += 1;
    }
    assert!(pings > 1, "{pings} pings");
}

#[actix_web::test]
async fn who_leaves_pings_unanswered_is_sent_away() {
    let limits = Limits {
        ping_interval: Duration::from_millis(20),
        idle_timeout: Duration::from_millis(100),
        ..Limits::default()
    };
    let server = server(&[], limits).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let handshake = format!(
        "GET /sockets/events/{} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n\r\n",
        server.conversation,
        server.address,
        generate_key()
    );
    stream.write_all(handshake.as_bytes()).await.unwrap();
    // Reads and never writes again.
    let mut seen = Vec::new();
    let contains = |seen: &[u8], part: &[u8]| seen.windows(part.len()).any(|at| at == part);
    while !contains(&seen, b"\x03\xf3No sign of life") {
        let read = timeout(HANG_GUARD, stream.read_buf(&mut seen)).await;
        assert_ne!(read.unwrap().unwrap(), 0, "ended without a reason");
    }
    assert!(contains(&seen, b"\x89\x00"), "no ping came before");
}

#[actix_web::test]
async fn who_does_not_read_is_given_up() {
    let limits = Limits {
        sockets_per_conversation: 1,
        send_timeout: Duration::from_millis(100),
        ..Limits::default()
    };
    let server = server(&[], limits).await;
    let mut laggard = open(server.request()).await;
    assert_eq!(next(&mut laggard).await, Ok("full_state".to_owned()));
    let url = format!(
        "http://{}/conversations/{}/events",
        server.address, server.conversation
    );
    let large = json!({"content": "x".repeat(2 << 20), "run": false}).to_string();
    let given_up = async {
        // As much as the connection's buffers hold, and then some: its place comes free.
        loop {
            let sent = reqwest::Client::new().post(&url).body(large.clone());
            assert_eq!(sent.send().await.unwrap().status(), 200);
            if next(&mut open(server.request()).await).await.is_ok() {
                break;
            }
        }
    };
    timeout(HANG_GUARD, given_up).await.unwrap();
    drop(laggard);
}
