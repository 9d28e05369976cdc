//! What people decided about actions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::UtcTime;

/// A command that a person approved for good, in one conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovedCommand {
    pub id: String,
    /// As it was written when it was approved.
    pub command: String,
    /// Its programs with their arguments, those that others start included. A command is covered if it has
    /// the same.
    pub programs: Vec<Vec<String>>,
    /// How the programs hang together.
    pub shape: String,
    pub approved_at: UtcTime,
    /// The key of who approved it; none where the server needs no key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
}

impl ApprovedCommand {
    /// One that is approved now, by nobody yet.
    #[must_use]
    pub fn new(command: &str, programs: Vec<Vec<String>>, shape: String) -> Self {
        Self {
            id: Uuid::new_v4().to_string(),
            command: command.to_owned(),
            programs,
            shape,
            approved_at: UtcTime::now(),
            approved_by: None,
        }
    }
}
