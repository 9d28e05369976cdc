use core_model::{ConversationId, EventId, StoreError};
use thiserror::Error;

/// Why the runtime did not do what it was asked.
#[derive(Debug, Error)]
pub enum RuntimeError {
    #[error("no such conversation: {0}")]
    NotFound(ConversationId),
    #[error("no event {0} in this conversation")]
    UnknownEvent(EventId),
    #[error("the cursor belongs to a feed that no longer exists; start from the beginning")]
    CursorExpired,
    #[error("the conversation is already running")]
    AlreadyRunning,
    /// Every run slot is taken. `message_saved`: only the run was refused.
    #[error("all {limit} run slots are taken")]
    RunLimit { limit: usize, message_saved: bool },
    /// The conversation's mailbox is full.
    #[error("the conversation has too many requests waiting")]
    Busy,
    #[error("the server is stopping")]
    Stopping,
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
            StoreError::Exists(_)
            | StoreError::Conflict { .. }
            | StoreError::Poisoned(_)
            | StoreError::Io { .. }
            | StoreError::Damaged { .. }
            | StoreError::TooManyReceipts { .. } => Self::Store(error),
        }
    }
}
