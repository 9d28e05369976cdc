use std::time::Duration;

use serde_json::{Value, json};

/// Streamed text and arguments come in pieces of about this many characters.
const PIECE: usize = 7;

/// The server's answer to one request. The request decides whether it is streamed.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Words only, which end a turn.
    Text(String),
    /// Tool names and arguments; a string is sent as the arguments' text as it stands.
    ToolCalls(Vec<(String, Value)>),
    /// Words, private reasoning and calls together.
    Full {
        text: String,
        reasoning: String,
        calls: Vec<(String, Value)>,
    },
    /// A provider's error object with this HTTP status.
    Error(u16, String),
    /// These bytes and nothing else.
    Raw {
        status: u16,
        headers: Vec<(String, String)>,
        body: String,
    },
    /// The same after a while.
    Slow(Duration, Box<Reply>),
    /// The first half of it, then the connection closes.
    StreamCut(Box<Reply>),
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

    /// The same after `delay`.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self::Slow(delay, Box::new(self))
    }

    /// As HTTP. `next_call` numbers tool calls, `request_length` makes up a token count.
    pub(super) fn render(
        self,
        stream: bool,
        request_length: usize,
        next_call: &mut dyn FnMut() -> usize,
    ) -> Rendered {
        let (text, reasoning, calls) = match self {
            Self::Slow(delay, reply) => {
                let rendered = reply.render(stream, request_length, next_call);
                let delay = delay + rendered.delay;
                return Rendered { delay, ..rendered };
            }
            Self::StreamCut(reply) => {
                let rendered = reply.render(stream, request_length, next_call);
                return Rendered {
                    cut: true,
                    ..rendered
                };
            }
            Self::Error(status, message) => {
                let error = json!({"error": {"message": message, "type": "scripted"}});
                return Rendered::json(status, &error);
            }
            Self::Raw {
                status,
                headers,
                body,
            } => {
                return Rendered {
                    headers,
                    ..Rendered::new(status, Body::Whole(body))
                };
            }
            Self::Text(text) => (text, String::new(), Vec::new()),
            Self::ToolCalls(calls) => (String::new(), String::new(), calls),
            Self::Full {
                text,
                reasoning,
                calls,
            } => (text, reasoning, calls),
        };
        let calls: Vec<Call> = calls
            .into_iter()
            .map(|(name, arguments)| Call {
                id: format!("call_{}", next_call()),
                name,
                arguments: match arguments.as_str() {
                    Some(text) => text.to_owned(),
                    None => arguments.to_string(),
                },
            })
            .collect();
        let said = text.len() + calls.iter().map(|call| call.arguments.len()).sum::<usize>();
        let message = Said {
            id: format!("chatcmpl-{}", next_call()),
            usage: json!({"prompt_tokens": request_length.div_ceil(4),
                          "completion_tokens": said.div_ceil(4),
                          "total_tokens": request_length.div_ceil(4) + said.div_ceil(4)}),
            text,
            reasoning,
            calls,
        };
        match stream {
            true => message.streamed(),
            false => message.whole(),
        }
    }
}

/// A reply as it goes over the wire.
pub(super) struct Rendered {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Body,
    pub(super) delay: Duration,
    /// Whether the connection closes halfway.
    pub(super) cut: bool,
}

pub(super) enum Body {
    Whole(String),
    /// The data of server-sent events.
    Events(Vec<String>),
}

impl Rendered {
    fn new(status: u16, body: Body) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body,
            delay: Duration::ZERO,
            cut: false,
        }
    }

    fn json(status: u16, body: &Value) -> Self {
        Self {
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            ..Self::new(status, Body::Whole(body.to_string()))
        }
    }
}

struct Said {
    id: String,
    text: String,
    reasoning: String,
    calls: Vec<Call>,
    usage: Value,
}

struct Call {
    id: String,
    name: String,
    arguments: String,
}

impl Said {
    fn finish_reason(&self) -> &'static str {
        match self.calls.is_empty() {
            true => "stop",
            false => "tool_calls",
        }
    }

    fn whole(&self) -> Rendered {
        let mut message = json!({"role": "assistant", "content": self.text});
        if !self.reasoning.is_empty() {
            message["reasoning_content"] = json!(self.reasoning);
        }
        if !self.calls.is_empty() {
            let calls = self.calls.iter().map(|call| {
                json!({"id": call.id, "type": "function",
                       "function": {"name": call.name, "arguments": call.arguments}})
            });
            message["tool_calls"] = calls.collect();
        }
        let choice = json!({"index": 0, "message": message, "finish_reason": self.finish_reason()});
        let body = json!({"id": self.id, "object": "chat.completion", "model": "fake",
                          "choices": [choice], "usage": self.usage});
        Rendered::json(200, &body)
    }

    fn streamed(&self) -> Rendered {
        let chunk = |choices: Value, usage: &Value| {
            json!({"id": self.id, "object": "chat.completion.chunk", "model": "fake",
                   "choices": choices, "usage": usage})
            .to_string()
        };
        let delta = |delta: Value| {
            let choices = json!([{"index": 0, "delta": delta, "finish_reason": null}]);
            chunk(choices, &Value::Null)
        };
        let mut events = vec![delta(json!({"role": "assistant", "content": ""}))];
        for piece in pieces(&self.reasoning) {
            events.push(delta(json!({"reasoning_content": piece})));
        }
        for piece in pieces(&self.text) {
            events.push(delta(json!({"content": piece})));
        }
        for (index, call) in self.calls.iter().enumerate() {
            let named = json!({"name": call.name, "arguments": ""});
            events.push(delta(json!({"tool_calls": [
                {"index": index, "id": call.id, "type": "function", "function": named}]})));
            for piece in pieces(&call.arguments) {
                let function = json!({"arguments": piece});
                let piece = json!([{"index": index, "function": function}]);
                events.push(delta(json!({"tool_calls": piece})));
            }
        }
        let last = json!([{"index": 0, "delta": {}, "finish_reason": self.finish_reason()}]);
        events.push(chunk(last, &Value::Null));
        events.push(chunk(json!([]), &self.usage));
        events.push("[DONE]".to_owned());
        Rendered {
            headers: vec![("content-type".to_owned(), "text/event-stream".to_owned())],
            ..Rendered::new(200, Body::Events(events))
        }
    }
}

fn pieces(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let pieces = characters.chunks(PIECE);
    pieces.map(|piece| piece.iter().collect()).collect()
}
