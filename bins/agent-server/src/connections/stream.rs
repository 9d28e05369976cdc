use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};

use super::{
    activity::Activity,
    heads::Heads,
    places::Place,
    refusal::{CLOSE_GRACE, Refusal},
};

/// Bytes that are handed over at a time, with at most one whole request head. More follow when those are
/// processed: the request is answered, or its handler waits for more of its body.
const MAX_READ_BYTES: usize = 16 << 10;
/// Bytes of a request head: a thousand ids fit into its query.
pub(super) const MAX_HEAD_BYTES: usize = 72 << 10;

/// A connection that reads no more than is processed, and while its client reads the answers. Requests that
/// a client sends ahead wait in the kernel's buffers, or in the client, while their answers are not read.
pub(super) struct BoundedStream {
    connection: TcpStream,
    _place: Place,
    activity: Rc<Activity>,
    heads: Heads,
    /// What was read and is handed over later.
    held: Bytes,
    /// Bytes that were handed over since everything was processed, and whether a head has ended in them.
    handed: usize,
    ended: bool,
    /// Whether the next byte would end another.
    cut: bool,
    /// Bytes of a body that are still to come, as its head says.
    body: u64,
    /// Whether what was handed over has been looked at since.
    looked_at: bool,
    /// Whether the client has still to read answers.
    blocked: bool,
    wait: HeadWait,
    closing: Option<Closing>,
}

/// How a connection ends: what still comes is discarded.
struct Closing {
    /// The part of the last answer that is still to be sent.
    answer: Bytes,
    until: Pin<Box<Sleep>>,
}

/// How long a request head takes.
struct HeadWait {
    timeout: Duration,
    /// When something was last under way.
    since: Instant,
    /// Wakes the task now and then, to check.
    alarm: Pin<Box<Sleep>>,
    /// Requests that were begun before.
    begun: u64,
    /// Bytes that came since and began no request.
    bytes: usize,
}

impl HeadWait {
    /// Something is under way.
    fn rest(&mut self) {
        self.bytes = 0;
        self.since = Instant::now();
    }
}

