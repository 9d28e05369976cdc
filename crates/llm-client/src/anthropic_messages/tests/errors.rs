use std::time::Duration;

use serde_json::{Value, json};

use super::AnthropicMessages;
use crate::ModelError;
use crate::format::Format;

fn error(kind: &str, message: &str) -> Value {
    json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"})
}

#[test]
fn each_failure_has_its_code() {
    let credit = "Your credit balance is too low to access the Anthropic API.";
    let long = "prompt is too long: 210000 tokens > 200000 maximum";
    let both = "input length and `max_tokens` exceed context limit: 190000 + 64000 > 200000";
    let table = [
        (400, "invalid_request_error", "bad", "LLMBadRequestError"),
        (
            400,
            "invalid_request_error",
            long,
            "LLMContextWindowExceedError",
        ),
        (
            400,
            "invalid_request_error",
            both,
            "LLMContextWindowExceedError",
        ),
        (400, "invalid_request_error", credit, "LLMRateLimitError"),
        (401, "authentication_error", "no", "LLMAuthenticationError"),
        (403, "permission_error", "no", "LLMAuthenticationError"),
        (404, "not_found_error", "no model", "LLMBadRequestError"),
        (
            413,
            "request_too_large",
            "32 MB",
            "LLMContextWindowExceedError",
        ),
        (429, "rate_limit_error", "slow", "LLMRateLimitError"),
        (500, "api_error", "oops", "LLMServiceUnavailableError"),
        (504, "timeout_error", "late", "LLMServiceUnavailableError"),
        (
            529,
            "overloaded_error",
            "full",
            "LLMServiceUnavailableError",
        ),
    ];
    for (status, kind, message, code) in table {
        let body = error(kind, message);
        let failed = AnthropicMessages.read_error(status, &body, None);
        assert_eq!(failed.code(), code, "{status} {message}");
        // In a stream, and in an answer with status 200, there is no status.
        let inside = AnthropicMessages.read_reply(&body).expect_err(kind);
        assert_eq!(inside, failed, "{status} {message}");
    }
}

#[test]
fn a_wait_is_kept_and_proxies_are_understood() {
    let wait = Some(Duration::from_secs(7));
    let busy = AnthropicMessages.read_error(529, &error("overloaded_error", "full"), wait);
    assert_eq!(busy, ModelError::from_status(529, "full", wait));
    for body in [
        json!({"error": {"message": "why"}}),
        json!({"message": "why"}),
        json!({"detail": "why"}),
        json!({"error": "why"}),
    ] {
        let failed = AnthropicMessages.read_error(400, &body, None);
        assert_eq!(failed, ModelError::from_status(400, "why", None), "{body}");
    }
}
