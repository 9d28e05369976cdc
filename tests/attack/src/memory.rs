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

use crate::arena::{Arena, KEY, Victim};

/// What a flood may add to the server's memory at worst. The floods added 200 to 1,340 MB once.
const MAY_ADD: u64 = 160 << 20;
/// How long memory may take to be given back, and how much may stay.
const GIVEN_BACK_WITHIN: Duration = Duration::from_secs(30);
const MAY_KEEP: u64 = 64 << 20;
/// What no longer grows for so long has settled.
const STEADY: Duration = Duration::from_secs(2);
/// In kilobytes, as the shell counts them: 1 GB.
const ADDRESS_SPACE: &str = "ulimit -v 1048576";

const CLIENTS: usize = 100;
const REQUESTS: usize = 5_000;
const LARGE_EVENT: usize = 9_500_000;

/// One flood against a server of its own: memory before, at worst and after it.
pub(crate) fn flood(arena: &Arena, flood: Flood) -> Result<String> {
    let mut victim = arena.start("")?;
    let measured = measure(&mut victim, flood)?;
    victim.lives()?;
    victim.leaves_nothing()?;
    Ok(measured)
}

/// All of them at once against a server that has 1 GB of addresses.
pub(crate) fn all_in_one_gigabyte(arena: &Arena) -> Result<String> {
    let mut victim = arena.start(ADDRESS_SPACE)?;
    let before = memory(&victim.server)?;
    let mut open = Vec::new();
    for (name, flood) in FLOODS {
        open.push(flood(&victim).with_context(|| (*name).to_owned())?);
    }
    let worst = settled(&victim.server)?;
    drop(open);
    victim.lives().context("after all floods at once")?;
    victim.leaves_nothing()?;
    Ok(format!(
        "{} MB before, {} at worst, {} of addresses",
        megabytes(before.resident),
        megabytes(worst.worst),
        megabytes(worst.mapped)
    ))
}

pub(crate) type Flood = fn(&Victim) -> Result<Vec<TcpStream>>;

pub(crate) const FLOODS: &[(&str, Flood)] = &[
    ("flood: pipelined requests", |victim| {
        let flood = floods::pipelined(address(victim), CLIENTS, REQUESTS, "/health");
        Ok(flood.connections)
    }),
    ("flood: unread documents", |victim| {
        let flood = floods::unread_answers(address(victim), CLIENTS, "/openapi.json", "");
        Ok(flood.connections)
    }),
    ("flood: endless request heads", |victim| {
        Ok(floods::endless_heads(address(victim), CLIENTS, 1 << 20).connections)
    }),
    ("flood: bodies without a key", |victim| {
        let flood = floods::bodies(address(victim), CLIENTS, "/conversations", 2 << 20);
        Ok(flood.connections)
    }),
    ("flood: message fragments before a key", |victim| {
        let id = victim.api().create()?;
        let path = format!("/conversations/{id}/events/socket");
        let mut flood = floods::unread_sockets(address(victim), CLIENTS, &path, "");
        let fragments = fragments(2 << 20);
        for connection in &mut flood.connections {
            // It closes as soon as it has enough.
            connection.write_all(&fragments).ok();
        }
        Ok(flood.connections)
    }),
    ("flood: a large event to unread sockets", |victim| {
        let mut api = victim.api();
        let id = api.create()?;
        large_event(&mut api, &id)?;
        let path = format!("/conversations/{id}/events/socket?resend_mode=all");
        let header = format!("X-Session-API-Key: {KEY}\r\n");
        let flood = floods::unread_sockets(address(victim), CLIENTS, &path, &header);
        Ok(flood.connections)
    }),
    ("flood: a large event to unread readers", |victim| {
        let mut api = victim.api();
        let id = api.create()?;
        large_event(&mut api, &id)?;
        let path = format!("/conversations/{id}/events/search");
        let header = format!("X-Session-API-Key: {KEY}\r\n");
        let flood = floods::unread_answers(address(victim), CLIENTS, &path, &header);
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

fn measure(victim: &mut Victim, flood: Flood) -> Result<String> {
    let before = memory(&victim.server)?.resident;
    let open = flood(victim)?;
    let worst = settled(&victim.server)?.worst;
    drop(open);
    let begin = Instant::now();
    let after = loop {
        let now = memory(&victim.server)?.resident;
        if now < before + MAY_KEEP || begin.elapsed() > GIVEN_BACK_WITHIN {
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
    if worst > before + MAY_ADD {
        bail!("too much memory: {measured}");
    }
    if after > before + MAY_KEEP {
        bail!("memory is not given back: {measured}");
    }
    Ok(measured)
}

/// Memory once the server has worked off what it was sent.
fn settled(server: &Server) -> Result<Memory> {
    let begin = Instant::now();
    let mut last = (memory(server)?, Instant::now());
    while last.1.elapsed() < STEADY && begin.elapsed() < GIVEN_BACK_WITHIN {
        sleep(Duration::from_millis(50));
        let now = memory(server)?;
        if now.worst > last.0.worst {
            last = (now, Instant::now());
        }
    }
    memory(server)
}

fn address(victim: &Victim) -> SocketAddr {
    victim.target().address
}

fn memory(server: &Server) -> Result<Memory> {
    floods::memory(server.pid()).context("the server is gone")
}

fn megabytes(bytes: u64) -> u64 {
    bytes >> 20
}
