//! A receiver of webhooks for tests: records what it gets, and answers as the test wants.

use std::{
    collections::HashMap,
    io::{BufReader, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use serde_json::Value;
use tokio::time::{sleep, timeout};

/// Longer than anything a test waits for; only a hang gets there.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A receiver on a port of its own, on threads of its own. Dropping it closes everything at once, as a
/// killed process would.
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

/// How one request is answered.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// Before it is answered.
    pub delay: Duration,
    /// Headers beside those that every answer has, each with its line break.
    pub headers: String,
    /// Never, in fact.
    pub hangs: bool,
}

/// One request that came in.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub method: String,
    pub path: String,
    /// By names in small letters.
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
    /// Its answer.
    pub status: u16,
}

struct Shared {
    stopped: AtomicBool,
    answering: Box<dyn Fn(&Delivery) -> Answer + Send + Sync>,
    deliveries: Mutex<Vec<Delivery>>,
    connections: Mutex<Vec<TcpStream>>,
    /// What serves them.
    serving: Mutex<Vec<JoinHandle<()>>>,
}

impl Answer {
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self {
            status,
            delay: Duration::ZERO,
            headers: String::new(),
            hangs: false,
        }
    }

    #[must_use]
    pub fn after(delay: Duration) -> Self {
        Self {
            delay,
            ..Self::status(200)
        }
    }

    #[must_use]
    pub fn never() -> Self {
        Self {
            hangs: true,
            ..Self::status(0)
        }
    }
}

impl Delivery {
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Its events, if it is about events.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        let events = self.json().as_array().cloned();
        events.unwrap_or_default()
    }

    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The seqs of its first and last event.
    #[must_use]
    pub fn span(&self) -> (u64, u64) {
        let seq = |name| self.header(name).parse().unwrap();
        (seq("x-first-seq"), seq("x-last-seq"))
    }
}

impl Receiver {
    /// Takes everything.
    #[must_use]
    pub fn start() -> Self {
        Self::answering(|_| Answer::status(200))
    }

    /// Answers each request with the result of `answering`.
    #[must_use]
    pub fn answering(answering: impl Fn(&Delivery) -> Answer + Send + Sync + 'static) -> Self {
        Self::on(0, answering)
    }

    /// On a port of the test's choice: where another one was before.
    #[must_use]
    pub fn on(port: u16, answering: impl Fn(&Delivery) -> Answer + Send + Sync + 'static) -> Self {
        let listener = bind(port);
        let address = listener.local_addr().expect("the port's address");
        let shared = Arc::new(Shared {
            stopped: AtomicBool::new(false),
            answering: Box::new(answering),
            deliveries: Mutex::default(),
            connections: Mutex::default(),
            serving: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        Self {
            address,
            shared,
            acceptor: Some(std::thread::spawn(move || accept(&listener, &accepting))),
        }
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// All requests so far, with any answer.
    #[must_use]
    pub fn deliveries(&self) -> Vec<Delivery> {
        lock(&self.shared.deliveries).clone()
    }

    /// Closes everything at once, and returns all requests that it kept until then.
    #[must_use]
    pub fn kill(self) -> Vec<Delivery> {
        let shared = Arc::clone(&self.shared);
        drop(self);
        for thread in lock(&shared.serving).drain(..) {
            thread.join().ok();
        }
        std::mem::take(&mut *lock(&shared.deliveries))
    }

    /// The requests about a conversation's events that were answered with 2xx, each event once, in the
    /// order in which they came first.
    #[must_use]
    pub fn events_of(&self, id: &str) -> Vec<Value> {
        let mut seen = std::collections::HashSet::new();
        let mut events = Vec::new();
        for delivery in lock(&self.shared.deliveries).iter() {
            let taken = (200..300).contains(&delivery.status);
            if taken && delivery.header("x-conversation-id") == id {
                let new = delivery.events().into_iter();
                events.extend(new.filter(|event| seen.insert(event["id"].clone())));
            }
        }
        events
    }

    /// Waits until the requests so far meet a condition.
    ///
    /// # Panics
    /// When that takes too long.
    pub async fn wait_for(&self, what: &str, fits: impl Fn(&[Delivery]) -> bool) {
        let reached = async {
            while !fits(&lock(&self.shared.deliveries)) {
                sleep(Duration::from_millis(10)).await;
            }
        };
        if timeout(TIMEOUT, reached).await.is_err() {
            let deliveries = self.deliveries();
            panic!(
                "no {what} among {}; the last: {:?}",
                deliveries.len(),
                deliveries.last()
            );
        }
    }

    /// Waits until so many of a conversation's events were taken.
    pub async fn wait_for_events(&self, id: &str, count: usize) {
        let reached = async {
            while self.events_of(id).len() < count {
                sleep(Duration::from_millis(20)).await;
            }
        };
        if timeout(TIMEOUT, reached).await.is_err() {
            panic!("{} of {count} events came", self.events_of(id).len());
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        TcpStream::connect(self.address).ok();
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.join().ok();
        }
        for connection in lock(&self.shared.connections).drain(..) {
            connection.shutdown(Shutdown::Both).ok();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A program that is just being started by another test holds a port that was closed for a moment.
fn bind(port: u16) -> TcpListener {
    for _ in 0..500 {
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
            return listener;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    TcpListener::bind(("127.0.0.1", port)).expect("a free port")
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for connection in listener.incoming() {
        if shared.stopped.load(Ordering::SeqCst) {
            return;
        }
        let Ok(socket) = connection else { continue };
        if let Ok(known) = socket.try_clone() {
            lock(&shared.connections).push(known);
        }
        let serving = Arc::clone(shared);
        // Some tests are about clients that hang up early.
        let thread = std::thread::spawn(move || drop(serve(&socket, &serving)));
        lock(&shared.serving).push(thread);
    }
}

fn serve(socket: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let mut reader = BufReader::new(socket);
    while let Some(mut delivery) = read_request(&mut reader)? {
        let answer = (shared.answering)(&delivery);
        if answer.hangs {
            lock(&shared.deliveries).push(delivery);
            // Until one of the two goes away.
            return reader.read_exact(&mut [0]);
        }
        std::thread::sleep(answer.delay);
        if shared.stopped.load(Ordering::SeqCst) {
            return Ok(());
        }
        delivery.status = answer.status;
        // First kept, then answered, as a receiver should.
        lock(&shared.deliveries).push(delivery);
        let Answer {
            status, headers, ..
        } = answer;
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\n{headers}\r\n{{}}");
        (&mut &*socket).write_all(head.as_bytes())?;
    }
    Ok(())
}

fn read_request(reader: &mut impl std::io::BufRead) -> std::io::Result<Option<Delivery>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let method = words.next().unwrap_or_default();
    let path = words.next().unwrap_or_default();
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => {
                headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
            }
            None => break,
        }
    }
    let length = headers
        .get("content-length")
        .and_then(|text| text.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    Ok(Some(Delivery {
        method,
        path,
        headers,
        body,
        status: 0,
    }))
}
