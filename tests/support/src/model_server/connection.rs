use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::Shared;
use super::reply::{Body, Rendered};

const PAUSE: Duration = Duration::from_millis(10);

/// Answers the one request of a connection and closes it.
///
/// # Errors
/// When the client hangs up or does not send HTTP.
pub(super) fn serve(socket: &TcpStream, shared: &Shared) -> io::Result<()> {
    let mut reader = BufReader::new(socket);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let path = first.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    let mut length = 0;
    let mut authorization = None;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().map_err(io::Error::other)?,
            "authorization" => authorization = Some(value.to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;

    let reply = shared.answer(&path, authorization, &body);
    let stream = serde_json::from_slice::<serde_json::Value>(&body)
        .is_ok_and(|request| request["stream"] == true);
    let mut next_call = || {
        let mut state = shared.state();
        state.calls_made += 1;
        state.calls_made
    };
    let rendered = reply.render(stream, body.len(), &mut next_call);
    if !sleep(rendered.delay, shared) {
        return Ok(());
    }
    write(socket, &rendered)
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
    match &rendered.body {
        // Promised whole and sent in part, when cut.
        Body::Whole(text) => {
            head.push_str(&format!("content-length: {}\r\n\r\n", text.len()));
            socket.write_all(head.as_bytes())?;
            let sent = if rendered.cut {
                text.len() / 2
            } else {
                text.len()
            };
            socket.write_all(&text.as_bytes()[..sent])
        }
        Body::Events(events) => {
            head.push_str("transfer-encoding: chunked\r\n\r\n");
            socket.write_all(head.as_bytes())?;
            let sent = if rendered.cut {
                events.len() / 2
            } else {
                events.len()
            };
            for event in &events[..sent] {
                let frame = format!("data: {event}\n\n");
                let chunk = format!("{:x}\r\n{frame}\r\n", frame.len());
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
