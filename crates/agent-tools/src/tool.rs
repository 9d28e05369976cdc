use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use core_model::{Observation, event::ToolDefinition};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;
use workspace::{ProcessInfo, ToolFiles, Workspace};

use crate::error::ToolError;

/// Something an agent can do. One value lives as long as its conversation is in memory and may keep
/// state between calls: a shell, an undo history.
#[async_trait]
pub trait Tool: Send + Sync {
    /// The name that the model calls it by.
    fn name(&self) -> &str;

    /// Other names that models call it by.
    fn aliases(&self) -> &[&str] {
        &[]
    }

    /// What clients see of it.
    fn definition(&self) -> ToolDefinition;

    /// JSON Schema of the arguments, as a model sees it: an object, optional fields without null, every
    /// field described.
    fn parameters(&self) -> Value;

    /// What is true of all its calls.
    fn traits(&self) -> ToolTraits;

    /// What is true of the call with this action.
    fn call_traits(&self, _action: &Map<String, Value>) -> ToolTraits {
        self.traits()
    }

    /// Whether a model is offered it only after a search has found it. It may be called before.
    fn is_deferred(&self) -> bool {
        false
    }

    /// Checks a model's arguments and turns them into the action that is logged: the tool's fields
    /// with defaults filled in, absent options left out, and the action's `kind` last.
    ///
    /// # Errors
    /// [`ToolError::Arguments`], with a text that helps the model to call again.
    fn action(&self, arguments: Map<String, Value>) -> Result<Map<String, Value>, ToolError>;

    /// Carries out a call. A failure that the model should see and handle is an observation with
    /// `is_error`.
    ///
    /// # Errors
    /// Only when the tool itself failed.
    ///
    /// # Cancel safety
    /// When [`CallSignals::cancel`] fires, the tool stops what it started (the whole process group) and
    /// returns soon; what it then returns is dropped.
    async fn run(&self, call: ToolCall<'_>) -> Result<Observation, ToolError>;

    /// Whether closing the tool would end something that runs. Blocks: it may look at all processes of the
    /// system.
    fn is_busy(&self) -> bool {
        false
    }

    /// Ends what the tool still runs, and returns what that was. The tool is not used afterwards.
    async fn close(&self) -> Vec<ProcessInfo> {
        Vec::new()
    }
}

/// What the rest of the server needs to know of a tool, or of one of its calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ToolTraits {
    /// It changes nothing. Of such a tool, a model does not judge the risk of its calls.
    pub read_only: bool,
    /// It may run beside other calls that may; any other call runs alone.
    pub parallel: bool,
    /// A call that succeeds ends the turn with its `message`; calls of the same reply after it are
    /// dropped.
    pub ends_turn: bool,
    /// It touches nothing outside the conversation, so it needs no consent.
    pub harmless: bool,
    /// Its latest call stays in the model's view when older events are replaced by a summary.
    pub remembered: bool,
}

impl ToolTraits {
    /// Of a tool, or a call, of which nothing special is true.
    pub const NONE: Self = Self {
        read_only: false,
        parallel: false,
        ends_turn: false,
        harmless: false,
        remembered: false,
    };
    /// Of one that only looks.
    pub const LOOKS: Self = Self {
        read_only: true,
        parallel: true,
        ..Self::NONE
    };
}

/// One call of a tool, and what it may use.
#[derive(Clone, Copy, Debug)]
pub struct ToolCall<'a> {
    /// As [`Tool::action`] made it.
    pub action: &'a Map<String, Value>,
    pub workspace: &'a Workspace,
    pub signals: &'a CallSignals,
}

/// How a call that is carried out is ended from outside.
#[derive(Clone, Debug, Default)]
pub struct CallSignals {
    /// Stop what was started.
    pub cancel: CancellationToken,
    /// Wait no longer: return what there is, and let what was started continue. A tool that waits for
    /// nothing ignores it.
    pub stop_waiting: CancellationToken,
}

/// What a conversation's tools are opened with.
#[derive(Clone, Debug, Default)]
pub struct ToolEnvironment {
    /// Where the agent works.
    pub workspace: Workspace,
    /// For what a tool keeps: full outputs, the task list.
    pub files: ToolFiles,
    /// Tools that were used before these were opened. What they had in memory, a shell for one, is gone.
    pub used_before: BTreeSet<String>,
    /// Tools that a search had found before these were opened, in the order of finding.
    pub found_before: Vec<String>,
    /// How many tokens the agent's model takes, if that is known.
    pub context_window: Option<u64>,
    /// How long a call waits for what it started, where the agent's parameters say nothing else.
    pub max_foreground_time: Option<Duration>,
}

/// The tools of one conversation, in the order in which the model is offered them.
pub type Tools = Vec<Arc<dyn Tool>>;
