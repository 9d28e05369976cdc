//! Clients that mean no good, against the real program: what they cost is bounded, and given back.

use std::{
    cell::RefCell,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::Command,
};

use serde_json::json;
use test_support::floods::{self, Memory};

use crate::support::{HANG, Running, agent_server, ask_with, command, parts, wait_until};

const MEGABYTE: u64 = 1 << 20;
/// What the server may have had at the worst of a flood: far above what it needs, and far below what it
/// took when nothing was bounded.
const AT_WORST: u64 = 250 * MEGABYTE;
/// What it may still have afterwards.
const AFTERWARDS: u64 = 150 * MEGABYTE;
const KEY: &str = "the-key-of-these-tests";
const WITH_KEY: &str = "X-Session-API-Key: the-key-of-these-tests\r\n";
/// A large event, as a program that prints much makes one.
const LARGE: usize = 9_500_000;

fn with_key(mut command: Command) -> Running {
    command.args(["--host", "127.0.0.1", "--port", "0"]);
    command.env("SESSION_API_KEY", KEY);
    Running::start(&mut command)
}

fn memory(server: &Running) -> Memory {
    floods::memory(server.pid()).unwrap()
}

/// It answers as if nothing had been.
fn answers(server: &Running) {
    let answer = server.get("/health").unwrap();
    assert_eq!(parts(&answer).unwrap().0, 200, "{answer}");
}

/// It was never larger than it may be, and becomes small again.
fn stayed_small(what: &str, server: &Running) {
    answers(server);
    let Memory { worst, .. } = memory(server);
    wait_until("memory is given back", || {
        memory(server).resident < AFTERWARDS
    });
    let after = memory(server).resident;
    println!(
        "{what}: at worst {} MB, afterwards {} MB",
        worst / MEGABYTE,
        after / MEGABYTE
    );
    assert!(worst < AT_WORST, "{what}: {} MB", worst / MEGABYTE);
}

/// A conversation with one large event and some small ones; its id.
fn conversation(server: SocketAddr, folder: &Path) -> String {
    let ask = |path: &str, body: &str| {
        let answer = ask_with(server, "POST", path, WITH_KEY, body).unwrap();
        let (status, body) = parts(&answer).unwrap();
        assert!((200..300).contains(&status), "{answer:.300}");
        body
    };
    let new = json!({"workspace": {"working_dir": folder}}).to_string();
    let info: serde_json::Value = serde_json::from_str(&ask("/conversations", &new)).unwrap();
    let id = info["id"].as_str().unwrap().to_owned();
    for text in ["small".to_owned(), "x".repeat(LARGE), "small".to_owned()] {
        let message = json!({"content": text, "run": false}).to_string();
        ask(&format!("/conversations/{id}/events"), &message);
    }
    id
}

/// Statuses of the answers that come over a connection, until there are so many.
fn statuses(connection: &mut TcpStream, count: usize) -> Vec<u16> {
    connection.set_nonblocking(false).unwrap();
    connection.set_read_timeout(Some(HANG)).unwrap();
    let (mut statuses, mut bytes, mut at) = (Vec::new(), Vec::new(), 0);
    let mut buffer = vec![0; 1 << 16];
    while statuses.len() < count {
        let text = std::str::from_utf8(&bytes[at..]).unwrap();
        let answer = text.split_once("\r\n\r\n").and_then(|(head, _)| {
            let head = head.to_ascii_lowercase();
            let length = head.split_once("content-length: ")?.1;
            let length: usize = length.split("\r\n").next()?.parse().unwrap();
            let whole = head.len() + 4 + length;
            (text.len() >= whole).then(|| (head[9..12].parse().unwrap(), whole))
        });
        if let Some((status, whole)) = answer {
            statuses.push(status);
            at += whole;
            continue;
        }
        bytes.drain(..at);
        at = 0;
        let read = connection.read(&mut buffer).unwrap();
        assert!(read > 0, "it ended after {} answers", statuses.len());
        bytes.extend_from_slice(&buffer[..read]);
    }
    statuses
}

