use core_model::{Content, Observation, event::ActionEvent};
use serde_json::json;

/// An event without what differs between repetitions: ids, times, summaries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trace {
    Action { tool: String, what: String },
    Observation(String),
    Error(String),
    AgentMessage,
}

impl Trace {
    pub(super) fn of_action(action: &ActionEvent) -> Self {
        let arguments = match &action.action {
            Some(understood) => json!(understood).to_string(),
            None => action.tool_call.arguments.clone(),
        };
        let thought: Vec<&str> = action.thought.iter().map(|t| t.text.as_str()).collect();
        Self::Action {
            tool: action.tool_name.clone(),
            what: format!("{arguments}\n{}", thought.join("\n")),
        }
    }

    pub(super) fn of_observation(seen: &Observation) -> Self {
        let text: Vec<&str> = seen.content.iter().filter_map(Content::as_text).collect();
        Self::Observation(text.join("\n"))
    }

    pub(super) fn is_action(&self) -> bool {
        matches!(self, Self::Action { .. })
    }

    pub(super) fn is_result(&self) -> bool {
        matches!(self, Self::Observation(_) | Self::Error(_))
    }

    pub(super) fn is_error(&self) -> bool {
        matches!(self, Self::Error(_))
    }
}
