//! What a client may send, and what becomes of the socket when it sends something else.

use super::*;

const MASK: [u8; 4] = [1, 2, 3, 4];

/// The bytes of a client's frame of fewer than 126 bytes; `first` is its header's first byte.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    assert!(length < 126);
    let mut bytes = [&[first, 0x80 | length][..], &MASK].concat();
    let masked = payload.iter().zip(MASK.iter().cycle());
    bytes.extend(masked.map(|(byte, mask)| byte ^ mask));
    bytes
}

/// Sends bytes past the client's own idea of what may be sent.
async fn send_raw(socket: &mut Socket, bytes: &[u8]) {
    let MaybeTlsStream::Plain(stream) = socket.get_mut() else {
        panic!("not a plain connection");
    };
    stream.write_all(bytes).await.unwrap();
}

async fn next_json(socket: &mut Socket) -> Value {
    loop {
        match timeout(HANG_GUARD, socket.next()).await.unwrap() {
            Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).unwrap(),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            other => panic!("no text: {other:?}"),
        }
    }
}

/// A message in pieces.
async fn send_in_pieces(socket: &mut Socket, pieces: &[Vec<u8>]) {
    for (nth, piece) in pieces.iter().enumerate() {
        let kind = if nth == 0 { Data::Text } else { Data::Continue };
        let is_last = nth + 1 == pieces.len();
        let frame = Frame::message(piece.clone(), OpCode::Data(kind), is_last);
        // A server that closes may do so while a piece is still on its way.
        socket.send(Message::Frame(frame)).await.ok();
    }
}

#[actix_web::test]
async fn what_must_not_be_sent_closes_with_the_code_for_it() {
    let server = server(&[], Limits::default()).await;
    let without_measure = [&[0x81, 0x80 | 127][..], &(2_u64 << 30).to_be_bytes(), &MASK].concat();
    for (name, bytes, code) in [
        ("a reserved bit", frame(0xc1, b"x"), 1002),
        ("a reserved bit on a ping", frame(0x99, b""), 1002),
        ("an unknown opcode", frame(0x83, b"x"), 1002),
        ("an unknown control frame", frame(0x8b, b""), 1002),
        ("no mask", vec![0x81, 1, b'x'], 1002),
        ("a ping in pieces", frame(0x09, b"x"), 1002),
        ("a long ping", vec![0x89, 0xfe, 0, 126], 1002),
        ("a continuation of nothing", frame(0x80, b"x"), 1002),
        (
            "a text within a text",
            [frame(0x01, b"x"), frame(0x81, b"x")].concat(),
            1002,
        ),
        ("half a close code", frame(0x88, b"\x03"), 1002),
        ("close code 1005", frame(0x88, b"\x03\xed"), 1002),
        ("close code 1006", frame(0x88, b"\x03\xee"), 1002),
        (
            "a reason that is no UTF-8",
            frame(0x88, b"\x03\xe8\xff"),
            1007,
        ),
        ("no UTF-8", frame(0x81, b"\xff"), 1007),
        ("no UTF-8 in a piece", frame(0x01, b"\xff"), 1007),
        ("a binary frame", frame(0x82, b"x"), 1003),
        ("a message without measure", without_measure, 1009),
    ] {
        let mut socket = open(server.request()).await;
        assert_eq!(next(&mut socket).await, Ok("full_state".to_owned()));
        send_raw(&mut socket, &bytes).await;
        assert_eq!(next(&mut socket).await, Err(code), "{name}");
    }
}

#[actix_web::test]
async fn a_message_may_be_as_large_as_a_body() {
    let server = server(&[], Limits::default()).await;
    let mut socket = open(server.request()).await;
    assert_eq!(next(&mut socket).await, Ok("full_state".to_owned()));
    for length in [1_200_000, 9 << 20] {
        let content = "ö".repeat(length / 2);
        let message = json!({"role": "user", "content": content, "run": false}).to_string();
        let halves = message.as_bytes().split_at(length / 2);
        for pieces in [
            vec![message.clone().into_bytes()],
            vec![halves.0.to_vec(), halves.1.to_vec()],
        ] {
            send_in_pieces(&mut socket, &pieces).await;
            let event = loop {
                let event = next_json(&mut socket).await;
                if event["kind"] == "MessageEvent" {
                    break event;
                }
            };
            assert!(event["llm_message"]["content"][0]["text"] == content);
        }
    }
}

