use std::{
    cell::RefCell,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use harness::Target;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    sync::{Semaphore, oneshot},
    task::JoinSet,
    time::timeout,
};

use crate::{frames::FrameCounter, progress::Progress};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);
/// A server that begins with a snapshot has sent it by then.
const SNAPSHOTS_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECTING_AT_ONCE: usize = 64;
const CHUNK: usize = 256 << 10;
const SMALL_RECEIVE_BUFFER: u32 = 8 << 10;
/// Masked, as all that clients send, and empty.
const PONG: [u8; 6] = [0x8a, 0x80, 0, 0, 0, 0];

/// Many WebSockets on one thread, which only count what comes.
pub(crate) struct Swarm {
    states: Arc<Vec<State>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// One socket to be.
#[derive(Clone)]
pub(crate) struct Plan {
    /// With its query.
    pub(crate) path: String,
    /// A socket that does not never takes anything after the handshake.
    pub(crate) reads: bool,
    /// Whether to note when events came.
    pub(crate) stamps: bool,
}

#[derive(Default)]
struct State {
    events: AtomicU64,
    begun: AtomicBool,
    /// Why it is over.
    ended: Mutex<Option<String>>,
    stamps: Mutex<Vec<(u64, Instant)>>,
}

impl Swarm {
    /// Opens all sockets; returns when each handshake is done.
    ///
    /// # Errors
    /// When one of them fails.
    pub(crate) fn connect(target: &Target, plans: Vec<Plan>) -> Result<Self> {
        let states: Vec<State> = plans.iter().map(|_| State::default()).collect();
        let states = Arc::new(states);
        let (stop, stopped) = oneshot::channel();
        let (connected, outcomes) = mpsc::channel();
        let count = plans.len();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let run = run(
            target.clone(),
            plans,
            Arc::clone(&states),
            connected,
            stopped,
        );
        let thread = std::thread::spawn(move || runtime.block_on(run));
        let swarm = Self {
            states,
            stop: Some(stop),
            thread: Some(thread),
        };
        for _ in 0..count {
            let outcome = outcomes.recv_timeout(CONNECT_TIMEOUT);
            outcome.context("sockets cannot be opened in time")??;
        }
        Ok(swarm)
    }