#[test]
fn requests_sent_ahead_wait_until_their_answers_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let server = with_key(agent_server(folder.path()));
    let flood = floods::pipelined(server.address, 100, 5_000, "/health");
    answers(&server);
    drop(flood);
    stayed_small("pipelined requests, answers unread", &server);
}

#[test]
fn answers_to_requests_sent_ahead_come_all_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let server = with_key(agent_server(folder.path()));
    let mut requests = String::new();
    let mut expected = Vec::new();
    for number in 0..3_000 {
        let (request, status) = match number % 4 {
            0 => (
                "GET /conversations/count HTTP/1.1\r\nHost: localhost\r\n\r\n",
                401,
            ),
            1 => ("GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
            // A body full of what looks like ends of heads, read to its end before it is answered.
            2 => (
                "POST /conversations HTTP/1.1\r\nHost: localhost\r\n\
                 X-Session-API-Key: the-key-of-these-tests\r\nContent-Length: 25\r\n\r\n\
                 [\r\n\r\n\r\n\r\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n]",
                422,
            ),
            _ => ("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
        };
        requests += request;
        expected.push(status);
    }
    let mut connection = TcpStream::connect(server.address).unwrap();
    let mut writing = connection.try_clone().unwrap();
    let writer = std::thread::spawn(move || writing.write_all(requests.as_bytes()).unwrap());
    assert_eq!(statuses(&mut connection, expected.len()), expected);
    writer.join().unwrap();
}

#[test]
fn static_answers_that_are_not_read_cost_no_copy_each() {
    let folder = tempfile::tempdir().unwrap();
    let server = with_key(agent_server(folder.path()));
    let floods: Vec<_> = ["", "Accept-Encoding: gzip\r\n"]
        .into_iter()
        .flat_map(|headers| {
            ["/docs/swagger-ui-bundle.js", "/openapi.json"]
                .map(|path| floods::unread_answers(server.address, 100, path, headers))
        })
        .collect();
    answers(&server);
    drop(floods);
    stayed_small("static answers unread", &server);
}

#[test]
fn what_comes_before_a_key_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let server = with_key(agent_server(folder.path()));
    let heads = floods::endless_heads(server.address, 300, 1 << 20);
    let bodies = floods::bodies(server.address, 100, "/conversations", 10 << 20);
    answers(&server);
    drop((heads, bodies));
    stayed_small("heads without end, bodies without a key", &server);
}

#[test]
fn a_request_head_that_is_too_large_or_does_not_end_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let server = with_key(agent_server(folder.path()));
    let mut late = TcpStream::connect(server.address).unwrap();
    // After a whole request, too.
    let requests = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    late.write_all(requests.as_bytes()).unwrap();
    assert_eq!(statuses(&mut late, 1), [200]);
    late.write_all(b"GET /health HTTP/1.1\r\nHos").unwrap();
    let mut silent = TcpStream::connect(server.address).unwrap();
    let mut large = floods::endless_heads(server.address, 1, 100 << 10);
    let text = |connection: &mut TcpStream| {
        let bytes = floods::drained(connection, HANG).unwrap();
        String::from_utf8(bytes).unwrap()
    };
    let answer = text(&mut large.connections[0]);
    let (status, body) = parts(&answer).unwrap();
    assert_eq!(status, 431);
    assert!(answer.contains("x-error-code: head_too_large"), "{answer}");
    assert!(body.starts_with("{\"detail\":"), "{answer}");
    let answer = text(&mut late);
    assert_eq!(parts(&answer).unwrap().0, 408);
    assert!(answer.contains("x-error-code: head_late"), "{answer}");
    assert_eq!(text(&mut silent), "");
}

