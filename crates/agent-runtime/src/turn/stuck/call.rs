//! Which calls wait for something, or only look at it.

use std::time::Duration;

use core_model::{EventTime, Observation, event::ActionEvent};
use serde_json::{Map, Value};

use super::trace::Trace;

/// A call whose result has not come yet.
pub(super) struct Call {
    pub(super) id: String,
    tool: String,
    arguments: Map<String, Value>,
    since: EventTime,
    pub(super) trace: Trace,
}

impl Call {
    pub(super) fn new(action: &ActionEvent, since: EventTime, trace: Trace) -> Self {
        Self {
            id: action.tool_call_id.to_string(),
            tool: action.tool_name.clone(),
            arguments: action.action.clone().unwrap_or_default(),
            since,
            trace,
        }
    }

    /// Whether what the call started may outlive it.
    pub(super) fn may_leave_running(&self) -> bool {
        agent_tools::may_leave_running(&self.tool)
    }

    /// Whether the call was made to let time pass, and did.
    pub(super) fn waited(&self, seen: &Observation, now: EventTime) -> bool {
        let took = (now.utc() - self.since.utc())
            .to_std()
            .unwrap_or(Duration::ZERO);
        agent_tools::waited(&self.tool, &self.arguments, seen, took)
    }

    /// Whether it changes nothing, and is made to see a progress.
    pub(super) fn only_looks(&self) -> bool {
        let traits = agent_tools::logged_traits(&self.tool, &self.arguments);
        traits.read_only && !traits.harmless
    }
}