#[actix_web::test]
async fn a_message_that_is_too_large_is_refused_and_the_socket_stays() {
    let limits = Limits {
        frame_bytes: 1000,
        ..Limits::default()
    };
    let server = server(&[], limits).await;
    let (address, id) = (server.address, &server.conversation);
    for (path, labelled) in [
        (format!("/sockets/events/{id}"), false),
        (format!("/sockets/session/{id}"), true),
        ("/sockets/events".to_owned(), true),
    ] {
        let mut socket = open(format!("ws://{address}{path}")).await;
        let refusal = async |socket: &mut Socket| loop {
            let frame = next_json(socket).await;
            let is_refusal = match labelled {
                true => frame["type"] == "error",
                false => frame["kind"] == "ServerErrorEvent",
            };
            if is_refusal {
                break (frame["code"].clone(), frame["detail"].clone());
            }
        };
        let too_large = (
            json!("body_too_large"),
            json!("The message is larger than 1000 bytes"),
        );
        for pieces in [
            vec![vec![b'x'; 1001]],
            vec![vec![b'x'; 8 << 20]],
            vec![vec![b' '; 600]; 3],
            vec![vec![b'x'; 1], vec![0xff; 2000], vec![b'x'; 1]],
        ] {
            send_in_pieces(&mut socket, &pieces).await;
            assert_eq!(refusal(&mut socket).await, too_large, "{path}");
            // What comes next is understood.
            socket.send(text("nonsense")).await.unwrap();
            assert_eq!(refusal(&mut socket).await.0, "JSONDecodeError", "{path}");
        }
    }
}

#[actix_web::test]
async fn before_a_key_is_proven_little_is_read() {
    let server = server(&["sekrit"], Limits::default()).await;
    let auth = br#"{"type":"auth","session_api_key":"sekrit"}"#;
    for (name, pieces) in [
        ("a large message", vec![vec![b' '; 4097]]),
        ("one that is still coming", vec![vec![b' '; 8 << 20]]),
        ("pieces that are large together", vec![vec![b' '; 1000]; 5]),
        ("pieces without content", vec![vec![]; 1000]),
        (
            "pieces before the key",
            [vec![vec![b' '; 4080]], vec![auth.to_vec()]].concat(),
        ),
    ] {
        for url in [
            format!("ws://{}/sockets/events", server.address),
            server.urls()[0].clone(),
        ] {
            let mut socket = open(url).await;
            send_in_pieces(&mut socket, &pieces).await;
            assert_eq!(next(&mut socket).await, Err(1009), "{name}");
        }
    }
    let mut socket = open(server.request()).await;
    for _ in 0..50 {
        let ping = Message::Ping(vec![0; 100].into());
        socket.send(ping).await.ok();
    }
    assert_eq!(next(&mut socket).await, Err(1009));
    // The limit ends with the key, also for what comes right behind it.
    let mut socket = open(server.request()).await;
    send_in_pieces(&mut socket, &[auth.to_vec()]).await;
    send_in_pieces(&mut socket, &[vec![b'x'; 10_000]]).await;
    assert_eq!(next(&mut socket).await, Ok("full_state".to_owned()));
    assert_eq!(next(&mut socket).await, Ok("ServerErrorEvent".to_owned()));
}

#[actix_web::test]
async fn a_client_that_is_sending_is_not_silent() {
    let limits = Limits {
        ping_interval: Duration::from_millis(20),
        idle_timeout: Duration::from_millis(500),
        ..Limits::default()
    };
    let server = server(&[], limits.clone()).await;
    let mut socket = open(server.request()).await;
    assert_eq!(next(&mut socket).await, Ok("full_state".to_owned()));
    // Its message takes longer than that, and no answer to a ping can come within it.
    let begin = std::time::Instant::now();
    send_raw(&mut socket, &[0x81, 0x80 | 126, 0xff, 0xff]).await;
    send_raw(&mut socket, &MASK).await;
    let mut sent = 0;
    while begin.elapsed() < limits.idle_timeout * 3 {
        send_raw(&mut socket, b"x").await;
        sent += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    send_raw(&mut socket, &vec![b'x'; 0xffff - sent]).await;
    assert_eq!(next(&mut socket).await, Ok("ServerErrorEvent".to_owned()));
}
