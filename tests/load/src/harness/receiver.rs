use std::{
    collections::HashMap,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

const BUFFER: usize = 64 << 10;
const MAX_HEADERS: usize = 100;

/// Who is sent requests, on a free loopback port: HTTP/1.1, one thread a connection, and as little work
/// as can be. Dropping it closes everything at once, as a killed process would.
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

/// What a receiver does with bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bodies {
    Read,
    /// They are taken off the connection, and not looked at.
    Skipped,
}

/// One request that came whole.
pub struct Request<'a> {
    head: &'a str,
    /// Empty where bodies are skipped.
    pub body: &'a [u8],
}

/// What is done about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    Status(u16),
    /// None, until the other side goes away.
    Never,
    HangUp,
}

struct Shared {
    stopped: AtomicBool,
    bodies: Bodies,
    answering: Box<dyn Fn(&Request<'_>) -> Reply + Send + Sync>,
    /// Those that are open, so that they can be closed.
    connections: Mutex<HashMap<u64, TcpStream>>,
}

impl Receiver {
    /// Answers each request with what `answering` makes of it, on the thread of its connection.
    ///
    /// # Errors
    /// When there is no free port.
    pub fn start(
        bodies: Bodies,
        answering: impl Fn(&Request<'_>) -> Reply + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            stopped: AtomicBool::new(false),
            bodies,
            answering: Box::new(answering),
            connections: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        Ok(Self {
            address,
            shared,
            acceptor: Some(std::thread::spawn(move || accept(&listener, &accepting))),
        })
    }

    /// Where it is: `path` begins with a slash.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the acceptor.
        TcpStream::connect(self.address).ok();
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.join().ok();
        }
        for connection in self.shared.open().values() {
            connection.shutdown(Shutdown::Both).ok();
        }
    }
}

impl Request<'_> {
    #[must_use]
    pub fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// A header that is a number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        self.header(name)?.parse().ok()
    }
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, HashMap<u64, TcpStream>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for (number, connection) in (0..).zip(listener.incoming()) {
        if shared.stopped.load(Ordering::SeqCst) {
            return;
        }
        let Ok(socket) = connection else { continue };
        if let Ok(known) = socket.try_clone() {
            shared.open().insert(number, known);
        }
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            // A sender that is killed breaks its connections.
            serve(&socket, &shared).ok();
            shared.open().remove(&number);
            socket.shutdown(Shutdown::Both).ok();
        });
    }
}

fn serve(socket: &TcpStream, shared: &Shared) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(BUFFER, socket);
    let (mut head, mut body) = (Vec::new(), Vec::new());
    while read_head(&mut reader, &mut head)? {
        let mut request = Request {
            head: std::str::from_utf8(&head).map_err(|_| io::ErrorKind::InvalidData)?,
            body: &[],
        };
        let length = request.number("content-length").unwrap_or(0);
        match shared.bodies {
            Bodies::Skipped => skip(&mut reader, length)?,
            Bodies::Read => {
                body.clear();
                let read = (&mut reader).take(length).read_to_end(&mut body)?;
                if (read as u64) < length {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                request.body = &body;
            }
        }
        match (shared.answering)(&request) {
            Reply::Status(status) => {
                let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\n\r\n{{}}");
                let mut socket = socket;
                socket.write_all(answer.as_bytes())?;
            }
            Reply::Never => {
                io::copy(&mut reader, &mut io::sink())?;
                return Ok(());
            }
            Reply::HangUp => return Ok(()),
        }
    }
    Ok(())
}

/// The request line and the headers, without the empty line; false when no request comes any more.
fn read_head(reader: &mut impl BufRead, head: &mut Vec<u8>) -> io::Result<bool> {
    head.clear();
    for _ in 0..MAX_HEADERS {
        let begin = head.len();
        if reader.read_until(b'\n', head)? == 0 {
            return match begin {
                0 => Ok(false),
                _ => Err(io::ErrorKind::UnexpectedEof.into()),
            };
        }
        if head[begin..].trim_ascii().is_empty() {
            head.truncate(begin);
            return Ok(true);
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

fn skip(reader: &mut impl BufRead, mut left: u64) -> io::Result<()> {
    while left > 0 {
        let there = reader.fill_buf()?.len();
        if there == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(there);
        reader.consume(taken);
        left -= taken as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Connection, Target};

    fn target(receiver: &Receiver) -> Target {
        Target::parse(&receiver.url(""), crate::Dialect::Readme).unwrap()
    }

    fn about(request: &Request<'_>) -> String {
        let body = String::from_utf8_lossy(request.body);
        format!("{} {:?} {body}", request.path(), request.number("x-seq"))
    }

    #[test]
    fn requests_come_whole_one_after_the_other_and_are_answered_as_wished() {
        for (bodies, seen) in [
            (
                Bodies::Read,
                ["/a Some(7) {\"a\": 1}", "/b Some(8) x", "/c None "],
            ),
            (Bodies::Skipped, ["/a Some(7) ", "/b Some(8) ", "/c None "]),
        ] {
            let received = Arc::new(Mutex::new(Vec::new()));
            let collected = Arc::clone(&received);
            let receiver = Receiver::start(bodies, move |request| {
                collected.lock().unwrap().push(about(request));
                match request.path() {
                    "/a" => Reply::Status(503),
                    "/b" => Reply::Status(200),
                    _ => Reply::HangUp,
                }
            })
            .unwrap();
            let mut connection = Connection::new(&target(&receiver));
            let mut send = |path: &str, headers: &str, body: &[u8]| {
                let answer = connection.request_with("POST", path, headers, body);
                answer.map(|answer| answer.status)
            };
            assert_eq!(send("/a", "X-Seq: 7\r\n", b"{\"a\": 1}").unwrap(), 503);
            assert_eq!(send("/b", "x-seq:8\r\n", b"x").unwrap(), 200);
            assert!(send("/c", "", b"").is_err());
            assert_eq!(*received.lock().unwrap(), seen);
        }
    }

    #[test]
    fn dropping_it_ends_a_connection_that_waits_for_an_answer() {
        let (came, coming) = std::sync::mpsc::channel();
        let receiver = Receiver::start(Bodies::Skipped, move |_| {
            came.send(()).unwrap();
            Reply::Never
        })
        .unwrap();
        let target = target(&receiver);
        let waiting =
            std::thread::spawn(move || Connection::new(&target).request("POST", "/", b"x"));
        coming.recv().unwrap();
        assert!(!waiting.is_finished());
        drop(receiver);
        assert!(waiting.join().unwrap().is_err());
    }
}
