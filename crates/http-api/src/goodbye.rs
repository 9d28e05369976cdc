//! Why a socket or an event stream ends, and the code it is told with.

use actix_ws::CloseReason;
use agent_runtime::{End, RuntimeError};

#[derive(Debug)]
pub(crate) enum Goodbye {
    /// The client closed it.
    Peer(Option<CloseReason>),
    /// The connection is no more.
    Gone,
    Unauthenticated,
    NotFound,
    Deleted,
    /// `after_event_id` names no logged event.
    UnknownStart,
    /// The cursor belongs to a feed that is no more.
    Expired,
    Stopping,
    /// As many sockets as may be are open on the conversation.
    Crowded,
    /// As many sockets as may be are open that have not proven a key.
    ManyUnauthenticated,
    /// Too much before a key, or more than is passed over.
    TooLarge,
    Binary,
    NotText,
    Protocol,
    /// No sign of life.
    Silent,
    /// The client does not read what it is sent.
    Slow,
    Failed,
}

impl From<RuntimeError> for Goodbye {
    fn from(error: RuntimeError) -> Self {
        match error {
            RuntimeError::NotFound(_) => Self::NotFound,
            RuntimeError::UnknownEvent(_) => Self::UnknownStart,
            RuntimeError::CursorExpired => Self::Expired,
            RuntimeError::Stopping | RuntimeError::OwnedElsewhere { .. } => Self::Stopping,
            RuntimeError::Busy => Self::Crowded,
            RuntimeError::AlreadyRunning
            | RuntimeError::RunLimit { .. }
            | RuntimeError::Invalid(_)
            | RuntimeError::Store(_)
            | RuntimeError::Internal(_) => {
                tracing::error!(%error, "a conversation cannot be followed");
                Self::Failed
            }
        }
    }
}

impl From<End> for Goodbye {
    fn from(end: End) -> Self {
        match end {
            End::Deleted => Self::Deleted,
            End::ServerStopping => Self::Stopping,
            End::Failed => Self::Failed,
        }
    }
}

impl Goodbye {
    /// The code of a connection that ended without a word.
    pub(crate) const GONE: u16 = 1006;

    /// The close code, for the log as well.
    pub(crate) fn code(&self) -> u16 {
        self.words().0
    }

    /// The close code, and what it means.
    pub(crate) fn words(&self) -> (u16, &'static str) {
        match self {
            Self::Peer(Some(reason)) => (reason.code.into(), ""),
            Self::Peer(None) => (1005, ""),
            Self::Gone => (Self::GONE, ""),
            Self::Unauthenticated => (4001, "Authentication failed"),
            Self::NotFound => (4004, "Conversation not found"),
            Self::Deleted => (4004, "Conversation deleted"),
            Self::UnknownStart => (
                4400,
                "after_event_id is no logged event of this conversation",
            ),
            Self::Stopping => (1001, "The server is stopping"),
            Self::Crowded => (
                1013,
                "Too many sockets on this conversation; try again later",
            ),
            Self::ManyUnauthenticated => (1013, "Too many sockets wait for a key; try again later"),
            Self::TooLarge => (1009, "The frame is too large"),
            Self::Binary => (1003, "Only text frames are understood"),
            Self::NotText => (1007, "The text is not UTF-8"),
            Self::Protocol => (1002, "Not a WebSocket frame"),
            Self::Silent => (1011, "No sign of life"),
            Self::Slow => (1013, "slow_consumer"),
            Self::Expired => (
                4410,
                "The cursor belongs to a feed that is no more; begin anew",
            ),
            Self::Failed => (1011, "The conversation cannot be read"),
        }
    }
}
