//! Stage 5: which calls need consent, and why.

use std::sync::Arc;

use action_risk::{Analyzer, AnalyzerError, Consent, ConsentRules, consent};
use core_model::{
    ConversationState, Draft, EventBody, EventId, Source,
    event::{ActionEvent, SecurityAnalysisEvent},
};
use serde_json::{Map, Value, json};

use crate::turn::interpret::ToolCallGroup;

/// Stands in for an analyzer where only approved commands were looked at.
const APPROVED_COMMANDS: &str = "ApprovedCommands";

/// The analyzer of a conversation, made ready once for all steps that have the same.
#[derive(Default)]
pub(super) struct Judge {
    settings: Option<Value>,
    analyzer: Option<Arc<Result<Analyzer, AnalyzerError>>>,
}

pub(super) struct Approval {
    pub(super) needs_consent: bool,
    /// What is said of the calls, for clients.
    pub(super) analysis: Option<Draft>,
}

impl Judge {
    /// Takes up what the conversation's settings say by now.
    pub(super) fn take_up(&mut self, state: &ConversationState) {
        if self.settings != state.security_analyzer {
            self.settings.clone_from(&state.security_analyzer);
            let settings = self.settings.as_ref();
            self.analyzer = settings.map(|settings| Arc::new(Analyzer::new(settings)));
        }
    }

    /// Whether the model's own word on an action's risk counts.
    pub(super) fn heeds_model(&self) -> bool {
        let analyzer = self.analyzer.as_deref();
        analyzer.is_some_and(|analyzer| analyzer.as_ref().is_ok_and(Analyzer::heeds_model))
    }

    /// Decides on the calls of one reply. All wait if one of them needs consent. Reading long commands takes
    /// time, so it is done on a thread of its own.
    pub(super) async fn approve(
        &self,
        state: &ConversationState,
        group: &ToolCallGroup,
    ) -> Approval {
        let calls: Vec<(EventId, bool, ActionEvent)> = group
            .actions
            .iter()
            .filter_map(|(id, harmless)| {
                let draft = group.drafts.iter().find(|draft| draft.id == *id)?;
                let EventBody::ActionEvent(event) = &draft.body else {
                    return None;
                };
                Some((id.clone(), *harmless, event.clone()))
            })
            .collect();
        let mut approval = Approval {
            needs_consent: false,
            analysis: None,
        };
        if calls.iter().all(|(_, harmless, _)| *harmless) {
            return approval;
        }
        let analyzer = self.analyzer.clone();
        let policy = state.confirmation_policy;
        let approved = state.approved_commands.clone();
        let decide = move || -> Vec<(EventId, Consent)> {
            let rules = ConsentRules {
                policy,
                analyzer: analyzer.as_deref(),
                approved: &approved,
            };
            let decided = calls.into_iter();
            decided
                .map(|(id, harmless, event)| (id, consent(rules, &event, harmless)))
                .collect()
        };
        let Ok(decided) = tokio::task::spawn_blocking(decide).await else {
            // Nobody knows, so somebody has to look.
            approval.needs_consent = true;
            return approval;
        };
        approval.needs_consent = decided.iter().any(|(_, consent)| consent.is_needed);
        let by_rule = decided
            .iter()
            .any(|(_, consent)| consent.approved_by.is_some());
        if self.settings.is_some() || by_rule {
            approval.analysis = Some(self.analysis(state, &decided));
        }
        approval
    }

    fn analysis(&self, state: &ConversationState, decided: &[(EventId, Consent)]) -> Draft {
        let name = self
            .settings
            .as_ref()
            .and_then(|it| it.get("kind")?.as_str());
        let policy = json!(state.confirmation_policy);
        let details = decided
            .iter()
            .map(|(id, consent)| (id.0.clone(), consent.details()));
        let event = SecurityAnalysisEvent {
            analyzer: name.unwrap_or(APPROVED_COMMANDS).to_owned(),
            policy: policy["kind"].as_str().unwrap_or_default().to_owned(),
            risks: decided
                .iter()
                .map(|(id, consent)| (id.0.clone(), consent.assessment.risk))
                .collect(),
            details: details.collect::<Map<String, Value>>(),
        };
        let body = EventBody::SecurityAnalysisEvent(event);
        Draft::new(Source::Environment, body)
    }
}
