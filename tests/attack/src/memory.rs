//! Floods that once filled the server's memory: answers nobody reads, messages without an end.

use std::{
    io::Write,
    net::{SocketAddr, TcpStream},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use harness::{Api, Server};
use serde_json::json;
use test_support::floods::{self, Memory};

use crate::launcher::{AttackedServer, KEY, Launcher};

/// What a flood may add to the server's memory at worst. The floods added 200 to 1,340 MB once.
const MAX_ADDED_BYTES: u64 = 160 << 20;
/// How long memory may take to be given back, and how much may stay.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_KEPT_BYTES: u64 = 64 << 20;
/// What no longer grows for so long has settled.
const STEADY_TIME: Duration = Duration::from_secs(2);
/// In kilobytes, as the shell counts them: 1 GB.
const ADDRESS_SPACE: &str = "ulimit -v 1048576";

const CLIENTS: usize = 100;
const REQUESTS: usize = 5_000;
const LARGE_EVENT: usize = 9_500_000;

/// One flood against a server of its own: memory before, at worst and after it.
pub(crate) fn flood(launcher: &Launcher, flood: Flood) -> Result<String> {
    let mut server = launcher.start("")?;
    let measured = measure(&mut server, flood)?;
    server.check_works()?;
    server.check_no_process_left()?;
    Ok(measured)
}

/// All of them at once against a server that has 1 GB of addresses.
pub(crate) fn all_in_one_gigabyte(launcher: &Launcher) -> Result<String> {
    let mut server = launcher.start(ADDRESS_SPACE)?;
    let before = memory(&server.server)?;
    let mut open = Vec::new();
    for (name, flood) in FLOODS {
        open.push(flood(&server).with_context(|| (*name).to_owned())?);
    }
    let worst = settled(&server.server)?;
    drop(open);
    server.check_works().context("after all floods at once")?;
    server.check_no_process_left()?;
    Ok(format!(
        "{} MB before, {} at worst, {} of addresses",
        megabytes(before.resident),
        megabytes(worst.worst),
        megabytes(worst.mapped)
    ))
}

pub(crate) type Flood = fn(&AttackedServer) -> Result<Vec<TcpStream>>;

pub(crate) const FLOODS: &[(&str, Flood)] = &[
    ("flood: pipelined requests", |server| {
        let flood = floods::pipelined(address(server), CLIENTS, REQUESTS, "/health");
        Ok(flood.connections)
    }),
    ("flood: unread documents", |server| {
        let flood = floods::unread_answers(address(server), CLIENTS, "/openapi.json", "");
        Ok(flood.connections)
    }),
    ("flood: endless request heads", |server| {
        Ok(floods::endless_heads(address(server), CLIENTS, 1 << 20).connections)
    }),
    ("flood: bodies without a key", |server| {
        let flood = floods::bodies(address(server), CLIENTS, "/conversations", 2 << 20);
        Ok(flood.connections)
    }),
    ("flood: message fragments before a key", |server| {
        let id = server.api().create()?;
        let path = format!("/conversations/{id}/events/socket");
        let mut flood = floods::unread_sockets(address(server), CLIENTS, &path, "");
        let fragments = fragments(2 << 20);
        for connection in &mut flood.connections {
            // It closes as soon as it has enough.
            connection.write_all(&fragments).ok();
        }
        Ok(flood.connections)
    }),
    ("flood: a large event to unread sockets", |server| {
        let mut api = server.api();
        let id = api.create()?;
        large_event(&mut api, &id)?;
        let path = format!("/conversations/{id}/events/socket?resend_mode=all");
        let header = format!("X-Session-API-Key: {KEY}\r\n");
        let flood = floods::unread_sockets(address(server), CLIENTS, &path, &header);
        Ok(flood.connections)
    }),
    ("flood: a large event to unread readers", |server| {
        let mut api = server.api();
        let id = api.create()?;
        large_event(&mut api, &id)?;
        let path = format!("/conversations/{id}/events/search");
        let header = format!("X-Session-API-Key: {KEY}\r\n");
        let flood = floods::unread_answers(address(server), CLIENTS, &path, &header);
        Ok(flood.connections)
    }),
];

fn large_event(api: &mut Api, id: &str) -> Result<()> {
    let text = "x".repeat(LARGE_EVENT);
    let body = json!({"role": "user", "content": [{"type": "text", "text": text}]}).to_string();
    let path = format!("/conversations/{id}/events");
    api.json("POST", &path, body.as_bytes()).map(drop)
}

/// A text message in masked fragments of 64 KiB that never ends (RFC 6455, section 5.4).
fn fragments(bytes: usize) -> Vec<u8> {
    const PIECE: usize = 64 << 10;
    const TEXT: u8 = 0x01;
    const CONTINUATION: u8 = 0x00;
    let mut frames = Vec::with_capacity(bytes + 1024);
    for piece in 0..bytes / PIECE {
        frames.push(if piece == 0 { TEXT } else { CONTINUATION });
        frames.push(0x80 | 127);
        frames.extend_from_slice(&(PIECE as u64).to_be_bytes());
        // A mask of zeros leaves the payload as it is.
        frames.extend_from_slice(&[0; 4]);
        frames.resize(frames.len() + PIECE, b'x');
    }
    frames
}

fn measure(server: &mut AttackedServer, flood: Flood) -> Result<String> {
    let before = memory(&server.server)?.resident;
    let open = flood(server)?;
    let worst = settled(&server.server)?.worst;
    drop(open);
    let begin = Instant::now();
    let after = loop {
        let now = memory(&server.server)?.resident;
        if now < before + MAX_KEPT_BYTES || begin.elapsed() > RELEASE_TIMEOUT {
            break now;
        }
        sleep(Duration::from_millis(100));
    };
    let measured = format!(
        "{} MB before, {} at worst, {} after",
        megabytes(before),
        megabytes(worst),
        megabytes(after)
    );
    if worst > before + MAX_ADDED_BYTES {
        bail!("too much memory: {measured}");
    }
    if after > before + MAX_KEPT_BYTES {
        bail!("memory is not given back: {measured}");
    }
    Ok(measured)
}

/// Memory once the server has worked off what it was sent.
fn settled(server: &Server) -> Result<Memory> {
    let begin = Instant::now();
    let mut last = (memory(server)?, Instant::now());
    while last.1.elapsed() < STEADY_TIME && begin.elapsed() < RELEASE_TIMEOUT {
        sleep(Duration::from_millis(50));
        let now = memory(server)?;
        if now.worst > last.0.worst {
            last = (now, Instant::now());
        }
    }
    memory(server)
}

fn address(server: &AttackedServer) -> SocketAddr {
    server.target().address
}

fn memory(server: &Server) -> Result<Memory> {
    floods::memory(server.pid()).context("the server is gone")
}

fn megabytes(bytes: u64) -> u64 {
    bytes >> 20
}
