//! A model provider for tests: speaks Chat Completions, Responses and Messages, gives the answers that
//! a test wants, and refuses every request that breaks the format's rules.

mod chat;
mod connection;
mod format;
mod messages;
mod prompt_cache;
mod render;
mod reply;
mod responses;
mod rule;
mod rules;
mod said;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use core_model::{LlmSettings, agent::ApiMode};
use serde_json::Value;

use connection::HttpRequest;
use prompt_cache::PromptCache;
use render::{Body, Refusal, Rendered};
use reply::{Opened, What};
use rule::{Asked, SentReply, hash_of, list, text};
use said::{Said, Style};

pub use format::Format;
pub use reply::Reply;
pub use rules::Rules;
pub use said::{Part, Stop};

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

struct State {
    rules: Rules,
    replies: VecDeque<Reply>,
    requests: Vec<Value>,
    authorizations: Vec<Option<String>>,
    violations: Vec<String>,
    /// What was said in each format, oldest first.
    sent: BTreeMap<Format, Vec<SentReply>>,
    cache: PromptCache,
    /// How many replies and parts of them have a number.
    numbered: usize,
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

    /// Enforces these rules instead of [`Rules::usual`].
    #[must_use]
    pub fn with_rules(self, rules: Rules) -> Self {
        self.shared.state().rules = rules;
        self
    }

    /// Queues one more reply.
    pub fn push(&self, reply: Reply) {
        self.shared.state().replies.push_back(reply);
    }

    /// Whether queued replies are left.
    #[must_use]
    pub fn waits(&self) -> bool {
        !self.shared.state().replies.is_empty()
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
        self.settings_in(Format::Chat)
    }

    /// The same for a model that is spoken to in this format; those of Responses and Messages reason.
    #[must_use]
    pub fn settings_in(&self, format: Format) -> LlmSettings {
        let (model, api_mode) = match format {
            Format::Chat => ("openai/fake", ApiMode::Chat),
            Format::Responses => ("openai/gpt-5.6", ApiMode::Responses),
            Format::Messages => ("anthropic/claude-opus-5-5", ApiMode::Messages),
        };
        LlmSettings {
            model: model.to_owned(),
            api_mode,
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
            state: Mutex::new(State::new()),
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
    fn answer(&self, request: &HttpRequest) -> Rendered {
        let parsed = serde_json::from_slice::<Value>(&request.body);
        let format = match request.method.as_str() {
            "POST" => Format::at(&request.path),
            _ => None,
        };
        let mut state = self.state();
        let mut wrong = match (&parsed, format) {
            (Ok(body), Some(format)) => state.violations_of(format, body, &request.headers),
            (Err(error), _) => vec![format!("the body is not JSON: {error}")],
            (Ok(_), None) => vec![format!("there is no {} {}", request.method, request.path)],
        };
        let body = parsed.unwrap_or_default();
        state.requests.push(body.clone());
        let authorization = request.headers.get("authorization");
        state.authorizations.push(authorization.cloned());
        let mut reply = None;
        if wrong.is_empty() {
            reply = state.replies.pop_front();
            if let (None, Some(handler)) = (&reply, &self.handler) {
                drop(state);
                reply = Some(handler(&body));
                state = self.state();
            }
            if reply.is_none() {
                wrong.push("no reply is left for this request".to_owned());
            }
        }
        let format = format.unwrap_or(Format::Chat);
        match reply {
            Some(reply) => state.render(format, reply.opened(), &body),
            None => {
                let reason = format!("invalid request: {}", wrong.join("; "));
                state.violations.extend(wrong);
                refused(format, 400, reason, None)
            }
        }
    }
}

impl State {
    fn new() -> Self {
        Self {
            rules: Rules::usual(),
            replies: VecDeque::new(),
            requests: Vec::new(),
            authorizations: Vec::new(),
            violations: Vec::new(),
            sent: BTreeMap::new(),
            cache: PromptCache::default(),
            numbered: 0,
        }
    }

    fn violations_of(
        &self,
        format: Format,
        body: &Value,
        headers: &BTreeMap<String, String>,
    ) -> Vec<String> {
        let sent = self.sent.get(&format);
        let asked = Asked {
            body,
            headers,
            sent: sent.map_or(&[], Vec::as_slice),
        };
        self.rules.violations(format, &asked)
    }

    fn render(&mut self, format: Format, reply: Opened, asked: &Value) -> Rendered {
        let rendered = match reply.what {
            What::Raw(status, body) => Rendered::new(status, Body::Whole(body)),
            What::Error(status, message) => refused(format, status, message, None),
            What::Overflow => {
                let message = format.overflow().to_owned();
                refused(format, 400, message, Some("context_length_exceeded"))
            }
            What::Said(parts, stop) => {
                let number = self.numbered + 1;
                self.numbered += 1 + parts.len();
                let model = text(&asked["model"]);
                let style = self.style();
                let prompt = self.cache.take(format, asked);
                let said = Said::new(model, parts, stop, number, prompt, style);
                let answer = format.answer(&said, asked);
                self.sent.entry(format).or_default().push(SentReply {
                    model: model.to_owned(),
                    items: answer.items,
                    prefix: hash_of(list(&asked["messages"])),
                });
                match asked["stream"] == true {
                    true => Rendered::events(answer.events),
                    false => Rendered::json(200, &answer.whole),
                }
            }
        };
        let mut headers = rendered.headers;
        headers.extend(reply.headers);
        Rendered {
            headers,
            delay: reply.delay,
            cut: reply.broken,
            ..rendered
        }
    }

    /// What is wanted back has to be sent first.
    fn style(&self) -> Style {
        Style {
            thought_signatures: self.rules.enforce("chat.thought_signatures"),
            reasoning_details: self.rules.enforce("chat.reasoning_details"),
            nine_character_ids: self.rules.enforce("chat.call_ids_of_nine"),
        }
    }
}

fn refused(format: Format, status: u16, message: String, code: Option<&'static str>) -> Rendered {
    let refusal = Refusal {
        status,
        message,
        code,
    };
    Rendered::json(status, &format.refusal(&refusal))
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
