//! Floods by malicious clients, over plain sockets and limited in time: for tests that measure what they
//! cost a server, and for programs that attack one.
//!
//! Each function returns the connections that it opened. While they are open, their answers stay unread; when
//! they are dropped, the clients disconnect. Whatever a server does with a connection (closes it, refuses it,
//! stops reading) is not an error here.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    thread::sleep,
    time::{Duration, Instant},
};

/// A server that reads nothing for this time is taken to read no more.
const NO_MORE: Duration = Duration::from_millis(500);
/// No flood takes longer.
const FLOOD_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(10);

/// What a flood has opened.
pub struct Flood {
    pub connections: Vec<TcpStream>,
    /// Bytes that the server took of it, kernel buffers included.
    pub sent: u64,
}

/// Opens so many connections; those that the system refuses are left out.
fn connections(server: SocketAddr, count: usize) -> Vec<TcpStream> {
    (0..count)
        .map_while(|_| TcpStream::connect_timeout(&server, CONNECT).ok())
        .collect()
}

/// Sends `bytes` over each of so many connections, all at a time, until they are sent or the server takes
/// no more, and reads nothing.
#[must_use]
pub fn unread(server: SocketAddr, count: usize, bytes: &[u8]) -> Flood {
    let mut sending: Vec<(TcpStream, usize)> = connections(server, count)
        .into_iter()
        .filter(|connection| connection.set_nonblocking(true).is_ok())
        .map(|connection| (connection, 0))
        .collect();
    let (begin, mut last) = (Instant::now(), Instant::now());
    while last.elapsed() < NO_MORE && begin.elapsed() < FLOOD_TIMEOUT {
        let mut left = false;
        for (connection, sent) in sending.iter_mut().filter(|(_, sent)| *sent < bytes.len()) {
            match connection.write(&bytes[*sent..]) {
                Ok(taken) => {
                    *sent += taken;
                    last = Instant::now();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_closed) => *sent = bytes.len(),
            }
            left |= *sent < bytes.len();
        }
        if !left {
            break;
        }
        sleep(Duration::from_millis(1));
    }
    let sent = sending.iter().map(|(_, sent)| *sent as u64).sum();
    let connections = sending.into_iter().map(|(connection, _)| connection);
    Flood {
        connections: connections.collect(),
        sent,
    }
}

/// Requests one after another on each connection, without waiting for answers.
#[must_use]
pub fn pipelined(server: SocketAddr, connections: usize, requests: usize, path: &str) -> Flood {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {server}\r\n\r\n");
    unread(server, connections, request.repeat(requests).as_bytes())
}

/// One request on each connection; `headers` each with its line end.
#[must_use]
pub fn unread_answers(server: SocketAddr, connections: usize, path: &str, headers: &str) -> Flood {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {server}\r\n{headers}\r\n");
    unread(server, connections, request.as_bytes())
}

/// Request heads of so many bytes that do not end.
#[must_use]
pub fn endless_heads(server: SocketAddr, connections: usize, bytes: usize) -> Flood {
    let mut head = format!("GET /health HTTP/1.1\r\nHost: {server}\r\n").into_bytes();
    while head.len() < bytes {
        head.extend_from_slice(b"x-filler: ");
        head.resize(head.len() + 1000, b'x');
        head.extend_from_slice(b"\r\n");
    }
    unread(server, connections, &head)
}

/// Requests with a body of so many bytes, without a key.
#[must_use]
pub fn bodies(server: SocketAddr, connections: usize, path: &str, bytes: usize) -> Flood {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {server}\r\nContent-Type: application/json\r\n\
         Content-Length: {bytes}\r\n\r\n"
    );
    let mut request = head.into_bytes();
    request.resize(request.len() + bytes, b' ');
    unread(server, connections, &request)
}

/// Upgrades to WebSockets whose frames are not read; `headers` may bring a key.
#[must_use]
pub fn unread_sockets(server: SocketAddr, connections: usize, path: &str, headers: &str) -> Flood {
    let upgrade = format!(
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}"
    );
    unread_answers(server, connections, path, &upgrade)
}

/// What comes back over a connection until it ends, or nothing more comes for `timeout`.
pub fn drained(connection: &mut TcpStream, timeout: Duration) -> io::Result<Vec<u8>> {
    connection.set_nonblocking(false)?;
    connection.set_read_timeout(Some(timeout))?;
    let mut bytes = Vec::new();
    match connection.read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Ok(bytes)
        }
        Err(_) if !bytes.is_empty() => Ok(bytes),
        Err(error) => Err(error),
    }
}

/// Memory of a process as the kernel has it, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    pub resident: u64,
    /// The most that was ever resident.
    pub worst: u64,
    /// Addresses in use.
    pub mapped: u64,
}

/// What a process uses; none when it is gone.
#[must_use]
pub fn memory(process: u32) -> Option<Memory> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let kilobytes = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some(Memory {
        resident: kilobytes("VmRSS:")? << 10,
        worst: kilobytes("VmHWM:")? << 10,
        mapped: kilobytes("VmSize:")? << 10,
    })
}
