use bytes::Bytes;
use core_model::{Content, Draft, EventBody, EventTime, Source, event::ServerErrorEvent};
use serde_json::{Value, json};

use crate::{
    validation::{self, Problem},
    wire::SendMessage,
};

/// What a client's frame means.
#[derive(Debug, PartialEq)]
pub(super) enum Heard {
    /// A key that is not needed any more.
    Nothing,
    Message {
        content: Vec<Content>,
        run: bool,
    },
    /// `code` is the name that clients know the fault by.
    Nonsense {
        code: &'static str,
        detail: String,
    },
}

pub(super) fn understand(text: &str) -> Heard {
    let frame: Value = match serde_json::from_str(text) {
        Ok(frame) => frame,
        Err(error) => {
            let detail = format!(
                "The frame is not JSON: line {}, column {}",
                error.line(),
                error.column()
            );
            return Heard::Nonsense {
                code: "JSONDecodeError",
                detail,
            };
        }
    };
    if is_auth(&frame) {
        return Heard::Nothing;
    }
    let message: SendMessage = match validation::object(&frame, &["frame"]) {
        Ok(message) => message,
        Err(problems) => return invalid(&problems),
    };
    if !message.is_named() {
        return invalid(&[Problem::missing(&["frame", "role"])]);
    }
    if message.is_anothers() {
        let detail = "Only user messages are allowed to be sent to the agent.".to_owned();
        return Heard::Nonsense {
            code: "AssertionError",
            detail,
        };
    }
    match message.content(&["frame"]) {
        Ok(content) => Heard::Message {
            content,
            run: message.run.unwrap_or(true),
        },
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

/// The same on sockets whose frames say what they are.
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

fn invalid(problems: &[Problem]) -> Heard {
    let lines: Vec<String> = problems.iter().map(Problem::summary).collect();
    Heard::Nonsense {
        code: "ValidationError",
        detail: lines.join("; "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_in_both_forms() {
        let hi = |run| Heard::Message {
            content: vec![Content::text("hi")],
            run,
        };
        assert_eq!(understand(r#"{"type":"message","content":"hi"}"#), hi(true));
        let long = r#"{"role":"user","content":[{"type":"text","text":"hi"}]}"#;
        assert_eq!(understand(long), hi(true));
        assert_eq!(
            understand(r#"{"role":"user","content":"hi","run":false}"#),
            hi(false)
        );
    }

    #[test]
    fn nonsense_has_the_name_that_clients_know() {
        for (frame, expected) in [
            ("not json", "JSONDecodeError"),
            (r#"{"foo":1}"#, "ValidationError"),
            ("[1]", "ValidationError"),
            (r#"{"role":"robot"}"#, "ValidationError"),
            (
                r#"{"role":"user","content":[{"type":"audio"}]}"#,
                "ValidationError",
            ),
            (r#"{"role":"user","content":[]}"#, "ValidationError"),
            (r#"{"role":"user"}"#, "ValidationError"),
            (r#"{"type":"message","content":" "}"#, "ValidationError"),
            (
                r#"{"role":"user","content":[{"type":"image","image_urls":[""]}]}"#,
                "ValidationError",
            ),
            (r#"{"role":"assistant","content":[]}"#, "AssertionError"),
        ] {
            let Heard::Nonsense { code, detail } = understand(frame) else {
                panic!("{frame} was understood");
            };
            assert_eq!(code, expected, "{frame}");
            assert!(!detail.is_empty());
        }
    }

    #[test]
    fn a_late_auth_frame_means_nothing() {
        assert_eq!(
            understand(r#"{"type":"auth","session_api_key":"x"}"#),
            Heard::Nothing
        );
        assert_eq!(
            key(r#"{"type":"auth","session_api_key":"x"}"#),
            Some("x".to_owned())
        );
        assert_eq!(key(r#"{"type":"message","session_api_key":"x"}"#), None);
        assert_eq!(key("x"), None);
    }

    #[test]
    fn an_error_is_an_event_without_a_parent() {
        let event = server_error("ValidationError", "role: Field required".to_owned()).unwrap();
        let event: Value = serde_json::from_slice(&event).unwrap();
        assert_eq!(event["kind"], "ServerErrorEvent");
        assert_eq!(event["source"], "environment");
        assert_eq!(event["detail"], "role: Field required");
        assert!(event.get("parent_id").is_none());
    }
}
