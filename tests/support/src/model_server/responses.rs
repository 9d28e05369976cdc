//! OpenAI's Responses.

mod check;
mod items;
mod output;
mod reply;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use super::render::{Answer, Refusal, named_event};
use super::said::Said;

pub(super) use check::RULES;

pub(super) const OVERFLOW: &str = "Your input exceeds the context window of this model. Please adjust your input and try \
     again.";

pub(super) fn answer(said: &Said, asked: &Value) -> Answer {
    reply::answer(said, asked)
}

/// A response that failed, and the event that says so without a response.
pub(super) fn failure(failure: &Refusal) -> (Value, String) {
    let code = match failure.status {
        400 => "invalid_prompt",
        429 => "rate_limit_exceeded",
        _ => "server_error",
    };
    let error = json!({"code": code, "message": failure.message});
    let whole = json!({"id": "resp_failed", "object": "response", "status": "failed", "error": error,
                       "output": []});
    let last = json!({"type": "error", "code": code, "message": failure.message, "param": null});
    (whole, named_event(&last))
}
