//! What a conversation waits for that only a person can do.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{ExecutionStatus, UtcTime};

/// That a conversation does not go on by itself, since when, and why: the state key `waiting`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    #[serde(rename = "for")]
    pub what_for: WaitingFor,
    pub since: UtcTime,
    /// The actions that wait for consent, the limit that was reached, the error's code.
    #[serde(flatten)]
    pub details: Map<String, Value>,
}

/// What a person has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitingFor {
    /// Accept or reject actions.
    Approval,
    /// Answer a question.
    Question,
    /// Raise a budget.
    Budget,
    /// Look at an error, or at an agent that is stuck, and go on.
    Error,
}

impl Waiting {
    /// From now on.
    #[must_use]
    pub fn now(what_for: WaitingFor, details: Map<String, Value>) -> Self {
        Self {
            what_for,
            since: UtcTime::now(),
            details,
        }
    }
}

impl ExecutionStatus {
    /// Whether a conversation of this status may wait for a person.
    #[must_use]
    pub fn may_wait(self) -> bool {
        match self {
            Self::Paused | Self::WaitingForConfirmation | Self::Error | Self::Stuck => true,
            Self::Idle | Self::Running | Self::Finished | Self::Deleting => false,
        }
    }
}
