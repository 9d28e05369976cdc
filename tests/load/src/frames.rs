use anyhow::{Result, bail};

/// Bytes of a socket's first message that are looked at to tell whether it is a snapshot.
const PEEK: usize = 2048;

/// Counts the messages of a WebSocket's byte stream, without copying or parsing what they say.
#[derive(Default)]
pub(crate) struct FrameCounter {
    /// The begin of a header that came in pieces.
    header: Vec<u8>,
    /// Bytes of the payload still to come.
    left: u64,
    payload: Payload,
    first: Vec<u8>,
    messages: u64,
    snapshots: u64,
    /// Pings that wait for an answer.
    pub(crate) pings: u32,
    pub(crate) close_code: Option<u16>,
    code: Vec<u8>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Payload {
    /// Ends a message.
    Last,
    /// More of the message follows in another frame.
    #[default]
    Part,
    Ping,
    Pong,
    Close,
}

struct Header {
    payload: Payload,
    length: u64,
    size: usize,
}

impl FrameCounter {
    /// Messages that came whole, without the snapshot that a server may begin with.
    pub(crate) fn events(&self) -> u64 {
        self.messages - self.snapshots
    }

    /// Whether any message came.
    pub(crate) fn has_begun(&self) -> bool {
        self.messages > 0
    }

    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            if self.left > 0 {
                let here = usize::try_from(self.left).unwrap_or(usize::MAX);
                let (now, rest) = bytes.split_at(here.min(bytes.len()));
                self.look_at(now);
                self.left -= now.len() as u64;
                bytes = rest;
                if self.left == 0 {
                    self.end_frame();
                }
                continue;
            }
            let header = if self.header.is_empty() {
                parse(bytes)?
            } else {
                None
            };
            let header = match header {
                Some(header) => {
                    bytes = &bytes[header.size..];
                    header
                }
                None => {
                    self.header.push(bytes[0]);
                    bytes = &bytes[1..];
                    let Some(header) = parse(&self.header)? else {
                        continue;
                    };
                    self.header.clear();
                    header
                }
            };
            self.payload = header.payload;
            self.left = header.length;
            if self.left == 0 {
                self.end_frame();
            }
        }
        Ok(())
    }

    fn look_at(&mut self, payload: &[u8]) {
        let (kept, most) = match self.payload {
            Payload::Last | Payload::Part if self.messages == 0 => (&mut self.first, PEEK),
            Payload::Close => (&mut self.code, 2),
            Payload::Last | Payload::Part | Payload::Ping | Payload::Pong => return,
        };
        let wanted = most.saturating_sub(kept.len()).min(payload.len());
        kept.extend_from_slice(&payload[..wanted]);
    }

    fn end_frame(&mut self) {
        match self.payload {
            Payload::Last => {
                self.messages += 1;
                if self.messages == 1 {
                    let mark = b"\"full_state\"";
                    let found = self.first.windows(mark.len()).any(|part| part == mark);
                    self.snapshots = u64::from(found);
                    self.first = Vec::new();
                }
            }
            Payload::Part | Payload::Pong => {}
            Payload::Ping => self.pings += 1,
            Payload::Close => {
                let code = <[u8; 2]>::try_from(self.code.as_slice());
                self.close_code = Some(code.map_or(1005, u16::from_be_bytes));
            }
        }
    }
}

/// A header at the begin of `bytes`, if all of it is there.
fn parse(bytes: &[u8]) -> Result<Option<Header>> {
    let &[first, second, ref rest @ ..] = bytes else {
        return Ok(None);
    };
    if first & 0x70 != 0 || second & 0x80 != 0 {
        bail!("the server sent a frame with a mask or an extension");
    }
    let last = first & 0x80 != 0;
    let payload = match first & 0x0f {
        0..=2 if last => Payload::Last,
        0..=2 => Payload::Part,
        8 => Payload::Close,
        9 => Payload::Ping,
        10 => Payload::Pong,
        other => bail!("the server sent a frame of the unknown kind {other}"),
    };
    let (length, size) = match (second, rest) {
        (126, &[a, b, ..]) => (u64::from(u16::from_be_bytes([a, b])), 4),
        (127, &[a, b, c, d, e, f, g, h, ..]) => (u64::from_be_bytes([a, b, c, d, e, f, g, h]), 10),
        (126 | 127, _) => return Ok(None),
        (length, _) => (u64::from(length), 2),
    };
    Ok(Some(Header {
        payload,
        length,
        size,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload.len() {
            short @ 0..=125 => bytes.push(short as u8),
            middle @ 126..=65535 => {
                bytes.push(126);
                bytes.extend((middle as u16).to_be_bytes());
            }
            long => {
                bytes.push(127);
                bytes.extend((long as u64).to_be_bytes());
            }
        }
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn messages_are_counted_however_the_bytes_are_cut() {
        let mut bytes = frame(0x81, br#"{"key":"full_state"}"#);
        bytes.extend(frame(0x81, b""));
        bytes.extend(frame(0x81, &[b'a'; 200]));
        bytes.extend(frame(0x89, b"ping"));
        bytes.extend(frame(0x01, b"begin "));
        bytes.extend(frame(0x80, b"end"));
        bytes.extend(frame(0x8a, b""));
        bytes.extend(frame(0x82, &[b'b'; 70_000]));
        bytes.extend(frame(0x88, &[0x03, 0xf5, b'w', b'h', b'y']));
        for size in [1, 2, 3, 5, 1000, bytes.len()] {
            let mut counter = FrameCounter::default();
            for piece in bytes.chunks(size) {
                counter.feed(piece).unwrap();
            }
            assert_eq!(counter.events(), 4, "in pieces of {size}");
            assert_eq!(counter.pings, 1);
            assert_eq!(counter.close_code, Some(1013));
        }
    }

    #[test]
    fn a_first_event_that_is_no_snapshot_counts() {
        let mut counter = FrameCounter::default();
        counter
            .feed(&frame(0x81, br#"{"kind":"MessageEvent"}"#))
            .unwrap();
        assert_eq!(counter.events(), 1);
    }

    #[test]
    fn a_request_that_is_not_a_websocket_is_refused() {
        for bytes in [&b"HTTP/1.1 400"[..], &[0x81, 0x80], &[0x83, 0x00]] {
            assert!(FrameCounter::default().feed(bytes).is_err());
        }
    }
}
