//! Messages that wait for the agent's next turn.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Content, EventId, UtcTime};

/// A user message that is not in the conversation yet: the agent takes it up when its turn has finished.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct QueuedMessage {
    /// The id that its event will have.
    pub id: EventId,
    pub content: Vec<Content>,
    pub queued_at: UtcTime,
}

/// When a message reaches the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// At the next step of the active turn. `run`: if there is none, one starts.
    Steer { run: bool },
    /// When the active turn, and those of the messages that wait already, have finished.
    Queue,
    /// At once: the active turn is interrupted.
    Interrupt,
}