impl BoundedStream {
    pub(super) fn new(connection: TcpStream, place: Place, head_timeout: Duration) -> Self {
        // Otherwise the second packet of an answer waits until the client acknowledges the first, which may
        // take 40 ms. If this fails the connection is slower, but works.
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
            ended: false,
            cut: false,
            body: 0,
            looked_at: true,
            blocked: false,
            wait: HeadWait {
                timeout: head_timeout,
                since: now,
                alarm: Box::pin(sleep_until(now + head_timeout)),
                begun: 0,
                bytes: 0,
            },
            closing: None,
        }
    }

    pub(super) fn activity(&self) -> Rc<Activity> {
        Rc::clone(&self.activity)
    }

    /// Checks whether what was handed over is processed: then more may follow.
    fn look(&mut self) {
        let (wait, activity) = (&mut self.wait, &self.activity);
        let (begun, idle) = (activity.begun(), activity.is_idle());
        if begun != wait.begun {
            wait.begun = begun;
            let came = self.heads.since() as u64;
            self.body = activity.body_length().unwrap_or(0).saturating_sub(came);
            wait.rest();
        }
        if !idle {
            wait.rest();
        }
        if activity.take_wants_body() || idle {
            self.handed = 0;
            self.cut = false;
            // Where the body ends is known, so what ends a head is not in it.
            self.ended = !idle && activity.body_length().is_some();
        }
    }

    /// Whether more may be handed over; if not, the task is woken when it is time to ask again.
    fn may_read(&self, cx: &Context<'_>) -> bool {
        if self.handed < MAX_READ_BYTES && !self.cut && !self.blocked {
            return true;
        }
        if !self.looked_at {
            // It may begin no request, and then nothing else would wake the task.
            cx.waker().wake_by_ref();
        }
        self.activity.wait(cx);
        false
    }

    /// Closes the connection of a client whose request head is too large or too late.
    fn watch_head(&mut self, cx: &mut Context<'_>) {
        let (wait, activity) = (&mut self.wait, &self.activity);
        if wait.bytes > MAX_HEAD_BYTES && !activity.body_left() {
            self.close(Some(Refusal::HeadTooLarge));
            return;
        }
        while wait.alarm.as_mut().poll(cx).is_ready() {
            let due = wait.since + wait.timeout;
            if due <= Instant::now() {
                let begun = wait.bytes > 0 && !activity.body_left();
                self.close(begun.then_some(Refusal::HeadLate));
                return;
            }
            wait.alarm.as_mut().reset(due);
        }
    }

    /// Closes the connection, with an answer if there is one. No other answer is under way.
    fn close(&mut self, refusal: Option<Refusal>) {
        // A client that has not read the earlier answers would get this one in the middle of them.
        let refusal = refusal.filter(|_| !self.blocked);
        self.held.clear();
        self.closing = Some(Closing {
            answer: refusal.map_or_else(Bytes::new, |refusal| refusal.answer().into()),
            until: Box::pin(sleep_until(Instant::now() + CLOSE_GRACE)),
        });
    }

    /// Waits until the client has read the last answer and closes its side, but not for long.
    fn poll_closing(
        &mut self,
        cx: &mut Context<'_>,
        closing: &mut Closing,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if closing.until.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        while !closing.answer.is_empty() {
            let connection = Pin::new(&mut self.connection);
            let sent = ready!(connection.poll_write(cx, &closing.answer))?;
            closing.answer.advance(sent);
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

    /// How many of these bytes may be handed over: a body, and one head.
    fn passing(&mut self, bytes: &[u8]) -> usize {
        let body = usize::try_from(self.body).map_or(bytes.len(), |body| body.min(bytes.len()));
        if body > 0 {
            self.body -= body as u64;
            self.heads.reset();
        }
        let (passing, ended) = self.heads.pass(&bytes[body..], self.ended);
        self.ended = ended;
        self.cut = body + passing < bytes.len();
        body + passing
    }

    /// Hands over what is there, up to a limit; zero bytes mean that the client sends no more.
    fn poll_hand_over(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let room = MAX_READ_BYTES - self.handed;
        if self.held.is_empty() {
            ready!(Pin::new(&mut self.connection).poll_read(cx, buffer))?;
        } else {
            let part = self.held.len().min(buffer.remaining());
            buffer.put_slice(&self.held.split_to(part));
        }
        let came = &buffer.filled()[before..];
        let passing = self.passing(&came[..came.len().min(room)]);
        if passing < came.len() {
            self.held = [&came[passing..], &self.held].concat().into();
            buffer.set_filled(before + passing);
            if passing == 0 && !self.may_read(cx) {
                return Poll::Pending;
            }
        }
        self.handed += passing;
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
        if this.closing.is_none() && this.looked_at {
            this.look();
            this.watch_head(cx);
        }
        let polled = if let Some(mut closing) = this.closing.take() {
            let polled = this.poll_closing(cx, &mut closing, buffer);
            this.closing = Some(closing);
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

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, net::IpAddr};

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::{super::places::Places, *};
    use crate::connections::ConnectionLimits;

    const HEAD: &[u8] = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
    /// Only a hang gets there.
    const HANG: Duration = Duration::from_secs(60);

    /// The server's and the client's end of a connection.
    async fn pair(head_timeout: Duration) -> (BoundedStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let client = client.await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let places = Places::new(ConnectionLimits::of(Some(1), None));
        let place = places.take(IpAddr::from([127, 0, 0, 1])).unwrap();
        (BoundedStream::new(accepted, place, head_timeout), client)
    }

    /// All that is handed over until it waits for something else than the client.
    async fn read_all(stream: &mut BoundedStream, bytes: &mut Vec<u8>) {
        poll_fn(|cx| {
            let mut buffer = vec![0; 1 << 16];
            let mut buffer = ReadBuf::new(&mut buffer);
            while Pin::new(&mut *stream).poll_read(cx, &mut buffer).is_ready() {
                assert!(!buffer.filled().is_empty(), "it ended");
                bytes.extend_from_slice(buffer.filled());
                buffer.clear();
            }
            Poll::Ready(())
        })
        .await;
    }

    async fn read_until(stream: &mut BoundedStream, bytes: &mut Vec<u8>, count: usize) {
        let reading = async {
            while bytes.len() < count {
                read_all(stream, bytes).await;
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(HANG, reading).await.unwrap();
    }

    #[tokio::test]
    async fn an_accepted_connection_sends_without_delay() {
        let (stream, _client) = pair(HANG).await;
        assert!(stream.connection.nodelay().unwrap());
    }

    #[tokio::test]
    async fn no_more_requests_are_read_than_are_answered() {
        let (mut stream, mut client) = pair(HANG).await;
        client.write_all(&HEAD.repeat(100)).await.unwrap();
        let mut bytes = Vec::new();
        // All but the end of the second.
        let one = 2 * HEAD.len() - 1;
        let call = stream.activity().begin(Some(0));
        read_until(&mut stream, &mut bytes, one).await;
        for wants_body in [false, true] {
            if wants_body {
                stream.activity().want_body();
            }
            for _ in 0..100 {
                read_all(&mut stream, &mut bytes).await;
            }
            assert_eq!(
                bytes.len(),
                one,
                "more was read while a request was under way"
            );
        }
        drop(call);
        let two = one + HEAD.len();
        read_until(&mut stream, &mut bytes, two).await;
        read_until(&mut stream, &mut bytes, 100 * HEAD.len()).await;
        assert!(bytes == HEAD.repeat(100));
    }

    #[tokio::test]
    async fn a_body_comes_whole_and_what_follows_it_waits() {
        // Blank lines in a body end no head.
        let body = b"0123456789abcdef\r\n\r\n".repeat(5_000);
        let sent = [HEAD, &body, HEAD].concat();
        for known in [true, false] {
            let (mut stream, mut client) = pair(HANG).await;
            let sending = sent.clone();
            let sender = tokio::spawn(async move {
                client.write_all(&sending).await.unwrap();
                client
            });
            let mut bytes = Vec::new();
            read_until(&mut stream, &mut bytes, HEAD.len()).await;
            let length = known.then_some(body.len() as u64);
            let call = stream.activity().begin(length);
            while bytes.len() < HEAD.len() + body.len() {
                let before = bytes.len();
                stream.activity().want_body();
                read_all(&mut stream, &mut bytes).await;
                assert!(bytes.len() - before <= MAX_READ_BYTES);
                tokio::task::yield_now().await;
            }
            let client = sender.await.unwrap();
            if known {
                stream.activity().want_body();
                for _ in 0..100 {
                    read_all(&mut stream, &mut bytes).await;
                    tokio::task::yield_now().await;
                }
                assert_eq!(bytes.len(), sent.len() - 1);
            }
            drop(call);
            read_until(&mut stream, &mut bytes, sent.len()).await;
            assert!(bytes == sent);
            drop(client);
        }
    }

    #[tokio::test]
    async fn nothing_is_read_while_answers_are_not_taken() {
        let (mut stream, mut client) = pair(HANG).await;
        let blocked = poll_fn(|cx| {
            let filler = vec![b'x'; 1 << 20];
            while Pin::new(&mut stream).poll_write(cx, &filler).is_ready() {}
            Poll::Ready(stream.blocked)
        });
        assert!(blocked.await);
        client.write_all(HEAD).await.unwrap();
        let mut bytes = Vec::new();
        for _ in 0..100 {
            read_all(&mut stream, &mut bytes).await;
            tokio::task::yield_now().await;
        }
        assert!(bytes.is_empty());
        let taking = tokio::spawn(async move {
            let mut buffer = vec![0; 1 << 20];
            while client.read(&mut buffer).await.unwrap() > 0 {}
        });
        let written = poll_fn(|cx| Pin::new(&mut stream).poll_write(cx, b"x"));
        written.await.unwrap();
        read_until(&mut stream, &mut bytes, HEAD.len()).await;
        drop(stream);
        taking.await.unwrap();
    }

    #[tokio::test]
    async fn a_head_that_does_not_come_ends_the_connection() {
        for (sent, answered) in [(&b""[..], false), (&HEAD[..9], true)] {
            let (mut stream, mut client) = pair(Duration::from_millis(20)).await;
            client.write_all(sent).await.unwrap();
            let serving = async {
                let mut bytes = Vec::new();
                stream.read_to_end(&mut bytes).await.unwrap();
                assert_eq!(bytes, sent);
                drop(stream);
            };
            let mut answer = String::new();
            let (_, read) = tokio::join!(serving, client.read_to_string(&mut answer));
            read.unwrap();
            assert_eq!(answer.starts_with("HTTP/1.1 408 "), answered, "{answer}");
            assert_eq!(answer.is_empty(), !answered, "{answer}");
        }
    }
}
