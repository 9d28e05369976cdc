use std::{
    io::{self, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::Target;

/// Longer than any answer takes; only a hang gets there.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Servers drop connections that were idle for a few seconds.
const STALE_AFTER: Duration = Duration::from_secs(2);
const CHUNK: usize = 16 << 10;

/// A keep-alive HTTP/1.1 connection, blocking and lean, so that a measurement is the server's.
pub struct Connection {
    target: Target,
    stream: Option<TcpStream>,
    used: Instant,
}

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Connection {
    /// Connects with the first request.
    #[must_use]
    pub fn new(target: &Target) -> Self {
        Self {
            target: target.clone(),
            stream: None,
            used: Instant::now(),
        }
    }

    /// Sends a request, `path` with its query, and waits for the answer. A request that fails is not
    /// sent again.
    ///
    /// # Errors
    /// When there is no connection, it breaks, or what comes is no HTTP.
    pub fn request(&mut self, method: &str, path: &str, body: &[u8]) -> io::Result<Answer> {
        self.request_with(method, path, "", body)
    }

    /// The same with more headers, each ended by its line end.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub fn request_with(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> io::Result<Answer> {
        let stream = match self.stream.take() {
            Some(stream) if self.used.elapsed() < STALE_AFTER => stream,
            Some(_) | None => connect(&self.target)?,
        };
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\n{}{headers}content-type: application/json\r\n\
             content-length: {}\r\n\r\n",
            self.target.authority,
            self.target.key_header(),
            body.len(),
        )
        .into_bytes();
        request.extend_from_slice(body);
        (&stream).write_all(&request)?;
        let mut reader = Reader::new(&stream);
        let head = reader.head()?;
        let answer = Answer {
            status: head.status,
            body: reader.body(&head)?,
        };
        if !head.closes {
            self.stream = Some(stream);
            self.used = Instant::now();
        }
        Ok(answer)
    }
}

fn connect(target: &Target) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&target.address, TIMEOUT)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    Ok(stream)
}

struct Head {
    status: u16,
    length: Option<usize>,
    chunked: bool,
    closes: bool,
}

struct Reader<'a> {
    stream: &'a TcpStream,
    buffer: Vec<u8>,
}

impl<'a> Reader<'a> {
    fn new(stream: &'a TcpStream) -> Self {
        let buffer = Vec::with_capacity(1024);
        Self { stream, buffer }
    }

    fn head(&mut self) -> io::Result<Head> {
        let end = self.until(b"\r\n\r\n")?;
        let text = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
        self.buffer.drain(..end + 4);
        let status = text.get(9..12).and_then(|code| code.parse().ok());
        let mut head = Head {
            status: status.ok_or_else(|| broken("no status line"))?,
            length: None,
            chunked: false,
            closes: false,
        };
        for line in text.lines().skip(1) {
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => head.length = value.parse().ok(),
                "transfer-encoding" => head.chunked = value.eq_ignore_ascii_case("chunked"),
                "connection" => head.closes = value.eq_ignore_ascii_case("close"),
                _ => {}
            }
        }
        Ok(head)
    }

    fn body(&mut self, head: &Head) -> io::Result<Vec<u8>> {
        if head.chunked {
            return self.chunks();
        }
        let length = match head.length {
            Some(length) => length,
            None if head.closes => {
                self.stream.read_to_end(&mut self.buffer)?;
                self.buffer.len()
            }
            None => 0,
        };
        self.fill(length)?;
        Ok(self.buffer.drain(..length).collect())
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let end = self.until(b"\r\n")?;
            let size = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
            let size = size.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).map_err(|_| broken("a bad chunk"))?;
            self.buffer.drain(..end + 2);
            self.fill(size + 2)?;
            body.extend(self.buffer.drain(..size));
            self.buffer.drain(..2);
            if size == 0 {
                return Ok(body);
            }
        }
    }

    /// Where `mark` begins, once it has come.
    fn until(&mut self, mark: &[u8]) -> io::Result<usize> {
        loop {
            let found = self
                .buffer
                .windows(mark.len())
                .position(|part| part == mark);
            match found {
                Some(at) => return Ok(at),
                None => self.more()?,
            }
        }
    }

    fn fill(&mut self, length: usize) -> io::Result<()> {
        while self.buffer.len() < length {
            self.more()?;
        }
        Ok(())
    }

    fn more(&mut self) -> io::Result<()> {
        let old = self.buffer.len();
        self.buffer.resize(old + CHUNK, 0);
        let read = self.stream.read(&mut self.buffer[old..]);
        self.buffer
            .truncate(old + read.as_ref().copied().unwrap_or(0));
        match read {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn broken(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::Dialect;

    /// What a connection makes of these bytes, sent a few at a time.
    fn answer(bytes: &'static [u8]) -> io::Result<Answer> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.read_exact(&mut [0; 16]).unwrap();
            for piece in bytes.chunks(7) {
                stream.write_all(piece).unwrap();
            }
            stream
        });
        let answer =
            Connection::new(&Target::local(port, Dialect::Readme)).request("GET", "/", b"");
        drop(serving.join().unwrap());
        answer
    }

    #[test]
    fn answers_come_with_a_length_in_chunks_or_none() {
        for (bytes, status, body) in [
            (
                &b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"[..],
                200,
                &b"hello"[..],
            ),
            (
                b"HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n\
                  A;x=y\r\n0123456789\r\n0\r\n\r\n",
                404,
                b"abc0123456789",
            ),
            (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        ] {
            let expected = Answer {
                status,
                body: body.to_vec(),
            };
            assert_eq!(answer(bytes).unwrap(), expected);
        }
        assert!(answer(b"gopher is something else\r\n\r\n").is_err());
    }
}
