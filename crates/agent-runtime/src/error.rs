use core_model::{
    ConversationId, EventId, StoreError,
    budget::BudgetReached,
    port::{Fault, Holder},
};
use llm_client::ModelError;
use thiserror::Error;

/// Why the runtime did not do what it was asked.
#[derive(Debug, Error)]
pub enum RuntimeError {
    #[error("no such conversation: {0}")]
    NotFound(ConversationId),
    #[error("there is a conversation {0} already")]
    IdTaken(ConversationId),
    #[error("no event {0} in this conversation")]
    UnknownEvent(EventId),
    #[error("no message {0} waits in this conversation")]
    NotQueued(EventId),
    #[error("{limit} messages wait already")]
    QueueFull { limit: usize },
    #[error("the cursor belongs to a feed that no longer exists; start from the beginning")]
    CursorExpired,
    #[error("the conversation is already running")]
    AlreadyRunning,
    /// The agent works, or works towards another goal.
    #[error("the conversation is running or has an active goal")]
    GoalRunning,
    #[error("there is no goal to resume")]
    NoGoalToResume,
    /// Every run slot is taken. `message_saved`: only the run was refused.
    #[error("all {limit} run slots are taken")]
    RunLimit { limit: usize, message_saved: bool },
    /// The conversation's mailbox is full.
    #[error("the conversation has too many requests waiting")]
    Busy,
    #[error("the server is stopping")]
    Stopping,
    /// A model that was asked outside of a run gave no answer: a code that clients know, and why.
    #[error("{detail}")]
    Model { code: &'static str, detail: String },
    /// The agent's settings switch condensation off.
    #[error("no condenser is configured")]
    NoCondenser,
    /// A budget does not allow the model call that this needs.
    #[error("{0}")]
    BudgetReached(BudgetReached),
    /// Another server has the conversation; which, where that is known.
    #[error("the conversation is owned by another server")]
    OwnedElsewhere { holder: Option<Holder> },
    /// The request cannot be carried out as it is; the text says why.
    #[error("{0}")]
    Invalid(String),
    #[error(transparent)]
    Store(StoreError),
    /// A fault of our own; the text is for the log.
    #[error("internal error: {0}")]
    Internal(String),
}

impl From<StoreError> for RuntimeError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound(id) => Self::NotFound(id),
            StoreError::Fenced => Self::OwnedElsewhere { holder: None },
            StoreError::OwnedElsewhere { holder, .. } => Self::OwnedElsewhere {
                holder: Some(holder),
            },
            StoreError::Exists(_)
            | StoreError::Unavailable(_)
            | StoreError::Poisoned(_)
            | StoreError::Io { .. }
            | StoreError::Damaged { .. }
            | StoreError::TooManyReceipts { .. } => Self::Store(error),
        }
    }
}

impl From<ModelError> for RuntimeError {
    fn from(error: ModelError) -> Self {
        Self::Model {
            code: error.code(),
            detail: error.to_string(),
        }
    }
}

impl RuntimeError {
    /// The same error for one more of those who waited for the same commit.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::NotFound(id) => Self::NotFound(*id),
            Self::OwnedElsewhere { holder } => Self::OwnedElsewhere {
                holder: holder.clone(),
            },
            Self::Store(StoreError::Unavailable(reason)) => {
                Self::Store(StoreError::Unavailable(reason.clone()))
            }
            Self::Store(error) => {
                let fault = error.fault();
                let fault = fault.unwrap_or_else(|| Fault::other(error.to_string()));
                Self::Store(StoreError::Poisoned(fault))
            }
            Self::IdTaken(_)
            | Self::UnknownEvent(_)
            | Self::NotQueued(_)
            | Self::QueueFull { .. }
            | Self::CursorExpired
            | Self::AlreadyRunning
            | Self::GoalRunning
            | Self::NoGoalToResume
            | Self::RunLimit { .. }
            | Self::Busy
            | Self::Stopping
            | Self::NoCondenser
            | Self::BudgetReached(_)
            | Self::Model { .. }
            | Self::Invalid(_)
            | Self::Internal(_) => Self::Internal(self.to_string()),
        }
    }
}
