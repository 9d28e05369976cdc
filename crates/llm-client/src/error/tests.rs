use super::*;

#[test]
fn each_status_has_its_code_and_classification() {
    use FailureKind::{AgentAction, Auth, Config, Quota, RateLimit, Transient};
    use UserAction::{Retry, Settings};
    let too_long = "This model's maximum context length is 8192 tokens";
    let table = [
        (401, "no", "LLMAuthenticationError", Auth, false, Settings),
        (403, "no", "LLMAuthenticationError", Auth, false, Settings),
        (429, "slow", "LLMRateLimitError", RateLimit, true, Retry),
        (402, "pay", "LLMRateLimitError", Quota, false, Settings),
        (
            429,
            "code: insufficient_quota",
            "LLMRateLimitError",
            Quota,
            false,
            Settings,
        ),
        (400, "bad", "LLMBadRequestError", Config, false, Settings),
        (404, "gone", "LLMBadRequestError", Config, false, Settings),
        (422, "bad", "LLMBadRequestError", Config, false, Settings),
        (302, "moved", "LLMBadRequestError", Config, false, Settings),
        (
            400,
            too_long,
            "LLMContextWindowExceedError",
            AgentAction,
            true,
            Retry,
        ),
        (408, "late", "LLMTimeoutError", Transient, true, Retry),
        (
            409,
            "busy",
            "LLMServiceUnavailableError",
            Transient,
            true,
            Retry,
        ),
        (
            500,
            "oops",
            "LLMServiceUnavailableError",
            Transient,
            true,
            Retry,
        ),
        (
            529,
            "full",
            "LLMServiceUnavailableError",
            Transient,
            true,
            Retry,
        ),
    ];
    for (status, message, code, kind, retryable, action) in table {
        let error = ModelError::from_status(status, message, None);
        assert_eq!(error.code(), code, "{status} {message}");
        assert_eq!(
            error.classification(),
            ErrorClassification::new(kind, retryable, action),
            "{status} {message}"
        );
    }
}

#[test]
fn providers_ways_of_saying_too_long_are_understood() {
    for said in [
        "prompt is too long: 210000 tokens > 200000 maximum",
        "The input token count (2000000) exceeds the maximum number of tokens allowed",
        "the request exceeds the available context size (4096 tokens)",
        "Your request exceeded model token limit: 131072",
        "Please reduce the length of the messages or completion.",
        "Range of input length should be [1, 98304]",
        "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
        "prompt token count of 200100 exceeds the limit of 128000",
        "request_too_large: Request exceeds the maximum size",
        "Token limit exceeded",
    ] {
        let error = ModelError::from_status(400, said, None);
        assert_eq!(error, ModelError::ContextWindow(said.to_owned()));
    }
}

#[test]
fn a_request_that_is_too_large_is_a_prompt_that_is_too_long_and_a_throttled_one_is_not() {
    let large = ModelError::from_status(413, "no reason given", None);
    assert_eq!(large.code(), "LLMContextWindowExceedError");
    let image = ModelError::from_status(400, "the image exceeds the limit of 5 MB", None);
    assert_eq!(image.code(), "LLMBadRequestError");
    let throttled = "ThrottlingException: Too many tokens, please wait";
    let throttled = ModelError::from_status(503, throttled, None);
    assert_eq!(throttled.code(), "LLMServiceUnavailableError");
}

#[test]
fn a_long_message_is_cut_between_characters() {
    let error = ModelError::from_status(400, &"é".repeat(5_000), None);
    let shown = error.to_string().matches('é').count();
    assert_eq!(shown, MESSAGE_CHARS);
}
