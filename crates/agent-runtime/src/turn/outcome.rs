use agent_tools::OpenError;
use core_model::{
    Draft, EventId,
    budget::BudgetReached,
    event::{ErrorClassification, FailureKind, UserAction},
    goal::GoalVerdict,
};
use llm_client::ModelError;

/// How a turn ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The agent is done with the message it saw last.
    Finished {
        seen: Option<EventId>,
    },
    /// Actions need consent.
    Waiting {
        seen: Option<EventId>,
    },
    Paused,
    /// The context was condensed, which was all it was to do.
    Condensed,
    /// The work towards a goal was judged. Without a verdict: the goal was given up meanwhile.
    Judged {
        verdict: Option<GoalVerdict>,
        work: JudgedWork,
    },
    /// A budget does not allow the next call.
    BudgetReached(BudgetReached),
    Stuck,
    Failed {
        code: String,
        detail: String,
        classification: ErrorClassification,
    },
    /// A fault of the server's own, perhaps in the middle of a tool call.
    Panicked,
    /// Ended from outside, by an interrupt or a stop.
    Cancelled {
        /// Answers to actions that came before the end and are not in the log, because an earlier action
        /// was still running.
        unlogged: Vec<Draft>,
    },
}

/// What a turn is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The agent works until it is done.
    Work,
    /// Only the context is condensed; the conversation's status stays as it is.
    Condense,
    /// A round of work towards a goal is judged.
    Judge(JudgedWork),
}

/// How the work ended that is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JudgedWork {
    /// The user message that the model was shown last.
    pub(crate) seen: Option<EventId>,
    /// Whether it was ended for repeating itself.
    pub(crate) stuck: bool,
}

/// Why an agent cannot be set up: a code that clients know, and a text for people.
#[derive(Debug)]
pub(crate) struct SetupError {
    pub(crate) code: &'static str,
    pub(crate) detail: String,
}

impl SetupError {
    /// A value in the settings is wrong.
    pub(crate) fn value(detail: String) -> Self {
        Self {
            code: "ValueError",
            detail,
        }
    }
}

impl Outcome {
    pub(crate) fn cancelled() -> Self {
        Self::Cancelled {
            unlogged: Vec::new(),
        }
    }

    /// The code of the error that ended the turn, if one did.
    pub(super) fn error(&self) -> Option<&str> {
        match self {
            Self::Failed { code, .. } => Some(code),
            Self::Stuck => Some("stuck"),
            Self::Panicked => Some("panic"),
            Self::Finished { .. }
            | Self::Waiting { .. }
            | Self::Paused
            | Self::Condensed
            | Self::Judged { .. }
            | Self::BudgetReached(_)
            | Self::Cancelled { .. } => None,
        }
    }

    pub(crate) fn internal(detail: impl Into<String>) -> Self {
        let classification =
            ErrorClassification::new(FailureKind::Internal, false, UserAction::None);
        Self::Failed {
            code: "InternalError".to_owned(),
            detail: detail.into(),
            classification,
        }
    }

    pub(super) fn setup(error: SetupError) -> Self {
        Self::Failed {
            code: error.code.to_owned(),
            detail: error.detail,
            classification: ErrorClassification::new(
                FailureKind::Config,
                false,
                UserAction::Settings,
            ),
        }
    }

    pub(super) fn model(error: &ModelError) -> Self {
        Self::Failed {
            code: error.code().to_owned(),
            detail: error.to_string(),
            classification: error.classification(),
        }
    }

    /// Replies reached the limit on their length again and again.
    pub(super) fn reply_too_long(times: u32) -> Self {
        Self::Failed {
            code: "LLMOutputLimitError".to_owned(),
            detail: format!(
                "The model's replies were cut off at the limit on their length {times} times in a \
                 row. Raise `max_output_tokens`, lower the reasoning effort, or ask for smaller steps."
            ),
            classification: ErrorClassification::new(
                FailureKind::AgentAction,
                true,
                UserAction::Settings,
            ),
        }
    }

    /// The provider's filter withheld replies again and again.
    pub(super) fn withheld() -> Self {
        Self::Failed {
            code: "LLMContentPolicyViolationError".to_owned(),
            detail: "The provider's content filter withheld the model's reply.".to_owned(),
            classification: ErrorClassification::new(
                FailureKind::AgentAction,
                true,
                UserAction::Retry,
            ),
        }
    }

    pub(super) fn refused() -> Self {
        Self::Failed {
            code: "LLMRefusalError".to_owned(),
            detail: "The model refused to continue. Ask in another way, or use another model."
                .to_owned(),
            classification: ErrorClassification::new(
                FailureKind::AgentAction,
                true,
                UserAction::Retry,
            ),
        }
    }

    /// Replies ended early for a reason that this build does not know.
    pub(super) fn ended_early(reason: &str) -> Self {
        Self::Failed {
            code: "LLMIncompleteReplyError".to_owned(),
            detail: format!(
                "The model's replies ended before their end again and again; its provider gave \
                 {reason:?} as the reason."
            ),
            classification: ErrorClassification::new(
                FailureKind::Transient,
                true,
                UserAction::Retry,
            ),
        }
    }

    pub(super) fn iterations_spent(limit: u32) -> Self {
        Self::Failed {
            code: "MaxIterationsReached".to_owned(),
            detail: format!("Agent reached maximum iterations limit ({limit})."),
            classification: ErrorClassification::new(
                FailureKind::AgentAction,
                false,
                UserAction::None,
            ),
        }
    }
}

impl From<OpenError> for SetupError {
    fn from(error: OpenError) -> Self {
        let code = match error {
            OpenError::UnknownTool { .. } => "KeyError",
            OpenError::Parameter { .. } | OpenError::Settings(_) => "ValueError",
        };
        Self {
            code,
            detail: error.to_string(),
        }
    }
}

impl From<ModelError> for SetupError {
    fn from(error: ModelError) -> Self {
        Self {
            code: error.code(),
            detail: error.to_string(),
        }
    }
}
