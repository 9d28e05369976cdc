use std::time::Duration;

use core_model::event::{ErrorClassification, FailureKind, UserAction};

const MESSAGE_CHARS: usize = 2_000;
const KEY_REFUSED: &str =
    "The model provider refused the API key: it is wrong, expired or lacks access to this model.";

/// Why a model gave no reply. Texts carry the provider's own words, cut to 2,000 characters, and
/// never a key, a header or an address's query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// The settings cannot work: nothing was sent, or what answered is not a model.
    #[error("model settings: {0}")]
    Configuration(String),
    /// No key, or one that the provider refuses.
    #[error("{0}")]
    Authentication(String),
    /// Too many requests for now.
    #[error("the model provider limits the request rate: {message}")]
    RateLimit {
        message: String,
        /// How long the provider asks to wait.
        retry_after: Option<Duration>,
    },
    /// The account has no credit left; waiting does not help.
    #[error("the model provider's quota is used up: {0}")]
    Quota(String),
    /// The provider refuses the request itself.
    #[error("the model provider refused the request (HTTP {status}): {message}")]
    BadRequest { status: u16, message: String },
    /// The prompt is longer than the model can read.
    #[error("the prompt exceeds the model's context window: {0}")]
    ContextWindow(String),
    /// The provider is down, overloaded or cannot be reached.
    #[error("the model provider is unavailable: {message}")]
    Unavailable {
        message: String,
        /// How long the provider asks to wait.
        retry_after: Option<Duration>,
    },
    #[error("the model did not answer in time: {0}")]
    Timeout(String),
    /// An answer came, but there is no reply in it.
    #[error("the model gave no usable reply: {0}")]
    NoResponse(String),
}

impl ModelError {
    /// The error that an HTTP status, or the same number inside an error object, stands for.
    /// `message` is what the provider said.
    #[must_use]
    pub fn from_status(status: u16, message: &str, retry_after: Option<Duration>) -> Self {
        Self::from_whole(status, message, retry_after).map_text(|text| clip(&text))
    }

    /// The same with the whole message, as long as the secrets in it are not masked: what a cut leaves
    /// of a secret could not be recognised any more.
    pub(crate) fn from_whole(status: u16, message: &str, retry_after: Option<Duration>) -> Self {
        let said = message.to_owned();
        match status {
            401 | 403 => Self::Authentication(KEY_REFUSED.to_owned()),
            402 => Self::Quota(said),
            429 if names_exhausted_quota(message) => Self::Quota(said),
            429 => Self::RateLimit {
                message: said,
                retry_after,
            },
            413 => Self::ContextWindow(said),
            _ if names_context_window(message) => Self::ContextWindow(said),
            408 => Self::Timeout(said),
            409 | 500.. => Self::Unavailable {
                message: format!("HTTP {status}: {said}"),
                retry_after,
            },
            _ => Self::BadRequest {
                status,
                message: said,
            },
        }
    }

    /// A failure on the way to the provider.
    pub(crate) fn unreachable(message: &str) -> Self {
        Self::Unavailable {
            message: message.to_owned(),
            retry_after: None,
        }
    }

    /// The same error with its text passed through `change`.
    pub(crate) fn map_text(mut self, change: impl Fn(String) -> String) -> Self {
        let text = match &mut self {
            Self::Configuration(text)
            | Self::Authentication(text)
            | Self::Quota(text)
            | Self::ContextWindow(text)
            | Self::Timeout(text)
            | Self::NoResponse(text)
            | Self::RateLimit { message: text, .. }
            | Self::BadRequest { message: text, .. }
            | Self::Unavailable { message: text, .. } => text,
        };
        *text = change(std::mem::take(text));
        self
    }

    /// The stable name clients know this failure by (`ConversationErrorEvent.code`).
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Authentication(_) => "LLMAuthenticationError",
            Self::RateLimit { .. } | Self::Quota(_) => "LLMRateLimitError",
            Self::Configuration(_) | Self::BadRequest { .. } => "LLMBadRequestError",
            Self::ContextWindow(_) => "LLMContextWindowExceedError",
            Self::Unavailable { .. } => "LLMServiceUnavailableError",
            Self::Timeout(_) => "LLMTimeoutError",
            Self::NoResponse(_) => "LLMNoResponseError",
        }
    }

    /// Whose fault it was, and what the user can do about it.
    #[must_use]
    pub fn classification(&self) -> ErrorClassification {
        let (kind, retryable, action) = match self {
            Self::Authentication(_) => (FailureKind::Auth, false, UserAction::Settings),
            Self::RateLimit { .. } => (FailureKind::RateLimit, true, UserAction::Retry),
            Self::Quota(_) => (FailureKind::Quota, false, UserAction::Settings),
            Self::Configuration(_) | Self::BadRequest { .. } => {
                (FailureKind::Config, false, UserAction::Settings)
            }
            Self::ContextWindow(_) => (FailureKind::AgentAction, true, UserAction::Retry),
            Self::Unavailable { .. } | Self::Timeout(_) | Self::NoResponse(_) => {
                (FailureKind::Transient, true, UserAction::Retry)
            }
        };
        ErrorClassification::new(kind, retryable, action)
    }
}

/// At most 2,000 characters of a text.
pub(crate) fn clip(text: &str) -> String {
    match text.char_indices().nth(MESSAGE_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn names_exhausted_quota(message: &str) -> bool {
    let message = message.to_lowercase();
    ["insufficient_quota", "exceeded your current quota"]
        .iter()
        .any(|phrase| message.contains(phrase))
}

/// How providers say that a prompt is too long.
fn names_context_window(message: &str) -> bool {
    const PHRASES: [&str; 18] = [
        "context_length_exceeded",
        "context length",
        "context window",
        "context size",
        "prompt is too long",
        "input is too long",
        "prompt too long",
        "input token count",
        "exceeded model token limit",
        "prompt_tokens_exceeded",
        "reduce the length of the messages",
        "range of input length should be",
        "too large for model with",
        "maximum prompt length",
        "request_too_large",
        "context_window_exceeded",
        "token limit exceeded",
        "too many tokens",
    ];
    let message = message.to_lowercase();
    if message.contains("throttl") {
        // Too many tokens for now.
        return false;
    }
    let tokens_above_limit = message.contains("token") && message.contains("exceeds the limit of");
    tokens_above_limit || PHRASES.iter().any(|phrase| message.contains(phrase))
}

#[cfg(test)]
mod tests;
