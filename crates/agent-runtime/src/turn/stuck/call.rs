//! Which calls wait for something, or only look at it.

use std::time::Duration;

use core_model::{EventTime, Observation, event::ActionEvent};
use serde_json::{Map, Value, json};

use super::trace::Trace;

/// A command that sleeps for less does not wait for anything.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
/// Commands that are there to let time pass.
const WAITING_WORDS: [&str; 2] = ["sleep", "wait"];
/// Tools of which a `view` changes nothing, and is made to see a progress.
const LOOKING_TOOLS: [&str; 2] = ["task_tracker", "file_editor"];

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

    pub(super) fn is_terminal(&self) -> bool {
        self.tool == "terminal"
    }

    /// Whether the call was there to let time pass, and did: it looked at a command that still runs, or
    /// slept.
    pub(super) fn waited(&self, seen: &Observation, now: EventTime) -> bool {
        if !self.is_terminal() || seen.is_error {
            return false;
        }
        let command = self.text("command");
        if command.is_empty() {
            return is_timeout(seen);
        }
        let is_word = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '-';
        let mut words = command.split(|letter| !is_word(letter));
        let took = (now.utc() - self.since.utc()).to_std();
        words.any(|word| WAITING_WORDS.contains(&word))
            && took.is_ok_and(|took| took >= SHORTEST_WAIT)
    }

    /// Whether it changes nothing, and is made to see how something is getting on.
    pub(super) fn only_looks(&self) -> bool {
        LOOKING_TOOLS.contains(&self.tool.as_str()) && self.text("command") == "view"
    }

    fn text(&self, name: &str) -> &str {
        self.arguments
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}

/// Whether a command runs, if the observation says so.
pub(super) fn runs_after(seen: &Observation) -> Option<bool> {
    if seen.fields.get("kind")? != "TerminalObservation" {
        return None;
    }
    let runs = is_timeout(seen);
    // A call that was refused has no exit code, and changes nothing.
    (runs || seen.fields.contains_key("exit_code")).then_some(runs)
}

fn is_timeout(seen: &Observation) -> bool {
    seen.fields.get("timeout") == Some(&json!(true))
}
