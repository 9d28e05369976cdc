//! The header of a frame that a client sends. RFC 6455, 5.2.

use actix_http::ws::OpCode;

use crate::follow::CloseReason;

/// Two bytes, eight for the largest form of the length, four for the mask.
const MAX_HEADER_BYTES: usize = 14;
const MASK_BYTES: usize = 4;
/// The longest payload of a control frame. RFC 6455, 5.5.
pub(super) const MAX_CONTROL_BYTES: usize = 125;

/// The bytes of a header as far as they have arrived.
#[derive(Default)]
pub(super) struct PartialHeader {
    bytes: [u8; MAX_HEADER_BYTES],
    len: usize,
}

/// What a header says, and how much of the payload has arrived.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) opcode: OpCode,
    /// Whether the message ends with it.
    pub(super) is_last: bool,
    pub(super) length: u64,
    mask: [u8; MASK_BYTES],
    taken: u64,
}

impl PartialHeader {
    /// Adds the header's next byte; returns the frame when it was the last one. `continues` says whether a
    /// message was started that has not ended.
    ///
    /// # Errors
    /// As soon as it is clear that a client must not send such a frame here.
    pub(super) fn push(&mut self, byte: u8, continues: bool) -> Result<Option<Frame>, CloseReason> {
        if let Some(slot) = self.bytes.get_mut(self.len) {
            *slot = byte;
            self.len += 1;
        }
        let frame = self.frame(continues)?;
        if frame.is_some() {
            self.len = 0;
        }
        Ok(frame)
    }

    fn frame(&self, continues: bool) -> Result<Option<Frame>, CloseReason> {
        let (first, second) = match self.bytes.get(..self.len) {
            Some([first, second, ..]) => (*first, *second),
            Some([first]) => return opcode(*first, continues).map(|_opcode| None),
            Some([]) | None => return Ok(None),
        };
        let opcode = opcode(first, continues)?;
        let is_masked = second & 0x80 != 0;
        let short = second & 0x7f;
        if !is_masked || (is_control(opcode) && usize::from(short) > MAX_CONTROL_BYTES) {
            return Err(CloseReason::Protocol);
        }
        let extended = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let Some(lengths) = self.bytes.get(2..self.len.min(2 + extended)) else {
            return Ok(None);
        };
        let length = match extended {
            0 => u64::from(short),
            _ => lengths
                .iter()
                .fold(0, |sum, byte| (sum << 8) | u64::from(*byte)),
        };
        if lengths.len() == 8 && length > i64::MAX as u64 {
            return Err(CloseReason::Protocol);
        }
        let mask = self
            .bytes
            .get(2 + extended..self.len)
            .and_then(|mask| mask.try_into().ok());
        // Its bytes come after those of the length.
        Ok(mask.map(|mask| Frame {
            opcode,
            is_last: first & 0x80 != 0,
            length,
            mask,
            taken: 0,
        }))
    }
}

/// The opcode in a header's first byte, if such a frame may come now.
fn opcode(first: u8, continues: bool) -> Result<OpCode, CloseReason> {
    let opcode = OpCode::from(first & 0x0f);
    let is_last = first & 0x80 != 0;
    let is_reserved = first & 0x70 != 0;
    let fits = match opcode {
        OpCode::Continue => continues,
        OpCode::Text | OpCode::Binary => !continues,
        OpCode::Close | OpCode::Ping | OpCode::Pong => is_last,
        OpCode::Bad => false,
    };
    if is_reserved || !fits {
        Err(CloseReason::Protocol)
    } else if opcode == OpCode::Binary {
        Err(CloseReason::Binary)
    } else {
        Ok(opcode)
    }
}

fn is_control(opcode: OpCode) -> bool {
    matches!(opcode, OpCode::Close | OpCode::Ping | OpCode::Pong)
}

impl Frame {
    pub(super) fn is_control(&self) -> bool {
        is_control(self.opcode)
    }

    /// Bytes of the payload that have not arrived yet.
    pub(super) fn left(&self) -> usize {
        usize::try_from(self.length - self.taken).unwrap_or(usize::MAX)
    }

    /// Counts the payload's next bytes, which are dropped.
    pub(super) fn skip(&mut self, bytes: usize) {
        self.taken += bytes as u64;
    }

    /// Counts the payload's next bytes and removes the mask from them.
    pub(super) fn unmask(&mut self, bytes: &mut [u8]) {
        let rotation = (self.taken % MASK_BYTES as u64) as usize;
        let mut mask = self.mask;
        mask.rotate_left(rotation);
        for part in bytes.chunks_mut(MASK_BYTES) {
            for (byte, mask) in part.iter_mut().zip(mask) {
                *byte ^= mask;
            }
        }
        self.skip(bytes.len());
    }
}
