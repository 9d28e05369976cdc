//! Stage 5: which calls need consent.

use core_model::{ConversationState, Draft, EventBody, Source, event::SecurityAnalysisEvent};
use serde_json::{Map, Value, json};

use crate::turn::interpret::ToolCallGroup;

pub(super) struct Approval {
    pub(super) needs_consent: bool,
    /// What the analyzer says of the calls.
    pub(super) analysis: Option<Draft>,
}

pub(super) fn approve(state: &ConversationState, group: &ToolCallGroup) -> Approval {
    let asks = |(_, risk): &(_, _)| state.confirmation_policy.asks(*risk);
    Approval {
        needs_consent: !group.harmless && group.risks.iter().any(asks),
        analysis: (!group.harmless && model_judges(state))
            .then(|| analysis(state, group))
            .flatten(),
    }
}

/// Whether the model's own word on an action's risk counts. Other analyzers are not built in: with
/// one of those every risk stays unknown, which cautious policies ask about.
pub(super) fn model_judges(state: &ConversationState) -> bool {
    let kind = |analyzer: &Value| analyzer["kind"] == "LLMSecurityAnalyzer";
    state.security_analyzer.as_ref().is_some_and(kind)
}

fn analysis(state: &ConversationState, group: &ToolCallGroup) -> Option<Draft> {
    let analyzer = state.security_analyzer.as_ref()?.get("kind")?.as_str()?;
    let policy = json!(state.confirmation_policy);
    let event = SecurityAnalysisEvent {
        analyzer: analyzer.to_owned(),
        policy: policy["kind"].as_str().unwrap_or_default().to_owned(),
        risks: group
            .risks
            .iter()
            .map(|(id, risk)| (id.0.clone(), *risk))
            .collect(),
        details: Map::new(),
    };
    let body = EventBody::SecurityAnalysisEvent(event);
    Some(Draft::new(Source::Environment, body))
}
