//! A body as a list of buffers: small pieces are copied together, large ones are shared with all others
//! that send them.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_web::body::{BodySize, MessageBody};
use bytes::{BufMut, Bytes, BytesMut};

/// The most that is handed to a connection at a time: it copies that, and a client that does not read
/// costs no more.
pub(crate) const CHUNK_BYTES: usize = 16 << 10;

/// Pieces of this size and more are shared, not copied.
const SHARED_BYTES: usize = 16 << 10;

/// Bytes to send, in order.
#[derive(Debug, Default)]
pub(crate) struct BufList {
    parts: VecDeque<Bytes>,
    /// The end of the body, which grows.
    copied: BytesMut,
    len: usize,
}

impl BufList {
    /// With room for so many copied bytes.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self {
            copied: BytesMut::with_capacity(bytes),
            ..Self::default()
        }
    }

    /// How many bytes are copied of a piece of this length.
    pub(crate) fn copied_len(bytes: usize) -> usize {
        if bytes < SHARED_BYTES { bytes } else { 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len + self.copied.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The end of the body, to write to.
    pub(crate) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.copied
    }

    pub(crate) fn push(&mut self, bytes: Bytes) {
        if bytes.len() < SHARED_BYTES {
            self.copied.put_slice(&bytes);
            return;
        }
        self.close();
        self.len += bytes.len();
        self.parts.push_back(bytes);
    }

    /// The next chunk; none at the end.
    pub(crate) fn next_chunk(&mut self) -> Option<Bytes> {
        if self.parts.is_empty() {
            self.close();
        }
        let first = self.parts.front_mut()?;
        let chunk = match first.len() {
            0..=CHUNK_BYTES => self.parts.pop_front()?,
            _ => first.split_to(CHUNK_BYTES),
        };
        self.len -= chunk.len();
        Some(chunk)
    }

    fn close(&mut self) {
        if !self.copied.is_empty() {
            let copied = self.copied.split().freeze();
            self.len += copied.len();
            self.parts.push_back(copied);
        }
    }
}

impl From<Bytes> for BufList {
    fn from(bytes: Bytes) -> Self {
        let mut list = Self::default();
        if !bytes.is_empty() {
            list.len = bytes.len();
            list.parts.push_back(bytes);
        }
        list
    }
}

impl MessageBody for BufList {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.len() as u64)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(self.next_chunk().map(Ok))
    }
}

/// Another body, handed over in chunks.
pub(crate) struct Chunked<B> {
    body: Pin<Box<B>>,
    rest: Bytes,
}

impl<B> Chunked<B> {
    pub(crate) fn new(body: B) -> Self {
        Self {
            body: Box::pin(body),
            rest: Bytes::new(),
        }
    }
}

impl<B: MessageBody> MessageBody for Chunked<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, B::Error>>> {
        if self.rest.is_empty() {
            match ready!(self.body.as_mut().poll_next(cx)) {
                Some(Ok(bytes)) => self.rest = bytes,
                end => return Poll::Ready(end),
            }
        }
        let piece = self.rest.len().min(CHUNK_BYTES);
        Poll::Ready(Some(Ok(self.rest.split_to(piece))))
    }
}

#[cfg(test)]
mod tests;
