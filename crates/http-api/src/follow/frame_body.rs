use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    mem,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use actix_web::body::{BodySize, MessageBody};
use bytes::{Bytes, BytesMut};
use futures_util::stream::StreamExt;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::{close_reason::CloseReason, frame_encoding::FrameEncoding, frame_stream::FrameChunks};
use crate::buf_list::BufList;

/// Bytes of answers that may wait for a client; one that does not read them is not listened to.
const MAX_ANSWER_BYTES: usize = 4 << 10;

/// Says what a [`FrameBody`] sends. Clones write to the same body.
#[derive(Clone)]
pub(crate) struct FrameSender(Rc<Inner>);

/// The body of a socket's or an event stream's response, which its connection pulls. Nothing is queued
/// for a client that does not read; it costs the chunk that was made for it last, and what its connection
/// holds. One that reads nothing for too long loses its frames, and finds the reason when it reads on.
pub(crate) struct FrameBody {
    sender: FrameSender,
}

struct Inner {
    encoding: FrameEncoding,
    state: RefCell<State>,
    /// When the connection was given a chunk that it has not finished with.
    sending_since: Cell<Option<Instant>>,
    /// Woken when answers were sent.
    answers_sent: Notify,
    /// Woken when the body is dropped.
    dropped: Notify,
}

#[derive(Default)]
struct State {
    /// The rest of what was started: frames are never cut off. That a client reads a part of it counts as
    /// progress.
    rest: BufList,
    /// Answers to what the client sent.
    answers: BytesMut,
    /// To its last ping.
    pong: Option<Bytes>,
    frames: Option<FrameChunks>,
    /// Set when it ends: what is sent last, if anything.
    close: Option<Option<Bytes>>,
    code: Option<u16>,
    /// The connection's.
    waker: Option<Waker>,
}

impl FrameSender {
    /// Sends nothing yet.
    pub(crate) fn new(encoding: FrameEncoding) -> Self {
        Self(Rc::new(Inner {
            encoding,
            state: RefCell::default(),
            sending_since: Cell::new(None),
            answers_sent: Notify::new(),
            dropped: Notify::new(),
        }))
    }

    /// The body of the response. There is one for each sender; when it is dropped, so are the frames.
    pub(crate) fn body(&self) -> FrameBody {
        FrameBody {
            sender: self.clone(),
        }
    }

    /// Sends these from now on.
    pub(crate) fn start(&self, frames: FrameChunks) {
        let mut state = self.0.state.borrow_mut();
        if state.close.is_none() {
            state.frames = Some(frames);
            state.wake();
        }
    }

    /// Sends an answer between two chunks.
    pub(crate) fn answer(&self, json: Bytes) -> Result<(), CloseReason> {
        let mut state = self.0.state.borrow_mut();
        self.0.encoding.text(json, &mut state.answers)?;
        state.wake();
        Ok(())
    }

    /// Answers a ping; of several that wait only the last.
    pub(crate) fn pong(&self, payload: Bytes) {
        let mut state = self.0.state.borrow_mut();
        state.pong = Some(payload);
        state.wake();
    }

    /// Waits until the client has read most of its answers.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn room_for_answers(&self) {
        let is_full = || {
            let state = self.0.state.borrow();
            state.answers.len() > MAX_ANSWER_BYTES && state.close.is_none()
        };
        while is_full() {
            self.0.answers_sent.notified().await;
        }
    }

    /// Sends no more frames, only the rest of the current chunk, answers, and the reason. Returns the code
    /// that the client is sent: that of the first call.
    pub(crate) fn close(&self, reason: CloseReason) -> u16 {
        let mut state = self.0.state.borrow_mut();
        let frames = state.frames.take();
        if state.close.is_none() {
            state.set_close(self.0.encoding, reason);
        }
        state.wake();
        self.0.answers_sent.notify_one();
        let code = state.code.unwrap_or(CloseReason::CONNECTION_LOST);
        drop(state);
        // A follower and a slot, which do not know this sender.
        drop(frames);
        code
    }

    /// Whether a chunk is on its way to the client just now.
    pub(crate) fn is_sending(&self) -> bool {
        self.0.sending_since.get().is_some()
    }

    /// Waits until the client has read nothing for so long although there was something.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn stalled(&self, send_timeout: Duration) {
        let due = |since: Option<Instant>| since.unwrap_or_else(Instant::now) + send_timeout;
        // Not woken by what is sent: checks again when the earliest chunk would be late.
        let mut next = due(self.0.sending_since.get());
        loop {
            sleep_until(next).await;
            let since = self.0.sending_since.get();
            if since.is_some_and(|since| since.elapsed() >= send_timeout) {
                return;
            }
            next = due(since);
        }
    }

    /// Waits until the connection has dropped the body.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn body_dropped(&self) {
        self.0.dropped.notified().await;
    }
}

impl State {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn set_close(&mut self, encoding: FrameEncoding, reason: CloseReason) {
        self.code = Some(reason.code());
        self.close = Some(encoding.close(reason));
    }

    fn wait(&mut self, cx: &Context<'_>) {
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => self.waker = Some(cx.waker().clone()),
        }
    }

    /// The next chunk; none at the end.
    fn poll(
        &mut self,
        encoding: FrameEncoding,
        answers_sent: &Notify,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Bytes>> {
        loop {
            if let Some(chunk) = self.rest.next_chunk() {
                return Poll::Ready(Some(chunk));
            }
            if let Some(payload) = self.pong.take() {
                encoding.pong(payload, &mut self.answers);
            }
            if !self.answers.is_empty() {
                self.rest = mem::take(&mut self.answers).freeze().into();
                answers_sent.notify_one();
                continue;
            }
            if let Some(close) = &mut self.close {
                match close.take() {
                    Some(bytes) => self.rest = bytes.into(),
                    None => return Poll::Ready(None),
                }
                continue;
            }
            match self
                .frames
                .as_mut()
                .map(|frames| frames.poll_next_unpin(cx))
            {
                Some(Poll::Ready(Some(Ok(chunk)))) => self.rest = chunk,
                Some(Poll::Ready(Some(Err(reason)))) => {
                    self.frames = None;
                    self.set_close(encoding, reason);
                }
                Some(Poll::Ready(None)) => {
                    self.frames = None;
                    self.set_close(encoding, CloseReason::ConnectionLost);
                }
                Some(Poll::Pending) | None => {
                    self.wait(cx);
                    return Poll::Pending;
                }
            }
        }
    }
}

impl MessageBody for FrameBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        let inner = &self.sender.0;
        let polled = inner
            .state
            .borrow_mut()
            .poll(inner.encoding, &inner.answers_sent, cx);
        let is_sending = matches!(polled, Poll::Ready(Some(_)));
        inner.sending_since.set(is_sending.then(Instant::now));
        polled.map(|chunk| chunk.map(Ok))
    }
}

impl Drop for FrameBody {
    fn drop(&mut self) {
        self.sender.0.sending_since.set(None);
        self.sender.close(CloseReason::ConnectionLost);
        self.sender.0.dropped.notify_one();
    }
}

#[cfg(test)]
mod tests;
