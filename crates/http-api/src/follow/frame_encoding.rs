use actix_http::ws::Codec;
use actix_ws::{CloseCode, Message};
use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;
use serde_json::json;
use tokio_util::codec::Encoder;

use super::{
    close_reason::CloseReason,
    frame_source::{FrameJson, OutgoingFrame, Position},
};
use crate::buf_list::BufList;

/// Milliseconds after which a client that lost an event stream reconnects.
const RETRY_MILLISECONDS: u32 = 1000;
/// About what a frame takes besides its JSON.
const FRAME_OVERHEAD_BYTES: usize = 32;

/// How frames look on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameEncoding {
    /// RFC 6455.
    WebSocket,
    /// <https://html.spec.whatwg.org/multipage/server-sent-events.html>
    EventStream,
}

impl FrameEncoding {
    /// A buffer with room for a page.
    pub(crate) fn buffer_for(page: &[OutgoingFrame]) -> BufList {
        let copied = page.iter().map(|frame| {
            let FrameJson { head, event, tail } = &frame.json;
            head.len() + BufList::copied_len(event.len()) + tail.len() + FRAME_OVERHEAD_BYTES
        });
        BufList::with_capacity(copied.sum())
    }

    /// What comes before everything else; `position` is where a client continues that gets nothing more.
    pub(crate) fn opening(self, position: Option<Position>, chunk: &mut BytesMut) {
        match self {
            Self::WebSocket => {}
            Self::EventStream => {
                chunk.put_slice(format!("retry: {RETRY_MILLISECONDS}\n").as_bytes());
                if let Some(position) = position {
                    // Without data it is not an event, and still sets the client's last id.
                    chunk.put_slice(format!("id: {position}\n").as_bytes());
                }
                chunk.put_u8(b'\n');
            }
        }
    }

    /// # Errors
    /// When it cannot be encoded.
    pub(crate) fn frame(
        self,
        frame: OutgoingFrame,
        chunk: &mut BufList,
    ) -> Result<(), CloseReason> {
        match self {
            Self::WebSocket => {
                std::str::from_utf8(&frame.json.event).map_err(|_not_utf8| CloseReason::Failed)?;
                text_header(frame.json.len(), chunk.buffer());
                put(frame.json, chunk);
                Ok(())
            }
            Self::EventStream => {
                if let Some(position) = frame.position {
                    chunk
                        .buffer()
                        .put_slice(format!("id: {position}\n").as_bytes());
                }
                // A log line has no line breaks, so it is one `data` field.
                chunk.buffer().put_slice(b"data: ");
                put(frame.json, chunk);
                chunk.buffer().put_slice(b"\n\n");
                Ok(())
            }
        }
    }

    /// # Errors
    /// When it is not text. Log lines are checked to be JSON when they are read.
    pub(crate) fn text(self, json: Bytes, chunk: &mut BytesMut) -> Result<(), CloseReason> {
        match self {
            Self::WebSocket => {
                let text = ByteString::try_from(json).map_err(|_not_utf8| CloseReason::Failed)?;
                encode(Message::Text(text), chunk)
            }
            Self::EventStream => {
                // A log line has no line breaks, so it is one `data` field.
                chunk.put_slice(b"data: ");
                chunk.put_slice(&json);
                chunk.put_slice(b"\n\n");
                Ok(())
            }
        }
    }

    /// Something that keeps the connection alive and has no meaning.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub(crate) fn heartbeat(self, chunk: &mut BytesMut) -> Result<(), CloseReason> {
        match self {
            Self::WebSocket => encode(Message::Ping(Bytes::new()), chunk),
            Self::EventStream => {
                chunk.put_slice(b": still here\n\n");
                Ok(())
            }
        }
    }

    pub(crate) fn pong(self, payload: Bytes, chunk: &mut BytesMut) {
        match self {
            // Its payload came in a ping, so it is not too long.
            Self::WebSocket => encode(Message::Pong(payload), chunk).ok(),
            Self::EventStream => None,
        };
    }

    /// What is sent last; none when nobody reads it.
    pub(crate) fn close(self, reason: CloseReason) -> Option<Bytes> {
        let (code, text) = reason.code_and_text();
        let close = match (self, reason) {
            (_, CloseReason::ConnectionLost) => return None,
            (Self::EventStream, _) => {
                let data = json!({"code": code, "reason": text});
                return Some(format!("event: end\ndata: {data}\n\n").into());
            }
            (Self::WebSocket, CloseReason::ByPeer(reason)) => reason,
            (Self::WebSocket, _) => Some(actix_ws::CloseReason {
                code: CloseCode::from(code),
                description: Some(text.to_owned()),
            }),
        };
        let mut chunk = BytesMut::new();
        encode(Message::Close(close), &mut chunk).ok()?;
        Some(chunk.freeze())
    }
}

fn put(json: FrameJson, chunk: &mut BufList) {
    chunk.buffer().put_slice(json.head.as_bytes());
    chunk.push(json.event);
    chunk.buffer().put_slice(json.tail.as_bytes());
}

/// The header of an unmasked text frame that is the whole message: RFC 6455, 5.2. The codec would copy
/// the payload.
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

fn encode(message: Message, chunk: &mut BytesMut) -> Result<(), CloseReason> {
    Codec::new().encode(message, chunk).map_err(|error| {
        tracing::error!(%error, "a frame cannot be encoded");
        CloseReason::Failed
    })
}

#[cfg(test)]
mod tests;
