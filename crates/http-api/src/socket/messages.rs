//! What a socket's client says, put together from the bytes that come in. RFC 6455.
//!
//! No more of a message is held than it may have: one that is too large is thrown away as it comes,
//! and what a client may send before it has proven a key is little in all.

use std::{str, time::Instant};

use actix_http::ws::{OpCode, Parser};
use actix_web::dev;
use actix_ws::CloseReason;
use bytes::{Buf, Bytes, BytesMut};
use bytestring::ByteString;
use futures_util::StreamExt;

use super::frame::{Frame, PartialHeader};
use crate::goodbye::Goodbye;

/// Bytes that may come in before a key is proven: in one message, and in all, headers included.
pub(super) const UNPROVEN_BYTES: usize = 4 << 10;

/// Bytes of one message that are thrown away before the socket closes.
const SKIPPED_BYTES: u64 = 1 << 30;

/// What a client said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    Text(ByteString),
    /// A message is coming that is too large. The rest of it is passed over.
    Oversized,
    Ping(Bytes),
    Pong,
    Close(Option<CloseReason>),
}

/// A client's messages, one after another.
pub(super) struct Messages {
    payload: dev::Payload,
    /// What came and was not looked at yet.
    chunk: Bytes,
    assembler: Assembler,
    /// Bytes that may still be read before a key is proven; none: it is.
    unproven: Option<usize>,
    /// The bytes make no sense from here on.
    is_broken: bool,
    /// When something came last.
    heard: Instant,
}

impl Messages {
    /// Those of a client that has not proven a key.
    pub(super) fn new(payload: dev::Payload) -> Self {
        Self {
            payload,
            chunk: Bytes::new(),
            assembler: Assembler::new(UNPROVEN_BYTES),
            unproven: Some(UNPROVEN_BYTES),
            is_broken: false,
            heard: Instant::now(),
        }
    }

    /// The client has proven a key: from here on a message may have so many bytes.
    pub(super) fn trust(&mut self, limit: usize) {
        self.assembler.limit = limit;
        self.unproven = None;
    }

    /// When something came last, be it a part of a message.
    pub(super) fn heard(&self) -> Instant {
        self.heard
    }

    /// Counts as if something came just now.
    pub(super) fn excuse(&mut self) {
        self.heard = Instant::now();
    }

    /// # Errors
    /// When the client may not send this, or is gone.
    ///
    /// # Cancel safety
    /// A dropped call loses nothing.
    pub(super) async fn recv(&mut self) -> Result<Incoming, Goodbye> {
        loop {
            match self.look() {
                Ok(Some(incoming)) => return Ok(incoming),
                Ok(None) => {}
                Err(goodbye) => {
                    self.is_broken = true;
                    return Err(goodbye);
                }
            }
            let Some(Ok(chunk)) = self.payload.next().await else {
                return Err(Goodbye::Gone);
            };
            self.heard = Instant::now();
            self.chunk = chunk;
        }
    }

    /// The next of what is there already.
    fn look(&mut self) -> Result<Option<Incoming>, Goodbye> {
        let before = self.chunk.len();
        let incoming = self.assembler.push(&mut self.chunk);
        if let Some(left) = &mut self.unproven {
            let read = before - self.chunk.len();
            *left = left.checked_sub(read).ok_or(Goodbye::TooLarge)?;
        }
        incoming
    }

    /// Throws away what comes until the client closes the socket or the connection.
    pub(super) async fn drain(mut self) {
        self.trust(0);
        while !self.is_broken {
            match self.recv().await {
                Ok(Incoming::Close(_)) | Err(Goodbye::Gone) => return,
                Ok(_) | Err(_) => {}
            }
        }
        while let Some(Ok(_)) = self.payload.next().await {}
    }
}

/// Bytes become messages.
struct Assembler {
    /// Bytes that a message may have.
    limit: usize,
    header: PartialHeader,
    frame: Option<Frame>,
    /// The payload of the control frame that is coming.
    control: BytesMut,
    /// The message that is coming. Control frames may come between its frames.
    message: Option<Message>,
}

enum Message {
    Text {
        bytes: BytesMut,
        /// How many of them are known to be UTF-8.
        valid: usize,
    },
    /// One that is too large, with the bytes of it that were announced.
    Skipped(u64),
}

