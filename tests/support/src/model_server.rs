//! A model provider for tests: uses OpenAI Chat Completions, gives the answers that a test wants,
//! and refuses every request that breaks the format's rules.

mod check;
mod connection;
mod reply;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use core_model::LlmSettings;
use serde_json::Value;

pub use check::violations_of;
pub use reply::Reply;

/// A provider on a port of its own, on threads of its own, so that it serves any runtime. It stops
/// when dropped.
pub struct ModelServer {
    /// `http://127.0.0.1:PORT/v1`
    pub base_url: String,
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

/// What the server's threads and its owner share.
struct Shared {
    stopped: AtomicBool,
    state: Mutex<State>,
    /// Answers when no reply is queued.
    handler: Option<Box<Handler>>,
}

type Handler = dyn Fn(&Value) -> Reply + Send + Sync;

#[derive(Default)]
struct State {
    replies: VecDeque<Reply>,
    requests: Vec<Value>,
    authorizations: Vec<Option<String>>,
    violations: Vec<String>,
    calls_made: usize,
}

impl ModelServer {
    /// Answers one request with each reply, in order. A request too many is a violation.
    #[must_use]
    pub fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let server = Self::listening(None);
        server.shared.state().replies.extend(replies);
        server
    }

    /// Answers each request with the result of `handler` for its body.
    #[must_use]
    pub fn answering(handler: impl Fn(&Value) -> Reply + Send + Sync + 'static) -> Self {
        Self::listening(Some(Box::new(handler)))
    }

    /// Queues one more reply.
    pub fn push(&self, reply: Reply) {
        self.shared.state().replies.push_back(reply);
    }

    /// The bodies of all requests so far, wrong ones included, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Value> {
        self.shared.state().requests.clone()
    }

    /// The `Authorization` header of each request.
    #[must_use]
    pub fn authorizations(&self) -> Vec<Option<String>> {
        self.shared.state().authorizations.clone()
    }

    /// Problems of the requests so far; a test ends by asserting that this is empty.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.shared.state().violations.clone()
    }

    /// Waits until `count` requests have arrived, answered or not.
    pub async fn asked(&self, count: usize) {
        while self.shared.state().requests.len() < count {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Settings of the model on this server: never retried, every token has a price.
    #[must_use]
    pub fn llm_settings(&self) -> LlmSettings {
        LlmSettings {
            model: "openai/fake".to_owned(),
            base_url: Some(self.base_url.clone()),
            api_key: Some("test-key".to_owned()),
            num_retries: 0,
            input_cost_per_token: Some(0.000_001),
            output_cost_per_token: Some(0.000_002),
            ..LlmSettings::default()
        }
    }

    #[expect(clippy::expect_used, reason = "a test without a port cannot continue")]
    fn listening(handler: Option<Box<Handler>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("the port's address");
        let shared = Arc::new(Shared {
            stopped: AtomicBool::new(false),
            state: Mutex::default(),
            handler,
        });
        let accepting = Arc::clone(&shared);
        Self {
            base_url: format!("http://{address}/v1"),
            address,
            shared,
            acceptor: Some(std::thread::spawn(move || accept(&listener, &accepting))),
        }
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // A connection wakes the acceptor, which then sees that it is over.
        TcpStream::connect(self.address).ok();
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.join().ok();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// Records a request and decides how to answer it.
    fn answer(&self, path: &str, authorization: Option<String>, body: &[u8]) -> Reply {
        let parsed = serde_json::from_slice::<Value>(body);
        let mut wrong = match &parsed {
            Ok(body) => violations_of(body),
            Err(error) => vec![format!("the body is not JSON: {error}")],
        };
        if path != "POST /v1/chat/completions" {
            wrong.push(format!("there is no {path}"));
        }
        let request = parsed.unwrap_or_default();
        let mut state = self.state();
        state.requests.push(request.clone());
        state.authorizations.push(authorization);
        let queued = match wrong.is_empty() {
            true => state.replies.pop_front(),
            false => None,
        };
        if let Some(reply) = queued {
            return reply;
        }
        match &self.handler {
            Some(handler) if wrong.is_empty() => {
                drop(state);
                return handler(&request);
            }
            None if wrong.is_empty() => wrong.push("no reply is left for this request".to_owned()),
            Some(_) | None => {}
        }
        let reason = format!("invalid request: {}", wrong.join("; "));
        state.violations.extend(wrong);
        Reply::Error(400, reason)
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for connection in listener.incoming() {
        if shared.is_stopped() {
            return;
        }
        let Ok(socket) = connection else { continue };
        let shared = Arc::clone(shared);
        // A client that hangs up early is what some tests are about.
        std::thread::spawn(move || connection::serve(&socket, &shared).ok());
    }
}
