//! The messages of a socket's client, assembled from the bytes that arrive. RFC 6455.
//!
//! No more of a message is held than it may have: one that is too large is discarded as it arrives, and
//! what a client may send before it has presented a valid key is limited in all.

use std::{str, time::Instant};

use actix_http::ws::{OpCode, Parser};
use actix_web::dev;
use bytes::{Buf, Bytes, BytesMut};
use bytestring::ByteString;
use futures_util::StreamExt;

use super::frame_header::{Frame, PartialHeader};
use crate::follow::CloseReason;

/// Bytes that may arrive before a valid key: in one message, and in all, headers included.
pub(super) const UNAUTHENTICATED_BYTES: usize = 4 << 10;

/// Bytes of one message that are discarded before the socket closes.
const MAX_SKIPPED_BYTES: u64 = 1 << 30;

/// What a client sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    Text(ByteString),
    /// A message is arriving that is too large. The rest of it is skipped.
    Oversized,
    Ping(Bytes),
    Pong,
    Close(Option<actix_ws::CloseReason>),
}

/// A client's messages, one after another.
pub(super) struct Messages {
    payload: dev::Payload,
    /// What arrived and was not processed yet.
    chunk: Bytes,
    assembler: Assembler,
    /// Bytes that may still be read before a valid key; none when it was presented.
    unauthenticated: Option<usize>,
    /// The bytes are not valid from here on.
    is_broken: bool,
    /// When something arrived last.
    last_received: Instant,
}

impl Messages {
    /// Those of a client that has not presented a valid key.
    pub(super) fn new(payload: dev::Payload) -> Self {
        Self {
            payload,
            chunk: Bytes::new(),
            assembler: Assembler::new(UNAUTHENTICATED_BYTES),
            unauthenticated: Some(UNAUTHENTICATED_BYTES),
            is_broken: false,
            last_received: Instant::now(),
        }
    }

    /// The client has presented a valid key: from here on a message may have so many bytes.
    pub(super) fn authenticated(&mut self, limit: usize) {
        self.assembler.limit = limit;
        self.unauthenticated = None;
    }

    /// When something arrived last, even if it was only a part of a message.
    pub(super) fn last_received(&self) -> Instant {
        self.last_received
    }

    /// Counts as if something arrived just now.
    pub(super) fn reset_idle(&mut self) {
        self.last_received = Instant::now();
    }

    /// # Errors
    /// When the client may not send this, or is gone.
    ///
    /// # Cancel safety
    /// A dropped call loses nothing.
    pub(super) async fn recv(&mut self) -> Result<Incoming, CloseReason> {
        loop {
            match self.next_in_chunk() {
                Ok(Some(incoming)) => return Ok(incoming),
                Ok(None) => {}
                Err(reason) => {
                    self.is_broken = true;
                    return Err(reason);
                }
            }
            let Some(Ok(chunk)) = self.payload.next().await else {
                return Err(CloseReason::ConnectionLost);
            };
            self.last_received = Instant::now();
            self.chunk = chunk;
        }
    }

    /// The next of what has arrived.
    fn next_in_chunk(&mut self) -> Result<Option<Incoming>, CloseReason> {
        let before = self.chunk.len();
        let incoming = self.assembler.push(&mut self.chunk);
        if let Some(left) = &mut self.unauthenticated {
            let read = before - self.chunk.len();
            *left = left.checked_sub(read).ok_or(CloseReason::TooLarge)?;
        }
        incoming
    }

    /// Discards what arrives until the client closes the socket or the connection.
    pub(super) async fn drain(mut self) {
        self.authenticated(0);
        while !self.is_broken {
            match self.recv().await {
                Ok(Incoming::Close(_)) | Err(CloseReason::ConnectionLost) => return,
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
    /// The payload of the control frame that is arriving.
    control: BytesMut,
    /// The message that is arriving. Control frames may come between its frames.
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

    /// Takes bytes from `chunk` until something is complete, or to its end.
    fn push(&mut self, chunk: &mut Bytes) -> Result<Option<Incoming>, CloseReason> {
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

    /// So many bytes will arrive for a message. Whether it is too large with them, and was not before.
    fn announce(&mut self, length: u64) -> Result<bool, CloseReason> {
        let message = self.message.get_or_insert_with(|| Message::Text {
            bytes: BytesMut::new(),
            valid: 0,
        });
        let (before, was_oversized) = match message {
            Message::Text { bytes, .. } => (bytes.len() as u64, false),
            Message::Skipped(bytes) => (*bytes, true),
        };
        let bytes = before.saturating_add(length);
        if bytes > MAX_SKIPPED_BYTES.max(self.limit as u64) {
            return Err(CloseReason::TooLarge);
        }
        let is_oversized = was_oversized || bytes > self.limit as u64;
        if is_oversized {
            *message = Message::Skipped(bytes);
        }
        Ok(is_oversized && !was_oversized)
    }

    /// Adds a part of a frame's payload.
    fn take(&mut self, frame: &mut Frame, part: &[u8]) -> Result<(), CloseReason> {
        if frame.is_control() {
            let before = self.control.len();
            self.control.extend_from_slice(part);
            frame.unmask(&mut self.control[before..]);
            return Ok(());
        }
        let Some(Message::Text { bytes, valid }) = &mut self.message else {
            frame.skip(part.len());
            return Ok(());
        };
        let before = bytes.len();
        bytes.extend_from_slice(part);
        frame.unmask(&mut bytes[before..]);
        match str::from_utf8(&bytes[*valid..]) {
            Ok(_) => *valid = bytes.len(),
            // A character that continues in the next part.
            Err(error) if error.error_len().is_none() => *valid += error.valid_up_to(),
            Err(_) => return Err(CloseReason::NotUtf8),
        }
        Ok(())
    }

    /// What a complete frame says.
    fn end(&mut self, frame: &Frame) -> Result<Option<Incoming>, CloseReason> {
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
                        .map_err(|_cut_off| CloseReason::NotUtf8),
                    Some(Message::Skipped(_)) | None => Ok(None),
                }
            }
        }
    }
}

fn close(payload: &[u8]) -> Result<Incoming, CloseReason> {
    let reason = payload.get(2..).unwrap_or_default();
    if str::from_utf8(reason).is_err() {
        return Err(CloseReason::NotUtf8);
    }
    Parser::try_parse_close_payload(payload)
        .map(Incoming::Close)
        .map_err(|_bad_code| CloseReason::Protocol)
}

#[cfg(test)]
mod tests;
