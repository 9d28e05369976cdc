use futures_util::{FutureExt, stream};

use super::*;

const FIN: u8 = 0x80;
const CONTINUE: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

const MASK: [u8; 4] = [1, 2, 3, 4];
const LIMIT: usize = 100_000;

/// A client's frame; `first` is the header's first byte.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(first, payload.len() as u64);
    let masked = payload.iter().zip(MASK.iter().cycle());
    frame.extend(masked.map(|(byte, mask)| byte ^ mask));
    frame
}

fn header(first: u8, length: u64) -> Vec<u8> {
    let mut header = vec![first];
    match length {
        0..126 => header.push(0x80 | u8::try_from(length).unwrap()),
        126..65536 => {
            header.push(0x80 | 126);
            header.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        _ => {
            header.push(0x80 | 127);
            header.extend(length.to_be_bytes());
        }
    }
    header.extend(MASK);
    header
}

fn messages(bytes: &[u8], piece: usize) -> Messages {
    let chunks: Vec<_> = bytes
        .chunks(piece)
        .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
        .collect();
    Messages::new(dev::Payload::Stream {
        payload: stream::iter(chunks).boxed_local(),
    })
}

/// What a client with a key says with these bytes, and the code that it ends with.
fn received(bytes: &[u8], piece: usize) -> (Vec<Incoming>, u16) {
    let mut messages = messages(bytes, piece);
    messages.authenticated(LIMIT);
    let mut received = Vec::new();
    loop {
        match messages.recv().now_or_never().unwrap() {
            Ok(incoming) => received.push(incoming),
            Err(reason) => return (received, reason.code()),
        }
    }
}

fn text(text: &str) -> Incoming {
    Incoming::Text(text.into())
}

fn close(payload: &[u8]) -> Vec<u8> {
    frame(FIN | CLOSE, payload)
}

#[test]
fn messages_are_put_together_however_they_are_cut() {
    let long = "ö".repeat(40_000);
    let bytes = [
        frame(FIN | TEXT, b""),
        frame(FIN | TEXT, b"a"),
        frame(FIN | TEXT, "b".repeat(125).as_bytes()),
        frame(FIN | TEXT, "c".repeat(126).as_bytes()),
        frame(FIN | TEXT, long.as_bytes()),
        // In pieces, cut within a character, with control frames in between.
        frame(TEXT, &"ü".as_bytes()[..1]),
        frame(FIN | PING, b"1"),
        frame(CONTINUE, b""),
        frame(CONTINUE, &"ü".as_bytes()[1..]),
        frame(FIN | PONG, b"2"),
        frame(FIN | CONTINUE, b"!"),
        close(b"\x03\xe8bye"),
    ]
    .concat();
    let expected = [
        text(""),
        text("a"),
        text(&"b".repeat(125)),
        text(&"c".repeat(126)),
        text(&long),
        Incoming::Ping(Bytes::from_static(b"1")),
        Incoming::Pong,
        text("ü!"),
        Incoming::Close(Some((1000.into(), "bye").into())),
    ];
    for piece in [1, 2, 3, 7, 1000, bytes.len()] {
        let (received, code) = received(&bytes, piece);
        assert!(received == expected, "in pieces of {piece}");
        // The connection is at its end.
        assert_eq!(code, 1006);
    }
}

/// As the Autobahn test suite goes through what a client must not send.
#[test]
fn what_must_not_be_sent_ends_with_the_code_for_it() {
    let unmasked = vec![FIN | TEXT, 1, b'x'];
    let endless = [vec![FIN | TEXT, 0x80 | 127], vec![0xff; 8], MASK.to_vec()].concat();
    let mut cases: Vec<(String, Vec<u8>, u16)> = [
        ("no mask", unmasked, 1002),
        (
            "a continuation of nothing",
            frame(FIN | CONTINUE, b"x"),
            1002,
        ),
        ("one that goes on", frame(CONTINUE, b"x"), 1002),
        (
            "a text within a text",
            [frame(TEXT, b"x"), frame(FIN | TEXT, b"x")].concat(),
            1002,
        ),
        (
            "a binary within a text",
            [frame(TEXT, b"x"), frame(FIN | BINARY, b"x")].concat(),
            1002,
        ),
        (
            "a continuation after the end",
            [
                frame(TEXT, b"x"),
                frame(FIN | CONTINUE, b"x"),
                frame(FIN | CONTINUE, b"x"),
            ]
            .concat(),
            1002,
        ),
        ("a ping in pieces", frame(PING, b"x"), 1002),
        ("a pong in pieces", frame(PONG, b"x"), 1002),
        ("a close in pieces", frame(CLOSE, b"\x03\xe8"), 1002),
        ("a long ping", frame(FIN | PING, &[b'x'; 126]), 1002),
        ("a long pong", frame(FIN | PONG, &[b'x'; 126]), 1002),
        ("a long close", close(&[3; 126]), 1002),
        ("a length with its highest bit set", endless, 1002),
        ("a binary frame", frame(FIN | BINARY, b"x"), 1003),
        ("its beginning", frame(BINARY, b"x"), 1003),
        ("no UTF-8", frame(FIN | TEXT, b"x\xff"), 1007),
        ("a character cut off", frame(FIN | TEXT, b"x\xc3"), 1007),
        ("a surrogate", frame(FIN | TEXT, b"\xed\xa0\x80"), 1007),
        ("no UTF-8 in a first piece", frame(TEXT, b"x\xff"), 1007),
        (
            "no UTF-8 across pieces",
            [frame(TEXT, b"\xc3"), frame(CONTINUE, b"x")].concat(),
            1007,
        ),
        (
            "a character cut off in the last piece",
            [frame(TEXT, b"x"), frame(FIN | CONTINUE, b"\xc3")].concat(),
            1007,
        ),
        ("half a close code", close(b"\x03"), 1002),
        ("a reason that is no UTF-8", close(b"\x03\xe8\xff"), 1007),
        (
            "a message without measure",
            header(FIN | TEXT, MAX_SKIPPED_BYTES + 1),
            1009,
        ),
    ]
    .map(|(name, bytes, code)| (name.to_owned(), bytes, code))
    .into();
    for reserved in [0x10, 0x20, 0x40, 0x70] {
        for opcode in [TEXT, BINARY, CLOSE, PING, PONG] {
            let name = format!("opcode {opcode} with bits {reserved:x}");
            cases.push((name, frame(FIN | reserved | opcode, b""), 1002));
        }
        let bytes = [frame(TEXT, b"x"), frame(FIN | reserved | CONTINUE, b"x")].concat();
        cases.push((
            format!("a continuation with bits {reserved:x}"),
            bytes,
            1002,
        ));
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        cases.push((format!("opcode {opcode}"), frame(FIN | opcode, b""), 1002));
    }
    for code in [
        0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535,
    ] {
        let payload = u16::to_be_bytes(code);
        cases.push((format!("close code {code}"), close(&payload), 1002));
    }
    for (name, bytes, code) in cases {
        for piece in [1, bytes.len()] {
            assert_eq!(received(&bytes, piece).1, code, "{name}");
        }
    }
}

#[test]
fn what_a_client_may_close_with_is_told() {
    assert_eq!(received(&close(b""), 1).0, [Incoming::Close(None)]);
    for code in [1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 4999] {
        let close = received(&close(&u16::to_be_bytes(code)), 1).0;
        let reason = actix_ws::CloseReason {
            code: code.into(),
            description: None,
        };
        assert_eq!(close, [Incoming::Close(Some(reason))], "{code}");
    }
}

#[test]
fn a_message_that_is_too_large_is_passed_over_whole_or_in_pieces() {
    let large = vec![0xff; LIMIT + 1];
    let half = vec![b'x'; LIMIT / 2 + 1];
    for (name, oversized) in [
        ("at once", vec![frame(FIN | TEXT, &large)]),
        (
            "in two pieces",
            vec![frame(TEXT, &half), frame(FIN | CONTINUE, &half)],
        ),
        (
            "with more to come",
            vec![
                frame(TEXT, &large),
                frame(CONTINUE, &large),
                frame(FIN | CONTINUE, b"x"),
            ],
        ),
    ] {
        let mut bytes = frame(FIN | TEXT, b"before");
        for (nth, piece) in oversized.iter().enumerate() {
            bytes.extend(piece);
            if nth + 1 < oversized.len() {
                bytes.extend(frame(FIN | PONG, b""));
            }
        }
        bytes.extend(frame(FIN | TEXT, &[b'y'; LIMIT]));
        for piece in [3, 1000, bytes.len()] {
            let (received, _) = received(&bytes, piece);
            let received: Vec<_> = received
                .into_iter()
                .filter(|incoming| *incoming != Incoming::Pong)
                .collect();
            let expected = [
                text("before"),
                Incoming::Oversized,
                text(&"y".repeat(LIMIT)),
            ];
            assert!(received == expected, "{name}, in pieces of {piece}");
        }
    }
}

#[test]
fn nothing_is_held_of_what_is_passed_over() {
    let mut assembler = Assembler::new(10);
    let mut begun = Bytes::from([header(TEXT, 10), vec![0; 10]].concat());
    assert_eq!(assembler.push(&mut begun).unwrap(), None);
    let mut too_much = Bytes::from(header(CONTINUE, 1 << 20));
    let close = assembler.push(&mut too_much).unwrap();
    assert_eq!(close, Some(Incoming::Oversized));
    for _ in 0..16 {
        let mut piece = Bytes::from(vec![0; 1 << 16]);
        assert_eq!(assembler.push(&mut piece).unwrap(), None);
        assert!(matches!(assembler.message, Some(Message::Skipped(_))));
    }
    // Pieces without end come to one.
    let pieces = (MAX_SKIPPED_BYTES >> 20) + 1;
    let refused = (0..pieces).find_map(|_| {
        let begun = assembler.push(&mut Bytes::from(header(CONTINUE, 1 << 20)));
        assembler.frame = None;
        begun.err()
    });
    assert_eq!(refused.unwrap().code(), 1009);
}

#[test]
fn before_a_key_is_proven_little_is_read() {
    let key = r#"{"type": "auth", "session_api_key": "sekrit"}"#;
    let asks = |bytes: Vec<u8>| {
        let mut messages = messages(&bytes, 1000);
        loop {
            match messages.recv().now_or_never().unwrap() {
                Ok(Incoming::Text(text)) => return Ok(text.to_string()),
                Ok(Incoming::Oversized) => return Err(0),
                Ok(_) => {}
                Err(goodbye) => return Err(goodbye.code()),
            }
        }
    };
    let auth = frame(FIN | TEXT, key.as_bytes());
    // What comes behind it counts no more.
    let more = [auth.clone(), vec![0; 2 * UNAUTHENTICATED_BYTES]].concat();
    assert_eq!(asks(more), Ok(key.to_owned()));
    // It is too large for a message: the socket closes then.
    assert_eq!(
        asks(frame(FIN | TEXT, &[b' '; UNAUTHENTICATED_BYTES + 1])),
        Err(0)
    );
    let piece = [frame(TEXT, &[b' '; 3000]), frame(CONTINUE, &[b' '; 3000])].concat();
    assert_eq!(asks(piece), Err(0));
    // Pings, and pieces without content, count as well.
    let pings = [frame(FIN | PING, &[0; 100]).repeat(50), auth.clone()].concat();
    assert_eq!(asks(pings), Err(1009));
    let nothing = [frame(TEXT, b""), frame(CONTINUE, b"").repeat(1000)].concat();
    assert_eq!(asks(nothing), Err(1009));
}
