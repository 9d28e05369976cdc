use std::fmt::Display;

/// What clients read of a fault of the server.
pub(super) const INTERNAL: &str = "Internal Server Error";

/// How a failure is answered.
pub(crate) struct Row {
    pub(crate) status: u16,
    /// Never changes.
    pub(crate) code: &'static str,
    /// What the client reads. Empty where the answer lists problems instead.
    pub(crate) detail: String,
    /// Seconds after which the same request may succeed.
    pub(crate) retry_after: Option<u32>,
    pub(crate) effect: Effect,
    /// What went wrong on our side, for the log and never for the client.
    pub(crate) fault: Option<String>,
}

/// Whether a request that failed may have changed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    None,
    /// It had one, or that cannot be known.
    Possible,
}

/// A refusal that changed nothing, and that comes again when the request does.
pub(super) fn row(status: u16, code: &'static str, detail: impl Into<String>) -> Row {
    Row {
        status,
        code,
        detail: detail.into(),
        retry_after: None,
        effect: Effect::None,
        fault: None,
    }
}

impl Row {
    /// The same request may succeed after so many seconds.
    pub(super) fn retry_after(self, seconds: u32) -> Self {
        Self {
            retry_after: Some(seconds),
            ..self
        }
    }

    /// It changed something, or that cannot be known.
    pub(super) fn may_have_effect(self) -> Self {
        Self {
            effect: Effect::Possible,
            ..self
        }
    }

    /// It is the server's fault; the text is for the log.
    pub(super) fn fault(self, fault: impl Display) -> Self {
        Self {
            fault: Some(fault.to_string()),
            ..self
        }
    }
}
