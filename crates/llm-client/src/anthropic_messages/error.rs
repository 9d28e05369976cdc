use std::time::Duration;

use serde_json::Value;

use crate::ModelError;

/// What an answer with a status of failure means.
pub(super) fn read(status: u16, answer: &Value, wait: Option<Duration>) -> ModelError {
    let message = message_in(answer);
    let said = message.to_lowercase();
    match status {
        // Without its images and its longest results, the request is smaller too.
        413 => ModelError::ContextWindow(message),
        400 if said.contains("exceed context limit") => ModelError::ContextWindow(message),
        400 if said.contains("credit balance is too low") => ModelError::Quota(message),
        _ => ModelError::from_whole(status, &message, wait),
    }
}

/// The failure that an answer with status 200, or an event of a stream, may be all the same.
pub(super) fn error_in(value: &Value) -> Option<ModelError> {
    if value["type"] != "error" && !value["error"].is_object() {
        return None;
    }
    let kind = value["error"]["type"].as_str().unwrap_or_default();
    Some(read(status_of(kind), value, None))
}

/// The status that comes with an error of this type where one comes.
fn status_of(kind: &str) -> u16 {
    match kind {
        "invalid_request_error" => 400,
        "authentication_error" => 401,
        "billing_error" => 402,
        "permission_error" => 403,
        "not_found_error" => 404,
        "request_too_large" => 413,
        "rate_limit_error" => 429,
        "timeout_error" => 504,
        "overloaded_error" => 529,
        _ => 500,
    }
}

/// A provider's words out of an error body; proxies have shapes of their own.
fn message_in(answer: &Value) -> String {
    let spoken = [
        &answer["error"]["message"],
        &answer["message"],
        &answer["detail"],
        &answer["error"],
    ];
    let message = spoken.into_iter().find_map(Value::as_str);
    message.map_or_else(|| answer.to_string(), str::to_owned)
}
