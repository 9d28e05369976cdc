use agent_runtime::{End, RuntimeError};

/// Why a socket or an event stream ends.
#[derive(Debug)]
pub(crate) enum CloseReason {
    /// The client closed it.
    ByPeer(Option<actix_ws::CloseReason>),
    ConnectionLost,
    Unauthenticated,
    NotFound,
    Deleted,
    /// `after_event_id` is not a logged event.
    UnknownStart,
    /// The cursor belongs to a feed that no longer exists.
    CursorExpired,
    Stopping,
    /// The limit on sockets on the conversation is reached.
    TooManyFollowers,
    /// The limit on sockets that have not presented a valid key is reached.
    TooManyUnauthenticated,
    /// Too much before a key, or more than is skipped.
    TooLarge,
    Binary,
    NotUtf8,
    Protocol,
    /// The client sent nothing for too long, not even a pong.
    Unresponsive,
    /// The client does not read what it is sent.
    SlowConsumer,
    Failed,
}

impl From<RuntimeError> for CloseReason {
    fn from(error: RuntimeError) -> Self {
        match error {
            RuntimeError::NotFound(_) => Self::NotFound,
            RuntimeError::UnknownEvent(_) => Self::UnknownStart,
            RuntimeError::CursorExpired => Self::CursorExpired,
            RuntimeError::Stopping | RuntimeError::OwnedElsewhere { .. } => Self::Stopping,
            RuntimeError::Busy => Self::TooManyFollowers,
            RuntimeError::AlreadyRunning
            | RuntimeError::GoalRunning
            | RuntimeError::NoGoalToResume
            | RuntimeError::RunLimit { .. }
            | RuntimeError::NoCondenser
            | RuntimeError::BudgetReached(_)
            | RuntimeError::IdTaken(_)
            | RuntimeError::NotQueued(_)
            | RuntimeError::QueueFull { .. }
            | RuntimeError::Model { .. }
            | RuntimeError::Invalid(_)
            | RuntimeError::Store(_)
            | RuntimeError::Internal(_) => {
                tracing::error!(%error, "a conversation cannot be followed");
                Self::Failed
            }
        }
    }
}

impl From<End> for CloseReason {
    fn from(end: End) -> Self {
        match end {
            End::Deleted => Self::Deleted,
            End::ServerStopping => Self::Stopping,
            End::Failed => Self::Failed,
        }
    }
}

impl CloseReason {
    /// The code of a connection that ended without a close frame.
    pub(crate) const CONNECTION_LOST: u16 = 1006;

    /// The close code, for the log as well.
    pub(crate) fn code(&self) -> u16 {
        self.code_and_text().0
    }

    /// The close code, and what it means.
    pub(crate) fn code_and_text(&self) -> (u16, &'static str) {
        match self {
            Self::ByPeer(Some(reason)) => (reason.code.into(), ""),
            Self::ByPeer(None) => (1005, ""),
            Self::ConnectionLost => (Self::CONNECTION_LOST, ""),
            Self::Unauthenticated => (4001, "Authentication failed"),
            Self::NotFound => (4004, "Conversation not found"),
            Self::Deleted => (4004, "Conversation deleted"),
            Self::UnknownStart => (
                4400,
                "after_event_id is not a logged event of this conversation",
            ),
            Self::Stopping => (1001, "The server is stopping"),
            Self::TooManyFollowers => (
                1013,
                "Too many sockets on this conversation; try again later",
            ),
            Self::TooManyUnauthenticated => {
                (1013, "Too many sockets wait for a key; try again later")
            }
            Self::TooLarge => (1009, "The frame is too large"),
            Self::Binary => (1003, "Only text frames are understood"),
            Self::NotUtf8 => (1007, "The text is not UTF-8"),
            Self::Protocol => (1002, "Not a WebSocket frame"),
            Self::Unresponsive => (1011, "No sign of life"),
            Self::SlowConsumer => (1013, "slow_consumer"),
            Self::CursorExpired => (
                4410,
                "The cursor belongs to a feed that no longer exists; start again",
            ),
            Self::Failed => (1011, "The conversation cannot be read"),
        }
    }
}