    /// Waits until each socket got its first message, if the server begins with one.
    pub(crate) fn settle(&self) {
        let begin = Instant::now();
        let begun = |state: &State| state.begun.load(Ordering::Acquire);
        while begin.elapsed() < SNAPSHOTS_TIMEOUT && !self.states.iter().all(begun) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until each socket got so many events.
    ///
    /// # Errors
    /// When one of them is closed before, or that takes longer than `timeout`.
    pub(crate) fn wait_for(
        &self,
        goal: impl Fn(usize) -> u64,
        timeout: Duration,
        progress: &mut Progress,
    ) -> Result<()> {
        let begin = Instant::now();
        let goals: Vec<u64> = (0..self.states.len()).map(goal).collect();
        loop {
            let missing = self
                .states
                .iter()
                .zip(&goals)
                .position(|(state, goal)| state.events() < *goal);
            let Some(missing) = missing else {
                return Ok(());
            };
            let state = &self.states[missing];
            let (got, goal) = (state.events(), goals[missing]);
            if let Some(why) = state.ended().filter(|_| got < goal) {
                bail!("socket {missing} was over after {got} of {goal} events: {why}");
            }
            if begin.elapsed() > timeout {
                bail!(
                    "socket {missing} got {got} of {goal} events in {} s",
                    timeout.as_secs()
                );
            }
            progress.at(self.total());
            std::thread::sleep(Duration::from_micros(500));
        }
    }

    /// Events that all sockets together got.
    pub(crate) fn total(&self) -> u64 {
        self.states.iter().map(State::events).sum()
    }

    pub(crate) fn events_of(&self, socket: usize) -> u64 {
        self.states.get(socket).map_or(0, State::events)
    }

    /// How many of the sockets are over.
    pub(crate) fn ended(&self) -> usize {
        let ended = |state: &&State| state.ended().is_some();
        self.states.iter().filter(ended).count()
    }

    /// For each socket, how many events it had got at which moment.
    pub(crate) fn stamps(&self) -> Vec<Vec<(u64, Instant)>> {
        let stamps = |state: &State| lock(&state.stamps).clone();
        self.states.iter().map(stamps).collect()
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

impl State {
    fn events(&self) -> u64 {
        self.events.load(Ordering::Acquire)
    }

    fn ended(&self) -> Option<String> {
        lock(&self.ended).clone()
    }
}

async fn run(
    target: Target,
    plans: Vec<Plan>,
    states: Arc<Vec<State>>,
    connected: mpsc::Sender<Result<()>>,
    stopped: oneshot::Receiver<()>,
) {
    let turns = Arc::new(Semaphore::new(CONNECTING_AT_ONCE));
    let mut sockets = JoinSet::new();
    for (at, plan) in plans.into_iter().enumerate() {
        let (target, states, turns) = (target.clone(), Arc::clone(&states), Arc::clone(&turns));
        let connected = connected.clone();
        sockets.spawn(async move {
            let opened = {
                let _turn = turns.acquire().await;
                timeout(CONNECT_TIMEOUT, open(&target, &plan)).await
            };
            let opened = opened.unwrap_or_else(|_elapsed| Err(anyhow!("no answer in time")));
            let (stream, begin) = match opened {
                Ok(opened) => opened,
                Err(error) => {
                    connected.send(Err(error.context(plan.path))).ok();
                    return;
                }
            };
            connected.send(Ok(())).ok();
            if !plan.reads {
                std::future::pending::<()>().await;
            }
            let why = match count(stream, &begin, &states[at], plan.stamps).await {
                Ok(code) => format!("closed with {code}"),
                Err(error) => format!("{error:#}"),
            };
            *lock(&states[at].ended) = Some(why);
        });
    }
    drop(connected);
    // Its sender is dropped with the swarm.
    stopped.await.ok();
}

/// Shakes hands: the stream, and what came after the answer's head.
async fn open(target: &Target, plan: &Plan) -> Result<(TcpStream, Vec<u8>)> {
    let socket = match target.address.is_ipv6() {
        true => TcpSocket::new_v6()?,
        false => TcpSocket::new_v4()?,
    };
    if !plan.reads {
        socket.set_recv_buffer_size(SMALL_RECEIVE_BUFFER)?;
    }
    let mut stream = socket.connect(target.address).await?;
    stream.set_nodelay(true)?;
    let request = format!(
        "GET {} HTTP/1.1\r\nhost: {}\r\n{}connection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: bG9hZCBsb2FkIGxvYWQgbA==\r\n\r\n",
        plan.path,
        target.authority,
        target.key_header(),
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    let end = loop {
        if stream.read_buf(&mut answer).await? == 0 {
            bail!("the server hung up");
        }
        let end = answer.windows(4).position(|part| part == b"\r\n\r\n");
        if let Some(end) = end {
            break end + 4;
        }
    };
    if !answer.starts_with(b"HTTP/1.1 101") {
        let answer = String::from_utf8_lossy(&answer);
        bail!("no socket: {}", answer.lines().next().unwrap_or_default());
    }
    answer.drain(..end);
    Ok((stream, answer))
}

/// Counts to the end of the connection: its close code.
async fn count(mut stream: TcpStream, begin: &[u8], state: &State, stamps: bool) -> Result<u16> {
    let mut counter = FrameCounter::default();
    counter.feed(begin)?;
    loop {
        note(&counter, state, stamps);
        if let Some(code) = counter.close_code {
            return Ok(code);
        }
        for _ in 0..std::mem::take(&mut counter.pings) {
            stream.write_all(&PONG).await?;
        }
        stream.readable().await?;
        if !take(&stream, &mut counter)? {
            return Ok(1006);
        }
    }
}

/// Reads once, into a buffer that all sockets share; whether the connection continues.
fn take(stream: &TcpStream, counter: &mut FrameCounter) -> Result<bool> {
    thread_local! {
        static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; CHUNK]);
    }
    BUFFER.with_borrow_mut(|buffer| match stream.try_read(buffer) {
        Ok(0) => Ok(false),
        Ok(read) => counter.feed(&buffer[..read]).map(|()| true),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(true),
        Err(error) => Err(error.into()),
    })
}

fn note(counter: &FrameCounter, state: &State, stamps: bool) {
    let events = counter.events();
    let before = state.events.swap(events, Ordering::AcqRel);
    state.begun.store(counter.has_begun(), Ordering::Release);
    if stamps && events > before {
        lock(&state.stamps).push((events, Instant::now()));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
