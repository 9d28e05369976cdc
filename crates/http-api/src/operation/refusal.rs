use serde_json::{Value, json};

use crate::failure::Failure;

/// A way in which operations may be refused, as the document describes it.
pub(crate) struct Refusal {
    /// Among the document's responses.
    pub(crate) name: &'static str,
    pub(crate) meaning: &'static str,
    pub(super) example: Example,
}

pub(super) enum Example {
    Of(fn() -> Failure),
    /// Answered by the server for a connection, before there is a request.
    OfConnection {
        status: u16,
        detail: &'static str,
        has_retry_after: bool,
    },
}

impl Refusal {
    pub(super) const fn new(
        name: &'static str,
        meaning: &'static str,
        example: fn() -> Failure,
    ) -> Self {
        Self {
            name,
            meaning,
            example: Example::Of(example),
        }
    }

    pub(crate) fn status(&self) -> u16 {
        match self.example {
            Example::Of(failure) => failure().row().status,
            Example::OfConnection { status, .. } => status,
        }
    }

    /// Whether the answer says when to try again.
    pub(crate) fn has_retry_after(&self) -> bool {
        match self.example {
            Example::Of(failure) => failure().row().retry_after.is_some(),
            Example::OfConnection {
                has_retry_after, ..
            } => has_retry_after,
        }
    }

    /// Whether the answer may list problems.
    pub(crate) fn has_problems(&self) -> bool {
        matches!(self.example, Example::Of(failure) if matches!(failure(), Failure::Invalid(_)))
    }

    /// The body of such an answer.
    pub(crate) fn example(&self) -> Value {
        match self.example {
            Example::Of(failure) => {
                let failure = failure();
                if let Failure::Invalid(problems) = failure {
                    json!({ "detail": problems })
                } else {
                    json!({ "detail": failure.row().detail })
                }
            }
            Example::OfConnection { detail, .. } => json!({ "detail": detail }),
        }
    }
}
