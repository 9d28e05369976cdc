use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};

use super::{
    activity::Activity,
    heads::Heads,
    places::Place,
    refusal::{PARTING, Refusal},
};

/// Bytes that are read at a time. More are read when those are worked off: all requests in them are
/// answered, or a handler waits for more of a body.
const MOST_READ: usize = 16 << 10;
/// Requests among them.
const MOST_REQUESTS: usize = 4;
/// Bytes of a request head.
pub(super) const MOST_HEAD: usize = 32 << 10;

/// A connection that reads no more than is worked off and taken. Requests that a client sends ahead wait
/// in the kernel's buffers, or with the client, while their answers are not read.
pub(super) struct BoundedStream {
    connection: TcpStream,
    _place: Place,
    activity: Rc<Activity>,
    heads: Heads,
    /// What was read and is to be worked off later.
    held: Bytes,
    /// Bytes and heads of requests that were handed over since all was worked off.
    handed: usize,
    handed_heads: usize,
    /// Whether what was handed over has been looked at since.
    looked_at: bool,
    /// Whether the client has still to take answers.
    blocked: bool,
    wait: HeadWait,
    /// Set when it ends: what comes until then is thrown away.
    parting: Option<Pin<Box<Sleep>>>,
}

/// How long a request head takes.
struct HeadWait {
    may_take: Duration,
    /// When something was last under way.
    since: Instant,
    /// Rings now and then to look.
    alarm: Pin<Box<Sleep>>,
    /// Requests that were begun before.
    begun: u64,
    /// Bytes that came since and began no request.
    bytes: usize,
}

impl BoundedStream {
    pub(super) fn new(connection: TcpStream, place: Place, head_may_take: Duration) -> Self {
        // Else the second packet of an answer waits for the client to acknowledge the first, which may
        // take it 40 ms. Without it the connection is slower and works.
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps its delays");
        }
        let now = Instant::now();
        Self {
            connection,
            _place: place,
            activity: Rc::default(),
            heads: Heads::default(),
            held: Bytes::new(),
            handed: 0,
            handed_heads: 0,
            looked_at: true,
            blocked: false,
            wait: HeadWait {
                may_take: head_may_take,
                since: now,
                alarm: Box::pin(sleep_until(now + head_may_take)),
                begun: 0,
                bytes: 0,
            },
            parting: None,
        }
    }

    pub(super) fn activity(&self) -> Rc<Activity> {
        Rc::clone(&self.activity)
    }

    /// Whether more may be handed over; else the task is woken when it is time to ask again.
    fn may_read(&mut self, cx: &Context<'_>) -> bool {
        if self.looked_at && (self.activity.is_idle() || self.activity.take_wants_body()) {
            self.handed = 0;
            self.handed_heads = 0;
        }
        let spent = self.handed >= MOST_READ || self.handed_heads >= MOST_REQUESTS;
        if !spent && !self.blocked {
            return true;
        }
        if !self.looked_at {
            // It may begin no request, and then nothing else would wake the task.
            cx.waker().wake_by_ref();
        }
        self.activity.wait(cx);
        false
    }

    /// Gives up a client whose request head is too large or too late.
    fn watch_head(&mut self, cx: &mut Context<'_>) {
        let (wait, activity) = (&mut self.wait, &self.activity);
        let begun = activity.begun();
        if begun != wait.begun || !activity.is_idle() {
            wait.begun = begun;
            wait.bytes = 0;
            wait.since = Instant::now();
        }
        if wait.bytes > MOST_HEAD && !activity.body_left() {
            self.part(Some(Refusal::HeadTooLarge));
            return;
        }
        while wait.alarm.as_mut().poll(cx).is_ready() {
            let due = wait.since + wait.may_take;
            if due <= Instant::now() {
                let begun = wait.bytes > 0 && !activity.body_left();
                self.part(begun.then_some(Refusal::HeadLate));
                return;
            }
            wait.alarm.as_mut().reset(due);
        }
    }

    /// Ends the connection, with an answer if one is due. No other is under way.
    fn part(&mut self, refusal: Option<Refusal>) {
        if let Some(refusal) = refusal.filter(|_| !self.blocked) {
            // What the kernel does not take at once, the client does not read.
            self.connection.try_write(&refusal.answer()).ok();
        }
        self.held.clear();
        self.parting = Some(Box::pin(sleep_until(Instant::now() + PARTING)));
    }

    /// Waits until the client has taken the last answer and closes its side, but not for long.
    fn poll_parting(
        &mut self,
        cx: &mut Context<'_>,
        parting: &mut Pin<Box<Sleep>>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if parting.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        if let Poll::Ready(Err(error)) = Pin::new(&mut self.connection).poll_shutdown(cx) {
            return Poll::Ready(Err(error));
        }
        let before = buffer.filled().len();
        loop {
            ready!(Pin::new(&mut self.connection).poll_read(cx, buffer))?;
            if buffer.filled().len() == before {
                return Poll::Ready(Ok(()));
            }
            buffer.set_filled(before);
        }
    }

    /// Hands over what is there, up to a bound; nothing means that the client sends no more.
    fn poll_hand_over(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let room = MOST_READ - self.handed;
        if self.held.is_empty() {
            ready!(Pin::new(&mut self.connection).poll_read(cx, buffer))?;
        } else {
            let part = self.held.len().min(buffer.remaining());
            buffer.put_slice(&self.held.split_to(part));
        }
        let came = &buffer.filled()[before..];
        let within = &came[..came.len().min(room)];
        let (passing, heads) = self.heads.pass(within, MOST_REQUESTS - self.handed_heads);
        if passing < came.len() {
            self.held = [&came[passing..], &self.held].concat().into();
            buffer.set_filled(before + passing);
        }
        self.handed += passing;
        self.handed_heads += heads;
        self.looked_at = false;
        if self.activity.is_idle() {
            self.wait.bytes += passing;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for BoundedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.parting.is_none() && this.looked_at {
            this.watch_head(cx);
        }
        let polled = if let Some(mut parting) = this.parting.take() {
            let polled = this.poll_parting(cx, &mut parting, buffer);
            this.parting = Some(parting);
            polled
        } else if this.may_read(cx) {
            this.poll_hand_over(cx, buffer)
        } else {
            Poll::Pending
        };
        this.looked_at |= polled.is_pending();
        polled
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.connection).poll_write(cx, bytes);
        let was_blocked = std::mem::replace(&mut this.blocked, polled.is_pending());
        if was_blocked && !this.blocked {
            // It may read again, and has not asked since.
            cx.waker().wake_by_ref();
        }
        polled
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().connection).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().connection).poll_shutdown(cx)
    }
}