impl Assembler {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            header: PartialHeader::default(),
            frame: None,
            control: BytesMut::new(),
            message: None,
        }
    }

    /// Takes bytes off `chunk` until they say something, or to its end.
    fn push(&mut self, chunk: &mut Bytes) -> Result<Option<Incoming>, Goodbye> {
        loop {
            let Some(mut frame) = self.frame.take() else {
                let Ok(byte) = chunk.try_get_u8() else {
                    return Ok(None);
                };
                let Some(frame) = self.header.push(byte, self.message.is_some())? else {
                    continue;
                };
                let is_oversized = !frame.is_control() && self.announce(frame.length)?;
                self.frame = Some(frame);
                if is_oversized {
                    return Ok(Some(Incoming::Oversized));
                }
                continue;
            };
            let here = frame.left().min(chunk.len());
            self.take(&mut frame, &chunk.split_to(here))?;
            if frame.left() > 0 {
                self.frame = Some(frame);
                return Ok(None);
            }
            if let Some(incoming) = self.end(&frame)? {
                return Ok(Some(incoming));
            }
        }
    }

    /// So many bytes are to come for a message. Whether it is too large with them, and was not before.
    fn announce(&mut self, length: u64) -> Result<bool, Goodbye> {
        let message = self.message.get_or_insert_with(|| Message::Text {
            bytes: BytesMut::new(),
            valid: 0,
        });
        let (before, was_oversized) = match message {
            Message::Text { bytes, .. } => (bytes.len() as u64, false),
            Message::Skipped(bytes) => (*bytes, true),
        };
        let bytes = before.saturating_add(length);
        if bytes > SKIPPED_BYTES.max(self.limit as u64) {
            return Err(Goodbye::TooLarge);
        }
        let is_oversized = was_oversized || bytes > self.limit as u64;
        if is_oversized {
            *message = Message::Skipped(bytes);
        }
        Ok(is_oversized && !was_oversized)
    }

    /// Takes a piece of a frame's payload.
    fn take(&mut self, frame: &mut Frame, piece: &[u8]) -> Result<(), Goodbye> {
        if frame.is_control() {
            let before = self.control.len();
            self.control.extend_from_slice(piece);
            frame.unmask(&mut self.control[before..]);
            return Ok(());
        }
        let Some(Message::Text { bytes, valid }) = &mut self.message else {
            frame.skip(piece.len());
            return Ok(());
        };
        let before = bytes.len();
        bytes.extend_from_slice(piece);
        frame.unmask(&mut bytes[before..]);
        match str::from_utf8(&bytes[*valid..]) {
            Ok(_) => *valid = bytes.len(),
            // A character that goes on in the next piece.
            Err(error) if error.error_len().is_none() => *valid += error.valid_up_to(),
            Err(_) => return Err(Goodbye::NotText),
        }
        Ok(())
    }

    /// What a frame says that is all there.
    fn end(&mut self, frame: &Frame) -> Result<Option<Incoming>, Goodbye> {
        match frame.opcode {
            OpCode::Ping => Ok(Some(Incoming::Ping(self.control.split().freeze()))),
            OpCode::Pong => {
                self.control.clear();
                Ok(Some(Incoming::Pong))
            }
            OpCode::Close => close(&self.control.split()).map(Some),
            OpCode::Continue | OpCode::Text | OpCode::Binary | OpCode::Bad => {
                match self.message.take_if(|_message| frame.is_last) {
                    Some(Message::Text { bytes, .. }) => ByteString::try_from(bytes)
                        .map(|text| Some(Incoming::Text(text)))
                        .map_err(|_cut_off| Goodbye::NotText),
                    Some(Message::Skipped(_)) | None => Ok(None),
                }
            }
        }
    }
}

fn close(payload: &[u8]) -> Result<Incoming, Goodbye> {
    let reason = payload.get(2..).unwrap_or_default();
    if str::from_utf8(reason).is_err() {
        return Err(Goodbye::NotText);
    }
    Parser::try_parse_close_payload(payload)
        .map(Incoming::Close)
        .map_err(|_bad_code| Goodbye::Protocol)
}

#[cfg(test)]
#[path = "messages_tests.rs"]
mod tests;
