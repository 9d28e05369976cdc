use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use core_model::{Observation, event::ToolDefinition};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;
use workspace::{ProcessInfo, ToolFiles, Workspace};

use crate::{TerminalSettings, ToolError};

/// Something an agent can do. One value lives as long as its conversation is in memory and may keep
/// state between calls: a shell, an undo history.
#[async_trait]
pub trait Tool: Send + Sync {
    /// The name the model calls it by.
    fn name(&self) -> &str;

    /// What clients are told of it.
    fn definition(&self) -> ToolDefinition;

    /// JSON Schema of the arguments, as a model is shown it: an object, optional fields without
    /// null, every field described.
    fn parameters(&self) -> Value;

    /// Checks a model's arguments and turns them into the action that is logged: the tool's fields
    /// with defaults filled in, absent options left out, and the action's `kind` last.
    ///
    /// # Errors
    /// [`ToolError::Arguments`], in words that help the model to call again.
    fn action(&self, arguments: Map<String, Value>) -> Result<Map<String, Value>, ToolError>;

    /// Does it. A failure the model should see and handle is an observation with `is_error`.
    ///
    /// # Errors
    /// Only when the tool itself broke.
    ///
    /// # Cancel safety
    /// When [`CallSignals::cancel`] fires the tool stops what it started (the whole process group), and
    /// returns soon; what it then returns is dropped.
    async fn run(
        &self,
        action: &Map<String, Value>,
        signals: &CallSignals,
    ) -> Result<Observation, ToolError>;

    /// Whether closing the tool would end something that runs. May look through the processes of the
    /// system, so it is asked where nothing else is going on, and on a thread that may block.
    fn is_busy(&self) -> bool {
        false
    }

    /// Ends what the tool still runs, and says what that was. The tool is not used afterwards.
    async fn close(&self) -> Vec<ProcessInfo> {
        Vec::new()
    }
}

/// What is said to a tool while it carries out one call.
#[derive(Clone, Debug, Default)]
pub struct CallSignals {
    /// Stop what was started.
    pub cancel: CancellationToken,
    /// Wait no longer: return what there is, and let what was started go on. Of no concern to a tool that
    /// waits for nothing.
    pub hand_back: CancellationToken,
}

/// Where a conversation's tools work.
#[derive(Clone, Debug, Default)]
pub struct ToolEnvironment {
    /// Where the agent works.
    pub workspace: Workspace,
    /// For what a tool keeps: full outputs, the task list.
    pub files: ToolFiles,
    /// Tools that were used before these were opened. What they had in memory, a shell for one, is
    /// gone since.
    pub used_before: BTreeSet<String>,
    /// The terminal's limits where the agent's parameters say nothing else.
    pub terminal: TerminalSettings,
}

/// The tools of one conversation, in the order the agent names them.
pub type Tools = Vec<Arc<dyn Tool>>;
