//! How frames look on the wire: as those of a WebSocket, or as the blocks of an event stream.

use actix_http::ws::Codec;
use actix_ws::{CloseCode, CloseReason, Message};
use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;
use serde_json::json;
use tokio_util::codec::Encoder;

use crate::{
    gathered::Gathered,
    goodbye::Goodbye,
    source::{Line, Out, Place},
};

/// Milliseconds after which a client that lost an event stream asks again.
const RETRY: u32 = 1000;
/// What a frame needs beside its JSON, about.
const AROUND: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// RFC 6455.
    Socket,
    /// <https://html.spec.whatwg.org/multipage/server-sent-events.html>
    Stream,
}

impl Form {
    /// Room for a page.
    pub(crate) fn chunk(page: &[Out]) -> Gathered {
        let lines = page.iter().map(|out| &out.json);
        let small =
            |line: &Line| line.len() - line.event.len() + Gathered::room_for(line.event.len());
        Gathered::with_room(lines.map(|line| small(line) + AROUND).sum())
    }

    /// What comes before everything else; `place` is where a client goes on that gets nothing more.
    pub(crate) fn greeting(self, place: Option<Place>, chunk: &mut BytesMut) {
        match self {
            Self::Socket => {}
            Self::Stream => {
                chunk.put_slice(format!("retry: {RETRY}\n").as_bytes());
                if let Some(place) = place {
                    // Without data it is no event and still the last id that the client knows.
                    chunk.put_slice(format!("id: {place}\n").as_bytes());
                }
                chunk.put_u8(b'\n');
            }
        }
    }

    /// # Errors
    /// When it cannot be sent in this form.
    pub(crate) fn frame(self, out: Out, chunk: &mut Gathered) -> Result<(), Goodbye> {
        match self {
            Self::Socket => {
                std::str::from_utf8(&out.json.event).map_err(|_not_utf8| Goodbye::Failed)?;
                text_header(out.json.len(), chunk.small());
                put(out.json, chunk);
                Ok(())
            }
            Self::Stream => {
                if let Some(place) = out.place {
                    chunk.small().put_slice(format!("id: {place}\n").as_bytes());
                }
                // A log line has no line breaks, so it is one `data` field.
                chunk.small().put_slice(b"data: ");
                put(out.json, chunk);
                chunk.small().put_slice(b"\n\n");
                Ok(())
            }
        }
    }

    /// # Errors
    /// When it is no text. Log lines are checked to be JSON when they are read.
    pub(crate) fn text(self, json: Bytes, chunk: &mut BytesMut) -> Result<(), Goodbye> {
        match self {
            Self::Socket => {
                let text = ByteString::try_from(json).map_err(|_not_utf8| Goodbye::Failed)?;
                encode(Message::Text(text), chunk)
            }
            Self::Stream => {
                // A log line has no line breaks, so it is one `data` field.
                chunk.put_slice(b"data: ");
                chunk.put_slice(&json);
                chunk.put_slice(b"\n\n");
                Ok(())
            }
        }
    }

    /// Something that keeps the connection alive and says nothing.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub(crate) fn heartbeat(self, chunk: &mut BytesMut) -> Result<(), Goodbye> {
        match self {
            Self::Socket => encode(Message::Ping(Bytes::new()), chunk),
            Self::Stream => {
                chunk.put_slice(b": still here\n\n");
                Ok(())
            }
        }
    }

    pub(crate) fn pong(self, payload: Bytes, chunk: &mut BytesMut) {
        match self {
            // Its payload came in a ping, so it is not too long.
            Self::Socket => encode(Message::Pong(payload), chunk).ok(),
            Self::Stream => None,
        };
    }

    /// The last words; none when nobody hears them.
    pub(crate) fn farewell(self, goodbye: Goodbye) -> Option<Bytes> {
        let (code, reason) = goodbye.words();
        let close = match (self, goodbye) {
            (_, Goodbye::Gone) => return None,
            (Self::Stream, _) => {
                let data = json!({"code": code, "reason": reason});
                return Some(format!("event: end\ndata: {data}\n\n").into());
            }
            (Self::Socket, Goodbye::Peer(reason)) => reason,
            (Self::Socket, _) => Some(CloseReason {
                code: CloseCode::from(code),
                description: Some(reason.to_owned()),
            }),
        };
        let mut chunk = BytesMut::new();
        encode(Message::Close(close), &mut chunk).ok()?;
        Some(chunk.freeze())
    }
}

fn put(line: Line, chunk: &mut Gathered) {
    chunk.small().put_slice(line.head.as_bytes());
    chunk.push(line.event);
    chunk.small().put_slice(line.tail.as_bytes());
}

/// What comes before the payload of an unmasked text frame that is not continued: RFC 6455, 5.2. The codec
/// would copy the payload.
fn text_header(length: usize, chunk: &mut BytesMut) {
    chunk.put_u8(0x81);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..126), _) => chunk.put_u8(short),
        (_, Ok(medium)) => {
            chunk.put_u8(126);
            chunk.put_u16(medium);
        }
        _ => {
            chunk.put_u8(127);
            chunk.put_u64(length as u64);
        }
    }
}

fn encode(message: Message, chunk: &mut BytesMut) -> Result<(), Goodbye> {
    Codec::new().encode(message, chunk).map_err(|error| {
        tracing::error!(%error, "a frame cannot be encoded");
        Goodbye::Failed
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_frames_are_those_of_the_codec() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            let text = "x".repeat(length);
            let mut expected = BytesMut::new();
            encode(Message::Text(text.clone().into()), &mut expected).unwrap();
            let mut chunk = Gathered::default();
            let out = Out {
                place: None,
                json: text.into(),
            };
            Form::Socket.frame(out, &mut chunk).unwrap();
            let mut bytes = Vec::new();
            while let Some(piece) = chunk.next_piece() {
                bytes.extend_from_slice(&piece);
            }
            assert!(bytes == expected, "{length}");
        }
    }
}
