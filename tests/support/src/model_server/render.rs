use std::time::Duration;

use serde_json::Value;

/// A reply in a format: whole, and as the events of a stream.
pub(super) struct Answer {
    pub(super) whole: Value,
    /// Server-sent events with their line breaks.
    pub(super) events: Vec<String>,
    /// Those of its items that may come back.
    pub(super) items: Vec<Value>,
}

impl Answer {
    /// As the request wants it. `failure` is what comes in place of the whole, or after half of the stream.
    pub(super) fn rendered(mut self, stream: bool, failure: Option<(Value, String)>) -> Rendered {
        match (failure, stream) {
            (Some((_, event)), true) => {
                self.events.truncate(self.events.len() / 2);
                self.events.push(event);
                Rendered::events(self.events)
            }
            (Some((whole, _)), false) => Rendered::json(200, &whole),
            (None, true) => Rendered::events(self.events),
            (None, false) => Rendered::json(200, &self.whole),
        }
    }
}

/// A provider's error.
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) message: String,
    /// OpenAI's `code`, where there is one.
    pub(super) code: Option<&'static str>,
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
    Events(Vec<String>),
}

impl Rendered {
    pub(super) fn new(status: u16, body: Body) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body,
            delay: Duration::ZERO,
            cut: false,
        }
    }

    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self {
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            ..Self::new(status, Body::Whole(body.to_string()))
        }
    }

    pub(super) fn events(events: Vec<String>) -> Self {
        Self {
            headers: vec![("content-type".to_owned(), "text/event-stream".to_owned())],
            ..Self::new(200, Body::Events(events))
        }
    }
}

/// An event with its type in a field of its own and in the data.
pub(super) fn named_event(data: &Value) -> String {
    let name = data["type"].as_str().unwrap_or_default();
    format!("event: {name}\ndata: {data}\n\n")
}

pub(super) fn event(data: &str) -> String {
    format!("data: {data}\n\n")
}