#[test]
fn a_large_event_is_in_memory_once_for_all_that_do_not_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = with_key(agent_server(folder.path()));
    let id = conversation(server.address, folder.path());
    let address = server.address;
    let flood = [
        floods::unread_sockets(
            address,
            100,
            &format!("/conversations/{id}/events/socket?resend_mode=all"),
            WITH_KEY,
        ),
        floods::unread_answers(
            address,
            100,
            &format!("/conversations/{id}/events/stream?after_seq=-1"),
            WITH_KEY,
        ),
        floods::unread_answers(
            address,
            100,
            &format!("/conversations/{id}/events/search?limit=100"),
            WITH_KEY,
        ),
        floods::unread_answers(
            address,
            20,
            &format!("/conversations/{id}/events/search?limit=100"),
            &format!("Accept-Encoding: gzip\r\n{WITH_KEY}"),
        ),
    ];
    answers(&server);
    // Whoever reads gets it whole.
    let path = format!("/conversations/{id}/events/search?limit=100");
    let page = ask_with(address, "GET", &path, WITH_KEY, "").unwrap();
    let page: serde_json::Value = serde_json::from_str(&parts(&page).unwrap().1).unwrap();
    let texts = page["items"].as_array().unwrap().iter();
    let longest = texts.filter_map(|event| event["llm_message"]["content"][0]["text"].as_str());
    assert_eq!(longest.map(str::len).max(), Some(LARGE));
    drop(flood);
    stayed_small("a large event unread", &server);
}

#[test]
fn a_gigabyte_of_addresses_survives_all_floods_together() {
    let folder = tempfile::tempdir().unwrap();
    let mut limited = command("prlimit".as_ref(), folder.path());
    limited.args(["--as=1073741824", env!("CARGO_BIN_EXE_agent-server")]);
    let mut server = with_key(limited);
    let id = conversation(server.address, folder.path());
    let address = server.address;
    let mut held = Vec::new();
    for _ in 0..2 {
        held.push(floods::pipelined(address, 100, 5_000, "/health"));
        held.push(floods::endless_heads(address, 200, 1 << 20));
        held.push(floods::bodies(address, 50, "/conversations", 10 << 20));
        held.push(floods::unread_answers(
            address,
            100,
            "/docs/swagger-ui-bundle.js",
            "",
        ));
        held.push(floods::unread_sockets(
            address,
            50,
            &format!("/conversations/{id}/events/socket?resend_mode=all"),
            WITH_KEY,
        ));
        held.push(floods::unread_answers(
            address,
            50,
            &format!("/conversations/{id}/events/search?limit=100"),
            &format!("Accept-Encoding: gzip\r\n{WITH_KEY}"),
        ));
        held.push(floods::unread(address, 2_000, b"GET /hea"));
    }
    let Memory { mapped, worst, .. } = memory(&server);
    println!(
        "all floods: {} MB of addresses, {} MB at worst",
        mapped / MEGABYTE,
        worst / MEGABYTE
    );
    drop(held);
    wait_until("it answers again", || {
        let answer = server.get("/health");
        answer.is_ok_and(|answer| parts(&answer).is_some_and(|(status, _)| status == 200))
    });
    let path = format!("/conversations/{id}/events/count");
    let count = ask_with(address, "GET", &path, WITH_KEY, "").unwrap();
    assert_eq!(parts(&count).unwrap().0, 200, "{count}");
    assert!(!server.output().contains("panicked"), "{}", server.output());
    server.signal("TERM");
    assert!(server.wait().success());
}

#[test]
fn connections_beyond_the_limit_are_refused_in_words_and_told_of_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut limited = agent_server(folder.path());
    limited.env("OH_MAX_CONNECTIONS", "20");
    let server = with_key(limited);
    let told = "at most 20 connections, 10 from one address";
    assert_eq!(server.count(told), 1, "{}", server.output());
    // A connection from before may hold one for a moment, and leave it free then.
    let sockets = RefCell::new(Vec::new());
    wait_until("all places are taken", || {
        let more = floods::unread_answers(server.address, 20, "/nowhere", "");
        sockets.borrow_mut().push(more);
        let answer = server.get("/health").unwrap_or_default();
        answer.contains("x-error-code: too_many_connections")
    });
    for _ in 0..30 {
        let answer = server.get("/health").unwrap();
        // One that keeps its connection for a moment may have gone.
        assert!(matches!(parts(&answer).unwrap().0, 200 | 503), "{answer}");
    }
    assert_eq!(server.count("connections refused"), 1);
    drop(sockets);
    wait_until("places come free", || {
        let answer = server.get("/health").unwrap_or_default();
        parts(&answer).is_some_and(|(status, _)| status == 200)
    });
}
