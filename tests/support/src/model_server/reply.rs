use std::time::Duration;

use serde_json::{Value, json};

use super::said::{Part, Stop};

/// The server's answer to one request. The request decides in which format and whether it is streamed.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Words only, which end a turn.
    Text(String),
    /// Tool names and arguments; a string is sent as the arguments' text as it stands.
    ToolCalls(Vec<(String, Value)>),
    /// Thoughts, words and calls, in the order in which the model makes them.
    Parts(Vec<Part>),
    /// What was said when the model had to stop.
    Stopped(Stop, Box<Reply>),
    /// A provider's error object with this HTTP status.
    Error(u16, String),
    /// The prompt is too long.
    Overflow,
    /// These bytes and nothing else.
    Raw {
        status: u16,
        headers: Vec<(String, String)>,
        body: String,
    },
    /// The same with one more header.
    Headed(String, String, Box<Reply>),
    /// The same after a while.
    Slow(Duration, Box<Reply>),
    /// The first half of it, then the connection closes.
    StreamCut(Box<Reply>),
    /// Status 200 and a provider's error all the same, which stands for this status: after the first half
    /// of a stream, or in place of a whole reply.
    Failing(u16, String, Box<Reply>),
}

impl Reply {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// One tool call.
    pub fn call(tool: &str, arguments: Value) -> Self {
        Self::ToolCalls(vec![(tool.to_owned(), arguments)])
    }

    /// A call of `finish`, which ends a turn.
    pub fn finish(message: &str) -> Self {
        Self::call("finish", json!({"message": message}))
    }

    /// The same, its last part cut in half by the limit on a reply's length.
    #[must_use]
    pub fn cut_by_length(self) -> Self {
        self.stopped(Stop::Length)
    }

    /// The same, stopped for another reason than that it is complete.
    #[must_use]
    pub fn stopped(self, stop: Stop) -> Self {
        Self::Stopped(stop, Box::new(self))
    }

    /// Fails in the middle, in an answer with status 200.
    #[must_use]
    pub fn failing(self, status: u16, message: &str) -> Self {
        Self::Failing(status, message.to_owned(), Box::new(self))
    }

    /// The same with one more header.
    #[must_use]
    pub fn with_header(self, name: &str, value: &str) -> Self {
        Self::Headed(name.to_owned(), value.to_owned(), Box::new(self))
    }

    /// The same after `delay`.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self::Slow(delay, Box::new(self))
    }

    /// What is sent, apart from how.
    pub(super) fn opened(self) -> Opened {
        let (headers, what) = match self {
            Self::Slow(delay, reply) => {
                let mut opened = reply.opened();
                opened.delay += delay;
                return opened;
            }
            Self::StreamCut(reply) => {
                return Opened {
                    broken: true,
                    ..reply.opened()
                };
            }
            Self::Failing(status, message, reply) => {
                return Opened {
                    failure: Some((status, message)),
                    ..reply.opened()
                };
            }
            Self::Headed(name, value, reply) => {
                let mut opened = reply.opened();
                opened.headers.push((name, value));
                return opened;
            }
            Self::Stopped(stop, reply) => {
                let mut opened = reply.opened();
                if let What::Said(_, why) = &mut opened.what {
                    *why = stop;
                }
                return opened;
            }
            Self::Text(text) => (Vec::new(), said(vec![Part::Text(text)])),
            Self::ToolCalls(calls) => {
                let calls = calls.into_iter();
                let calls = calls.map(|(tool, arguments)| Part::Call(tool, arguments));
                (Vec::new(), said(calls.collect()))
            }
            Self::Parts(parts) => (Vec::new(), said(parts)),
            Self::Error(status, message) => (Vec::new(), What::Error(status, message)),
            Self::Overflow => (Vec::new(), What::Overflow),
            Self::Raw {
                status,
                headers,
                body,
            } => (headers, What::Raw(status, body)),
        };
        Opened {
            what,
            headers,
            delay: Duration::ZERO,
            broken: false,
            failure: None,
        }
    }
}

fn said(parts: Vec<Part>) -> What {
    What::Said(parts, Stop::Done)
}

/// A reply, and how it is sent.
pub(super) struct Opened {
    pub(super) what: What,
    pub(super) headers: Vec<(String, String)>,
    pub(super) delay: Duration,
    /// Whether the connection closes halfway.
    pub(super) broken: bool,
    /// The status and the words of an error that comes halfway.
    pub(super) failure: Option<(u16, String)>,
}

pub(super) enum What {
    Said(Vec<Part>, Stop),
    Error(u16, String),
    Overflow,
    Raw(u16, String),
}
