//! The listening socket: bound here, handed over by the supervisor, or by systemd.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs},
    os::fd::AsFd,
};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::start_error::{StartError, user_name};

/// Connections that may wait for the server; they do while it is swapped.
const BACKLOG: i32 = 1024;

/// What the kernel may hold back for one client that reads slowly, in bytes.
const SEND_BUFFER: usize = 256 << 10;

/// The socket that systemd passes (`LISTEN_FDS`), or one bound to the first address of `host` that
/// can be had; version 4 addresses come first.
///
/// # Errors
/// Says which flag helps.
pub fn bind(host: &str, port: u16) -> Result<TcpListener, StartError> {
    if let Some(passed) = listenfd::ListenFd::from_env().take_tcp_listener(0)? {
        return Ok(passed);
    }
    let shown = shown(host, port);
    let unusable = |source| refused(&shown, source);
    let mut addresses: Vec<SocketAddr> = (plain(host), port)
        .to_socket_addrs()
        .map_err(unusable)?
        .collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    let mut outcome = Err(refused(&shown, io::ErrorKind::AddrNotAvailable.into()));
    for address in addresses {
        outcome = listen(address).map_err(unusable);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

/// The supervisor's socket, which it passed as standard input. Standard input becomes empty, so
/// that no program the agent starts holds the socket.
///
/// # Errors
/// When standard input is no listening socket.
pub fn take_over() -> io::Result<TcpListener> {
    let listener = TcpListener::from(io::stdin().as_fd().try_clone_to_owned()?);
    listener.local_addr()?;
    nix::unistd::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    Ok(listener)
}

/// Whether other machines can reach an address.
#[must_use]
pub fn is_open_to_others(address: IpAddr) -> bool {
    !address.to_canonical().is_loopback()
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A server that has just stopped leaves connections behind that would block its address.
    socket.set_reuse_address(true)?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(&SockAddr::from(address))?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn refused(address: &str, source: io::Error) -> StartError {
    let address = address.to_owned();
    let kind = source.kind();
    if kind == io::ErrorKind::AddrInUse {
        return StartError::PortInUse { address };
    }
    if kind == io::ErrorKind::PermissionDenied {
        let user = user_name();
        return StartError::PortNotAllowed { address, user };
    }
    StartError::Listen { address, source }
}

/// `[::1]` may be written with its brackets.
fn plain(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

fn shown(host: &str, port: u16) -> String {
    let host = plain(host);
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}
