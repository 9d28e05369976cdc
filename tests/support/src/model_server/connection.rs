use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::Shared;
use super::render::{Body, Rendered};

const PAUSE: Duration = Duration::from_millis(10);

/// A request as it came.
pub(super) struct HttpRequest {
    /// `POST`
    pub(super) method: String,
    pub(super) path: String,
    /// Names in lower case.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

/// Answers the one request of a connection and closes it.
///
/// # Errors
/// When the client hangs up or does not send HTTP.
pub(super) fn serve(socket: &TcpStream, shared: &Shared) -> io::Result<()> {
    let request = read(socket)?;
    let rendered = shared.answer(&request);
    if !sleep(rendered.delay, shared) {
        return Ok(());
    }
    write(socket, &rendered)
}

fn read(socket: &TcpStream) -> io::Result<HttpRequest> {
    let mut reader = BufReader::new(socket);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut words = first.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next(), words.next());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or("0", String::as_str);
    let mut body = vec![0; length.parse().map_err(io::Error::other)?];
    reader.read_exact(&mut body)?;
    Ok(HttpRequest {
        method: method.unwrap_or_default(),
        path: path.unwrap_or_default(),
        headers,
        body,
    })
}

/// Waits, but not beyond the server's end. Whether the whole time went by.
fn sleep(delay: Duration, shared: &Shared) -> bool {
    let start = Instant::now();
    while start.elapsed() < delay {
        if shared.is_stopped() {
            return false;
        }
        std::thread::sleep(PAUSE.min(delay));
    }
    true
}

fn write(mut socket: &TcpStream, rendered: &Rendered) -> io::Result<()> {
    let mut head = format!(
        "HTTP/1.1 {} Scripted\r\nconnection: close\r\n",
        rendered.status
    );
    for (name, value) in &rendered.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    // Promised whole and sent in part, when cut.
    let sent = |length: usize| if rendered.cut { length / 2 } else { length };
    match &rendered.body {
        Body::Whole(text) => {
            head.push_str(&format!("content-length: {}\r\n\r\n", text.len()));
            socket.write_all(head.as_bytes())?;
            socket.write_all(&text.as_bytes()[..sent(text.len())])
        }
        Body::Events(events) => {
            head.push_str("transfer-encoding: chunked\r\n\r\n");
            socket.write_all(head.as_bytes())?;
            for event in &events[..sent(events.len())] {
                let chunk = format!("{:x}\r\n{event}\r\n", event.len());
                socket.write_all(chunk.as_bytes())?;
                socket.flush()?;
            }
            if rendered.cut {
                return Ok(());
            }
            socket.write_all(b"0\r\n\r\n")
        }
    }
}
