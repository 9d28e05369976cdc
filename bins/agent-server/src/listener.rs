//! The listening socket: bound here, handed over by the supervisor, or by systemd.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs},
    os::fd::AsFd,
    time::Duration,
};

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};

use crate::start_error::{StartError, user_name};

/// Connections that may wait for the server, for example while it is swapped.
const BACKLOG: i32 = 1024;

/// What the kernel may buffer for one client that reads slowly, in bytes.
const SEND_BUFFER: usize = 256 << 10;

/// A listening socket.
pub struct Listener {
    pub socket: TcpListener,
    /// Whether another process has it open too, so that connections wait for the next server when this one
    /// has stopped.
    pub inherited: bool,
}

impl From<TcpListener> for Listener {
    /// One that was bound here, and is closed at the end.
    fn from(socket: TcpListener) -> Self {
        Self {
            socket,
            inherited: false,
        }
    }
}

/// The socket that systemd passes (`LISTEN_FDS`), or one bound to the first address of `host` that
/// is free; version 4 addresses come first.
///
/// # Errors
/// Says which flag helps.
pub fn bind(host: &str, port: u16) -> Result<Listener, StartError> {
    if let Some(socket) = listenfd::ListenFd::from_env().take_tcp_listener(0)? {
        return Ok(Listener {
            socket,
            inherited: true,
        });
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
    outcome.map(Listener::from)
}

/// The supervisor's socket, which it passed as standard input. Standard input becomes empty, so
/// that no program the agent starts holds the socket.
///
/// # Errors
/// When standard input is not a listening socket.
pub fn take_over() -> io::Result<Listener> {
    let socket = TcpListener::from(io::stdin().as_fd().try_clone_to_owned()?);
    socket.local_addr()?;
    nix::unistd::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    Ok(Listener {
        socket,
        inherited: true,
    })
}

/// Limits what the kernel buffers for accepted connections, which inherit this: how many bytes, and for how
/// long if the client reads nothing. Without the second limit, a client that never reads again would keep
/// its connection forever.
///
/// # Errors
/// When the system refuses.
pub fn bound_connections(listener: &TcpListener, unread_timeout: Duration) -> io::Result<()> {
    let socket = SockRef::from(listener);
    socket.set_send_buffer_size(SEND_BUFFER)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(unread_timeout))?;
    Ok(())
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::{io::Write, net::TcpStream};

    use super::*;

    /// Only a hang gets there.
    const HANG: Duration = Duration::from_secs(60);

    #[test]
    fn a_connection_ends_when_its_client_reads_nothing_for_too_long() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let unread_timeout = Duration::from_secs(1);
        bound_connections(&listener, unread_timeout).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut accepted, _) = listener.accept().unwrap();
        let inherited = SockRef::from(&accepted).tcp_user_timeout().unwrap();
        assert_eq!(inherited, Some(unread_timeout));
        accepted.set_write_timeout(Some(HANG)).unwrap();
        let error = loop {
            if let Err(error) = accepted.write_all(&[0; 1 << 16]) {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(client);
    }
}
