use core_model::{
    ConversationState, Draft, EventBody, EventId, ExecutionStatus, Source,
    event::{ConversationErrorEvent, ErrorClassification, FailureKind, Nothing, UserAction},
};
use llm_client::ModelError;
use tokio::sync::OwnedSemaphorePermit;

use crate::conversation::{
    batch::CommitBatch,
    decide::{SUPERSEDED, reject_pending},
    recover,
};

const PANICKED: &str = "the agent's turn failed inside the server; its log says more";
const PANICKED_CALL: &str =
    "This tool call failed inside the server. Whether it took effect is unknown.";

/// A code that clients know, and a text for people.
pub(crate) struct Failure(pub(crate) &'static str, pub(crate) String);

/// How a turn ended.
pub(crate) enum Outcome {
    /// The agent is done with the message it saw last.
    Finished {
        seen: Option<EventId>,
    },
    /// Actions need consent.
    Waiting {
        seen: Option<EventId>,
    },
    Paused,
    Stuck,
    Failed {
        code: String,
        detail: String,
        classification: ErrorClassification,
    },
    /// A fault of the server's own, perhaps in the middle of a tool call.
    Panicked,
    /// Somebody else knows why.
    Cancelled,
}

impl Outcome {
    pub(crate) fn internal(detail: impl Into<String>) -> Self {
        let classification =
            ErrorClassification::new(FailureKind::Internal, false, UserAction::None);
        Self::Failed {
            code: "InternalError".to_owned(),
            detail: detail.into(),
            classification,
        }
    }

    pub(crate) fn model(error: &ModelError) -> Self {
        Self::Failed {
            code: error.code().to_owned(),
            detail: error.to_string(),
            classification: error.classification(),
        }
    }

    /// Writes down how the turn ended. If a user message came that the turn has not seen, the run
    /// goes on in the same slot instead, unless it was asked to pause. It goes on, too, when the pause
    /// was taken back after the turn had heeded it.
    pub(crate) fn record(
        self,
        batch: &mut CommitBatch,
        permit: OwnedSemaphorePermit,
        paused: bool,
    ) {
        match self {
            Self::Finished { seen } if is_new(batch.state(), seen.as_ref()) => {
                go_on(batch, permit, paused);
            }
            Self::Waiting { seen } if is_new(batch.state(), seen.as_ref()) => {
                reject_pending(batch, SUPERSEDED);
                go_on(batch, permit, paused);
            }
            Self::Paused => go_on(batch, permit, paused),
            Self::Panicked => {
                // Unanswered, the call would be made again by every later run.
                for draft in recover::orphans(&batch.state().pending, PANICKED_CALL) {
                    batch.push(draft);
                }
                Self::internal(PANICKED).record(batch, permit, paused);
            }
            Self::Finished { .. } => batch.set_status(ExecutionStatus::Finished),
            Self::Waiting { .. } => batch.set_status(ExecutionStatus::WaitingForConfirmation),
            Self::Stuck => batch.set_status(ExecutionStatus::Stuck),
            Self::Failed {
                code,
                detail,
                classification,
            } => {
                batch.set_status(ExecutionStatus::Error);
                let error = ConversationErrorEvent {
                    code,
                    detail,
                    classification: Some(classification),
                };
                batch.push(Draft::new(
                    Source::Environment,
                    EventBody::ConversationErrorEvent(error),
                ));
            }
            Self::Cancelled => batch.set_status(ExecutionStatus::Paused),
        }
    }
}

/// Takes up what is left to do in the same slot, or pauses before it.
fn go_on(batch: &mut CommitBatch, permit: OwnedSemaphorePermit, paused: bool) {
    if paused {
        batch.set_status(ExecutionStatus::Paused);
        batch.push(Draft::new(Source::User, EventBody::PauseEvent(Nothing {})));
    } else {
        batch.announce = false;
        batch.start = Some(permit);
    }
}

fn is_new(state: &ConversationState, seen: Option<&EventId>) -> bool {
    state.last_user_message_id.as_ref() != seen
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use core_model::Event;
    use serde_json::json;
    use tokio::sync::Semaphore;

    /// A running conversation with one unanswered call.
    fn running() -> CommitBatch {
        let action = json!({
            "id": "a", "timestamp": "2026-11-22T19:31:36", "source": "agent",
            "kind": "ActionEvent", "thought": [], "action": {"kind": "TerminalAction"},
            "tool_name": "terminal", "tool_call_id": "c", "llm_response_id": "r",
            "tool_call": {"id": "c", "name": "terminal", "arguments": "{}", "origin": "completion"},
        });
        let mut state: ConversationState = serde_json::from_value(json!({
            "execution_status": "running", "confirmation_policy": {"kind": "NeverConfirm"},
            "tags": {}, "agent_state": {}, "stats": {}, "pending": [], "initialised": true,
        }))
        .unwrap();
        state.apply(&Event::from_slice(action.to_string().as_bytes()).unwrap());
        CommitBatch::new(Arc::new(state))
    }

    fn record(outcome: Outcome, paused: bool) -> CommitBatch {
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let mut batch = running();
        outcome.record(&mut batch, permit, paused);
        batch
    }

    #[test]
    fn a_pause_that_was_taken_back_after_it_was_heeded_does_not_hold() {
        let paused = record(Outcome::Paused, true);
        assert_eq!(paused.state().execution_status, ExecutionStatus::Paused);
        assert!(paused.start.is_none());
        let unpaused = record(Outcome::Paused, false);
        assert_eq!(unpaused.state().execution_status, ExecutionStatus::Running);
        assert!(unpaused.start.is_some());
    }

    #[test]
    fn a_call_that_panicked_is_answered_so_that_no_later_run_repeats_it() {
        let batch = record(Outcome::Panicked, false);
        assert_eq!(batch.state().execution_status, ExecutionStatus::Error);
        assert!(batch.state().pending.is_empty());
    }
}
