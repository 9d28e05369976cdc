use serde_json::{Value, json};

use super::pieces::Pieces;
use super::reply;
use crate::answer::{error_in, values_in};
use crate::format::{Progress, RawReply, StreamReader};
use crate::{ModelError, model::OnDelta};

/// Puts a streamed reply together from its events. The response object that ends a stream is believed;
/// what came before it is used when that object has no output.
#[derive(Debug, Default)]
pub(super) struct EventReader {
    pieces: Pieces,
    reply: Option<RawReply>,
}

impl StreamReader for EventReader {
    fn event(&mut self, data: &str, on_delta: OnDelta<'_>) -> Result<(), ModelError> {
        // `[DONE]` says nothing: a reply ends with a response object.
        let (events, _) = values_in(data);
        for event in events {
            let event = event?;
            if self.reply.is_none() {
                self.take(&event, on_delta)?;
            }
        }
        Ok(())
    }

    fn progress(&self) -> Progress {
        if self.reply.is_some() {
            Progress::Closed
        } else {
            Progress::Partial
        }
    }

    fn finish(self: Box<Self>) -> RawReply {
        self.reply.unwrap_or_default()
    }
}

impl EventReader {
    fn take(&mut self, event: &Value, on_delta: OnDelta<'_>) -> Result<(), ModelError> {
        let kind = event["type"].as_str().unwrap_or_default();
        if let Some(error) = stream_error(kind, event) {
            return Err(error);
        }
        let kind = kind.strip_prefix("response.").unwrap_or(kind);
        match kind {
            "completed" | "incomplete" | "failed" => {
                self.reply = Some(self.last(kind, &event["response"])?);
            }
            other => {
                if let Some(delta) = self.pieces.add(other, event) {
                    on_delta(delta);
                }
            }
        }
        Ok(())
    }

    /// The reply that the last event holds. Some servers call every last event `completed` and say only in
    /// its response that it is not.
    fn last(&mut self, kind: &str, response: &Value) -> Result<RawReply, ModelError> {
        let mut response = response.clone();
        if !response.is_object() {
            response = json!({});
        }
        let told = response["status"].as_str().unwrap_or_default();
        if !matches!(told, "incomplete" | "failed") {
            response["status"] = json!(kind);
        }
        let has_output = response["output"]
            .as_array()
            .is_some_and(|items| !items.is_empty());
        if !has_output {
            response["output"] = Value::Array(std::mem::take(&mut self.pieces).into_items());
        }
        reply::read(&response)
    }
}

/// The failure that an event tells of, in its own fields or in an error object.
fn stream_error(kind: &str, event: &Value) -> Option<ModelError> {
    if kind == "error" && !event["error"].is_object() {
        let error = json!({"code": event["code"], "message": event["message"]});
        return error_in(&json!({ "error": error }));
    }
    error_in(event)
}
