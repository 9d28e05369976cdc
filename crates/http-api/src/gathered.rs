//! Bytes that are sent: small ones copied together, large ones shared with all others that send them.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_web::body::{BodySize, MessageBody};
use bytes::{BufMut, Bytes, BytesMut};

/// What is handed to a connection at a time, at most: it copies that, and a client that does not read
/// costs no more.
pub(crate) const PIECE: usize = 16 << 10;

/// What is not copied.
const LARGE: usize = 16 << 10;

#[derive(Debug, Default)]
pub(crate) struct Gathered {
    whole: VecDeque<Bytes>,
    /// Behind the others, and grows.
    small: BytesMut,
    len: usize,
}

impl Gathered {
    /// With room for small ones.
    pub(crate) fn with_room(bytes: usize) -> Self {
        Self {
            small: BytesMut::with_capacity(bytes),
            ..Self::default()
        }
    }

    /// The room that bytes of this length need of it.
    pub(crate) fn room_for(bytes: usize) -> usize {
        if bytes < LARGE { bytes } else { 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len + self.small.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where small ones are written to.
    pub(crate) fn small(&mut self) -> &mut BytesMut {
        &mut self.small
    }

    pub(crate) fn push(&mut self, bytes: Bytes) {
        if bytes.len() < LARGE {
            self.small.put_slice(&bytes);
            return;
        }
        self.close();
        self.len += bytes.len();
        self.whole.push_back(bytes);
    }

    /// The next piece; none at the end.
    pub(crate) fn next_piece(&mut self) -> Option<Bytes> {
        if self.whole.is_empty() {
            self.close();
        }
        let first = self.whole.front_mut()?;
        let piece = match first.len() {
            0..=PIECE => self.whole.pop_front()?,
            _ => first.split_to(PIECE),
        };
        self.len -= piece.len();
        Some(piece)
    }

    fn close(&mut self) {
        if !self.small.is_empty() {
            let small = self.small.split().freeze();
            self.len += small.len();
            self.whole.push_back(small);
        }
    }
}

impl From<Bytes> for Gathered {
    fn from(bytes: Bytes) -> Self {
        let mut gathered = Self::default();
        if !bytes.is_empty() {
            gathered.len = bytes.len();
            gathered.whole.push_back(bytes);
        }
        gathered
    }
}

impl MessageBody for Gathered {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.len() as u64)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(self.next_piece().map(Ok))
    }
}

/// Another body, handed over in pieces.
pub(crate) struct InPieces<B> {
    body: Pin<Box<B>>,
    rest: Bytes,
}

impl<B> InPieces<B> {
    pub(crate) fn new(body: B) -> Self {
        Self {
            body: Box::pin(body),
            rest: Bytes::new(),
        }
    }
}

impl<B: MessageBody> MessageBody for InPieces<B> {
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
        let piece = self.rest.len().min(PIECE);
        Poll::Ready(Some(Ok(self.rest.split_to(piece))))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[test]
    fn what_is_large_is_shared_and_all_comes_in_order() {
        let large = Bytes::from(vec![b'x'; LARGE + 1]);
        let mut gathered = Gathered::with_room(8);
        gathered.small().put_slice(b"[");
        gathered.push(large.clone());
        gathered.push(Bytes::from_static(b","));
        gathered.push(Bytes::from_static(b"y"));
        gathered.push(large.clone());
        let mut expected = [b"[", &large[..], b",y", &large[..]].concat();
        assert_eq!(gathered.len(), expected.len());
        let mut shared = 0;
        while let Some(piece) = gathered.next_piece() {
            assert!((1..=PIECE).contains(&piece.len()));
            shared += usize::from(piece.as_ptr() == large.as_ptr());
            assert_eq!(expected.drain(..piece.len()).as_slice(), piece);
        }
        assert_eq!((shared, expected.len(), gathered.len()), (2, 0, 0));
    }

    #[actix_web::test]
    async fn any_body_comes_in_pieces_that_share_its_bytes() {
        let whole = Bytes::from(vec![b'x'; 3 * PIECE + 1]);
        let mut body = InPieces::new(whole.clone());
        assert_eq!(body.size(), BodySize::Sized(whole.len() as u64));
        let mut at = 0;
        while let Some(piece) = poll_fn(|cx| Pin::new(&mut body).poll_next(cx)).await {
            let piece = piece.unwrap();
            assert_eq!(piece.as_ptr(), whole[at..].as_ptr());
            at += piece.len();
        }
        assert_eq!(at, whole.len());
    }
}
