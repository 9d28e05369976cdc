//! Anthropic's Messages.

mod blocks;
mod check;
mod reply;
#[cfg(test)]
mod tests;
mod thoughts;

use serde_json::{Value, json};

use super::render::{Answer, Refusal, named_event};
use super::said::Said;

pub(super) use check::RULES;

pub(super) const OVERFLOW: &str = "prompt is too long: 201234 tokens > 200000 maximum";

pub(super) fn answer(said: &Said) -> Answer {
    reply::answer(said)
}

pub(super) fn failure(failure: &Refusal) -> (Value, String) {
    let whole = refusal(failure);
    let last = named_event(&whole);
    (whole, last)
}

pub(super) fn refusal(refusal: &Refusal) -> Value {
    let kind = match refusal.status {
        400 => "invalid_request_error",
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        _ => "api_error",
    };
    let error = json!({"type": kind, "message": refusal.message});
    json!({"type": "error", "error": error, "request_id": "req_1"})
}
