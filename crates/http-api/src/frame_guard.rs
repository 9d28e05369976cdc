//! Looks at the frame headers that a socket's client sends, and stops the payload before a frame that
//! is too large. The WebSocket codec itself would first take the whole frame into memory.

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use actix_web::{dev, error::PayloadError};
use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::Notify;

/// Two bytes, and eight for the largest form of the length.
const LONGEST_HEADER: usize = 10;
const MASK_BYTES: u64 = 4;

/// The same payload up to the first frame of more than `limit` bytes. That frame is announced by
/// `oversized`; from there on whatever comes is read and thrown away.
pub(crate) fn guarded(payload: dev::Payload, limit: usize, oversized: Rc<Notify>) -> dev::Payload {
    let guard = FrameGuard {
        payload,
        limit: limit as u64,
        scan: Scan::start(),
        oversized,
    };
    dev::Payload::Stream {
        payload: Box::pin(guard),
    }
}

struct FrameGuard {
    payload: dev::Payload,
    limit: u64,
    scan: Scan,
    oversized: Rc<Notify>,
}

/// Where in a frame the stream is.
enum Scan {
    Header {
        bytes: [u8; LONGEST_HEADER],
        len: usize,
    },
    /// So many bytes of mask and payload are still to come.
    Body {
        left: u64,
    },
    Oversized,
}

impl Scan {
    fn start() -> Self {
        Self::Header {
            bytes: [0; LONGEST_HEADER],
            len: 0,
        }
    }

    /// Goes through `chunk` and returns how many of its bytes may pass.
    fn advance(&mut self, chunk: &[u8], limit: u64) -> usize {
        let mut at = 0;
        while at < chunk.len() {
            match self {
                Self::Oversized => return at,
                Self::Body { left } => {
                    let here = usize::try_from(*left)
                        .unwrap_or(usize::MAX)
                        .min(chunk.len() - at);
                    at += here;
                    *left -= here as u64;
                    if *left == 0 {
                        *self = Self::start();
                    }
                }
                Self::Header { bytes, len } => {
                    if let (Some(slot), Some(byte)) = (bytes.get_mut(*len), chunk.get(at)) {
                        *slot = *byte;
                    }
                    *len += 1;
                    match body_length(bytes, *len) {
                        None => at += 1,
                        // Without the header's last byte the codec does not see the frame at all.
                        Some((length, _)) if length > limit => *self = Self::Oversized,
                        Some((0, 0)) => {
                            at += 1;
                            *self = Self::start();
                        }
                        Some((length, mask)) => {
                            at += 1;
                            *self = Self::Body {
                                left: length + mask,
                            };
                        }
                    }
                }
            }
        }
        at
    }
}

/// The length that a header announces, and that of the mask; none while the header is incomplete.
/// RFC 6455, 5.2.
fn body_length(header: &[u8; LONGEST_HEADER], len: usize) -> Option<(u64, u64)> {
    if len < 2 {
        return None;
    }
    let mask = if header[1] & 0x80 == 0 { 0 } else { MASK_BYTES };
    let extended = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
    };
    match header[1] & 0x7f {
        126 => (len == 4).then(|| (extended(&header[2..4]), mask)),
        127 => (len == 10).then(|| (extended(&header[2..10]), mask)),
        short => Some((u64::from(short), mask)),
    }
}

impl Stream for FrameGuard {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            let mut chunk = match ready!(Pin::new(&mut this.payload).poll_next(cx)) {
                Some(Ok(chunk)) => chunk,
                other => return Poll::Ready(other),
            };
            if matches!(this.scan, Scan::Oversized) {
                continue;
            }
            let passing = this.scan.advance(&chunk, this.limit);
            if matches!(this.scan, Scan::Oversized) {
                this.oversized.notify_one();
            }
            chunk.truncate(passing);
            if !chunk.is_empty() {
                return Poll::Ready(Some(Ok(chunk)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt, stream};

    use super::*;

    /// A masked text frame's header, mask and `length` bytes of payload.
    fn frame(length: usize) -> Vec<u8> {
        let mut frame = vec![0x81];
        match length {
            0..126 => frame.push(0x80 | u8::try_from(length).unwrap()),
            126..65536 => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(0x80 | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend([1, 2, 3, 4]);
        frame.resize(frame.len() + length, b'x');
        frame
    }

    /// What passes when `bytes` come in pieces of `piece`, and whether a frame was too large.
    async fn passing(bytes: &[u8], piece: usize, limit: usize) -> (Vec<u8>, bool) {
        let chunks: Vec<_> = bytes
            .chunks(piece)
            .map(|c| Ok(Bytes::copy_from_slice(c)))
            .collect();
        let payload = dev::Payload::Stream {
            payload: stream::iter(chunks).boxed_local(),
        };
        let oversized = Rc::new(Notify::new());
        let passed: Vec<_> = guarded(payload, limit, Rc::clone(&oversized))
            .collect()
            .await;
        let passed = passed
            .into_iter()
            .flat_map(|chunk| chunk.unwrap().to_vec())
            .collect();
        (passed, oversized.notified().now_or_never().is_some())
    }

    #[actix_web::test]
    async fn frames_within_the_limit_pass_whole_however_they_are_cut() {
        let bytes = [
            frame(0),
            frame(5),
            frame(125),
            frame(126),
            frame(70_000),
            frame(3),
        ]
        .concat();
        for piece in [1, 2, 3, 7, 1000, bytes.len()] {
            let (passed, oversized) = passing(&bytes, piece, 70_000).await;
            assert_eq!(
                (passed.len(), oversized),
                (bytes.len(), false),
                "pieces of {piece}"
            );
            assert!(passed == bytes);
        }
    }

    #[actix_web::test]
    async fn a_frame_over_the_limit_never_gets_through() {
        for length in [126, 5_000, 70_000] {
            let bytes = [frame(5), frame(length), frame(5)].concat();
            for piece in [1, 3, 1000, bytes.len()] {
                let (passed, oversized) = passing(&bytes, piece, 125).await;
                assert!(oversized, "{length} bytes in pieces of {piece}");
                let header = 9;
                assert!(
                    passed.len() <= frame(5).len() + header,
                    "{} bytes passed",
                    passed.len()
                );
                assert!(passed.starts_with(&frame(5)));
            }
        }
    }
}
