//! What a socket or an event stream sends: a response body that its connection pulls. Nothing is
//! queued for a client that does not read; it costs what was made for it last, and what its
//! connection holds. One that takes nothing for too long loses its frames, and finds the reason when
//! it reads on.

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
use futures_util::stream::{LocalBoxStream, StreamExt};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use crate::{form::Form, gathered::Gathered, goodbye::Goodbye};

/// Bytes of answers that may wait for a client; one that does not take them is not listened to.
const ANSWERS: usize = 4 << 10;

/// Chunks to send, each with whole frames; the error is why no more come.
pub(crate) type Frames = LocalBoxStream<'static, Result<Gathered, Goodbye>>;

/// The side that says what is sent. Clones are the same outlet.
#[derive(Clone)]
pub(crate) struct Outlet(Rc<Inner>);

/// The side that the connection pulls.
pub(crate) struct Pulled {
    outlet: Outlet,
}

struct Inner {
    form: Form,
    state: RefCell<State>,
    /// When the connection was handed a piece that it has not come back from.
    taking_since: Cell<Option<Instant>>,
    /// Woken when answers were taken.
    room: Notify,
    /// Woken when the body is dropped.
    gone: Notify,
}

#[derive(Default)]
struct State {
    /// The rest of a chunk that was begun: frames are never cut off. That a client takes a piece of it
    /// counts as progress.
    rest: Gathered,
    /// Answers to what the client said.
    answers: BytesMut,
    /// To its last ping.
    pong: Option<Bytes>,
    frames: Option<Frames>,
    /// Why it ends, as sent last; none: nothing is sent.
    farewell: Option<Option<Bytes>>,
    code: Option<u16>,
    /// The connection's.
    waker: Option<Waker>,
}

impl Outlet {
    /// An outlet that sends nothing yet.
    pub(crate) fn new(form: Form) -> Self {
        Self(Rc::new(Inner {
            form,
            state: RefCell::default(),
            taking_since: Cell::new(None),
            room: Notify::new(),
            gone: Notify::new(),
        }))
    }

    /// The body for a response. There is one for each outlet; when it is dropped, so are the frames.
    pub(crate) fn body(&self) -> Pulled {
        Pulled {
            outlet: self.clone(),
        }
    }

    /// Sends these from now on.
    pub(crate) fn begin(&self, frames: Frames) {
        let mut state = self.0.state.borrow_mut();
        if state.farewell.is_none() {
            state.frames = Some(frames);
            state.wake();
        }
    }

    /// Sends an answer between two chunks.
    pub(crate) fn answer(&self, json: Bytes) -> Result<(), Goodbye> {
        let mut state = self.0.state.borrow_mut();
        self.0.form.text(json, &mut state.answers)?;
        state.wake();
        Ok(())
    }

    /// Answers a ping; of several that wait only the last.
    pub(crate) fn pong(&self, payload: Bytes) {
        let mut state = self.0.state.borrow_mut();
        state.pong = Some(payload);
        state.wake();
    }

    /// Waits until the client has taken most of its answers.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn room(&self) {
        let crowded = || {
            let state = self.0.state.borrow();
            state.answers.len() > ANSWERS && state.farewell.is_none()
        };
        while crowded() {
            self.0.room.notified().await;
        }
    }

    /// Sends no more frames, only what is begun, what was answered, and why. Returns the code that is
    /// told: of what came first, if it ends already.
    pub(crate) fn finish(&self, goodbye: Goodbye) -> u16 {
        let mut state = self.0.state.borrow_mut();
        let frames = state.frames.take();
        if state.farewell.is_none() {
            state.say(&self.0.form, goodbye);
        }
        state.wake();
        self.0.room.notify_one();
        let code = state.code.unwrap_or(Goodbye::GONE);
        drop(state);
        // A follower and a place, which know nothing of this outlet.
        drop(frames);
        code
    }

    /// Whether a piece is on its way to the client just now.
    pub(crate) fn is_taking(&self) -> bool {
        self.0.taking_since.get().is_some()
    }

    /// Waits until the client has taken nothing for so long although there was something.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn stalled(&self, patience: Duration) {
        let due = |since: Option<Instant>| since.unwrap_or_else(Instant::now) + patience;
        // Not woken by what is sent: looks again when the earliest piece would be late.
        let mut next = due(self.0.taking_since.get());
        loop {
            sleep_until(next).await;
            let since = self.0.taking_since.get();
            if since.is_some_and(|since| since.elapsed() >= patience) {
                return;
            }
            next = due(since);
        }
    }

    /// Waits until the connection has dropped the body.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn gone(&self) {
        self.0.gone.notified().await;
    }
}

impl State {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn say(&mut self, form: &Form, goodbye: Goodbye) {
        self.code = Some(goodbye.code());
        self.farewell = Some(form.farewell(goodbye));
    }

    fn wait(&mut self, cx: &Context<'_>) {
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => self.waker = Some(cx.waker().clone()),
        }
    }

    /// The next piece; none at the end.
    fn poll(&mut self, form: &Form, room: &Notify, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if let Some(piece) = self.rest.next_piece() {
                return Poll::Ready(Some(piece));
            }
            if let Some(payload) = self.pong.take() {
                form.pong(payload, &mut self.answers);
            }
            if !self.answers.is_empty() {
                self.rest = mem::take(&mut self.answers).freeze().into();
                room.notify_one();
                continue;
            }
            if let Some(farewell) = &mut self.farewell {
                match farewell.take() {
                    Some(words) => self.rest = words.into(),
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
                Some(Poll::Ready(Some(Err(goodbye)))) => {
                    self.frames = None;
                    self.say(form, goodbye);
                }
                Some(Poll::Ready(None)) => {
                    self.frames = None;
                    self.say(form, Goodbye::Gone);
                }
                Some(Poll::Pending) | None => {
                    self.wait(cx);
                    return Poll::Pending;
                }
            }
        }
    }
}

impl MessageBody for Pulled {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        let inner = &self.outlet.0;
        let polled = inner.state.borrow_mut().poll(&inner.form, &inner.room, cx);
        let handed = matches!(polled, Poll::Ready(Some(_)));
        inner.taking_since.set(handed.then(Instant::now));
        polled.map(|piece| piece.map(Ok))
    }
}

impl Drop for Pulled {
    fn drop(&mut self) {
        self.outlet.0.taking_since.set(None);
        self.outlet.finish(Goodbye::Gone);
        self.outlet.0.gone.notify_one();
    }
}

#[cfg(test)]
#[path = "outlet/tests.rs"]
mod tests;
