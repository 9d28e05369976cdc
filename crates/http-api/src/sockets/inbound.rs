use bytes::Bytes;
use core_model::{Content, Delivery, Draft, EventBody, EventTime, Source, event::ServerErrorEvent};
use serde_json::{Value, json};

use crate::{
    message::SendMessage,
    validation::{self, Problem},
};

/// What a client's frame means.
#[derive(Debug, PartialEq)]
pub(super) enum ClientFrame {
    /// A key that is no longer needed.
    Ignored,
    Message {
        content: Vec<Content>,
        delivery: Delivery,
    },
    /// `code` is the name by which clients know the error.
    Invalid { code: &'static str, detail: String },
}

pub(super) fn parse(text: &str) -> ClientFrame {
    let frame: Value = match serde_json::from_str(text) {
        Ok(frame) => frame,
        Err(error) => {
            let detail = format!(
                "The frame is not JSON: line {}, column {}",
                error.line(),
                error.column()
            );
            return ClientFrame::Invalid {
                code: "JSONDecodeError",
                detail,
            };
        }
    };
    if is_auth(&frame) {
        return ClientFrame::Ignored;
    }
    let message: SendMessage = match validation::object(&frame, &["frame"]) {
        Ok(message) => message,
        Err(problems) => return invalid(&problems),
    };
    if !message.is_named() {
        return invalid(&[Problem::missing(&["frame", "role"])]);
    }
    if message.is_of_another_role() {
        let detail = "Only user messages are allowed to be sent to the agent.".to_owned();
        return ClientFrame::Invalid {
            code: "AssertionError",
            detail,
        };
    }
    let content = message.content(&["frame"]);
    match content.and_then(|content| Ok((content, message.delivery(true, &["frame"])?))) {
        Ok((content, delivery)) => ClientFrame::Message { content, delivery },
        Err(problems) => invalid(&problems),
    }
}

/// The key in an auth frame.
pub(super) fn key(text: &str) -> Option<String> {
    let frame: Value = serde_json::from_str(text).ok()?;
    if frame.get("type")? != "auth" {
        return None;
    }
    frame.get("session_api_key")?.as_str().map(str::to_owned)
}

/// A `ServerErrorEvent` for this client alone; it is never logged.
pub(super) fn server_error(code: &str, detail: String) -> Option<Bytes> {
    let body = EventBody::ServerErrorEvent(ServerErrorEvent {
        code: code.to_owned(),
        detail,
    });
    let event = Draft::new(Source::Environment, body).at(EventTime::now(), None);
    event.to_vec().ok().map(Bytes::from)
}

/// The same for sockets whose frames say what they are.
pub(super) fn error_frame(code: &str, detail: &str) -> Bytes {
    json!({"type": "error", "code": code, "detail": detail})
        .to_string()
        .into()
}

fn is_auth(frame: &Value) -> bool {
    frame.get("type").is_some_and(|tag| tag == "auth")
        && frame.as_object().is_some_and(|fields| {
            fields
                .keys()
                .all(|name| matches!(name.as_str(), "type" | "session_api_key"))
        })
}

fn invalid(problems: &[Problem]) -> ClientFrame {
    let lines: Vec<String> = problems.iter().map(Problem::summary).collect();
    ClientFrame::Invalid {
        code: "ValidationError",
        detail: lines.join("; "),
    }
}

#[cfg(test)]
mod tests;
