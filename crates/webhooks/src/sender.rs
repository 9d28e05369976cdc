//! What is asked of an HTTP client.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use core_model::masking::SecretMask;
use reqwest::header::HeaderMap;
use url::Url;

use crate::config::Method;

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) url: Url,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// For all of it: looking up, connecting, sending, and the answer's beginning. More than zero.
    pub(crate) timeout: Duration,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Status {
        code: u16,
        /// How long the receiver wants no requests.
        retry_after: Option<Duration>,
    },
    Failed(Failure),
}

/// Why there was no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    /// In words, without what may be secret.
    pub(crate) reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    Timeout,
    Connection,
    /// The address is one that must not be asked.
    Forbidden,
    /// No request can be made of what is configured.
    Unbuildable,
}

/// Sends requests. Dropping the future gives a request up; it may have arrived nonetheless.
#[async_trait]
pub(crate) trait Sender: Send + Sync {
    async fn send(&self, request: Outgoing) -> Answer;
}

impl Answer {
    pub(crate) fn failed(kind: FailureKind, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::Failed(Failure { kind, reason })
    }

    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Status { code, .. } => Some(*code),
            Self::Failed(_) => None,
        }
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            Self::Failed(_) => None,
        }
    }

    /// The same without secrets in its words.
    pub(crate) fn masked(self, mask: &SecretMask) -> Self {
        match self {
            Self::Status { .. } => self,
            Self::Failed(Failure { kind, reason }) => Self::Failed(Failure {
                kind,
                reason: mask.mask(&reason),
            }),
        }
    }

    /// Why it is not a success, in words.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Status { code, .. } => format!("the receiver answered {code}"),
            Self::Failed(failure) => failure.reason.clone(),
        }
    }
}
