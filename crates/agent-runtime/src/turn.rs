use std::{sync::Arc, time::Duration};

use agent_tools::Tools;
use core_model::{
    ConversationState, Draft, EventBody, EventId, ExecutionStatus, LlmSettings, Source,
    event::{ConversationErrorEvent, ErrorClassification, FailureKind, Nothing, UserAction},
};
use llm_client::{Model, ModelError};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, mpsc, oneshot, watch},
    task::JoinHandle,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    RuntimeError,
    actor::Failure,
    command::{Answer, Farewell},
    commit::Batch,
    decide::{SUPERSEDED, reject_pending},
    restart,
    shared::Shared,
    step,
};

const PANICKED: &str = "the agent's turn failed inside the server; its log says more";
const PANICKED_CALL: &str =
    "This tool call failed inside the server. Whether it took effect is unknown.";

/// A running turn as its actor holds it.
pub(crate) struct Turn {
    task: JoinHandle<Outcome>,
    cancel: CancellationToken,
    pause: watch::Sender<bool>,
    permit: OwnedSemaphorePermit,
    stop: Option<Stop>,
    /// When a turn that was told to stop is aborted.
    abort_at: Option<Instant>,
    /// Who waits for its end, and whether they want the actor gone.
    answers: Vec<(Option<Farewell>, Answer<()>)>,
}

/// What is left of a turn that has ended.
pub(crate) struct Parts {
    pub(crate) stop: Option<Stop>,
    pub(crate) answers: Vec<(Option<Farewell>, Answer<()>)>,
    pub(crate) permit: OwnedSemaphorePermit,
    /// Whether it was asked to pause, and not asked to go on since.
    pub(crate) paused: bool,
}

/// Why a turn is ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Interrupt,
    Farewell(Farewell),
}

/// What a turn works with.
pub(crate) struct TurnContext {
    pub(crate) shared: Arc<Shared>,
    pub(crate) model: Arc<dyn Model>,
    pub(crate) tools: Tools,
    pub(crate) llm: LlmSettings,
    pub(crate) proposer: mpsc::Sender<Proposal>,
}

/// Events that a turn asks its actor to append.
pub(crate) struct Proposal {
    pub(crate) drafts: Vec<Draft>,
    pub(crate) answer: Answer<()>,
}

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

impl Turn {
    /// Starts a turn as a task of its own; one that could not be set up ends at once.
    pub(crate) fn start(
        context: Result<TurnContext, Failure>,
        permit: OwnedSemaphorePermit,
        tokio: &Handle,
    ) -> Self {
        let cancel = CancellationToken::new();
        let (pause, asked_to_pause) = watch::channel(false);
        let task = match context {
            Ok(context) => tokio.spawn(step::take_all(context, cancel.clone(), asked_to_pause)),
            Err(Failure(code, detail)) => {
                let kind = FailureKind::Config;
                let classification = ErrorClassification::new(kind, false, UserAction::Settings);
                let code = code.to_owned();
                tokio.spawn(async {
                    Outcome::Failed {
                        code,
                        detail,
                        classification,
                    }
                })
            }
        };
        Self {
            task,
            cancel,
            pause,
            permit,
            stop: None,
            abort_at: None,
            answers: Vec::new(),
        }
    }

    /// Asks the turn to end at its next step, and its tool to wait no longer.
    pub(crate) fn pause(&self) {
        self.pause.send_replace(true);
    }

    /// Takes a pause back; whether there was one.
    pub(crate) fn unpause(&self) -> bool {
        self.pause.send_replace(false)
    }

    /// Ends the turn now; aborts it if it takes longer than `patience`. A farewell outranks an
    /// interruption.
    pub(crate) fn stop(&mut self, stop: Stop, patience: Duration, answer: Answer<()>) {
        self.cancel.cancel();
        self.abort_at
            .get_or_insert_with(|| Instant::now() + patience);
        let farewell = match stop {
            Stop::Interrupt => {
                self.stop.get_or_insert(stop);
                None
            }
            Stop::Farewell(farewell) => {
                self.stop = Some(stop);
                Some(farewell)
            }
        };
        self.answers.push((farewell, answer));
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.is_some()
    }

    pub(crate) fn into_parts(self) -> Parts {
        Parts {
            stop: self.stop,
            answers: self.answers,
            permit: self.permit,
            paused: *self.pause.borrow(),
        }
    }
}

/// Waits for a turn's end, if there is a turn.
///
/// # Cancel safety
/// Loses nothing.
pub(crate) async fn end(turn: &mut Option<Turn>) -> Outcome {
    let Some(turn) = turn else {
        return std::future::pending().await;
    };
    let abort_at = turn.abort_at;
    let joined = tokio::select! {
        joined = &mut turn.task => joined,
        () = async { match abort_at {
            Some(time) => sleep_until(time).await,
            None => std::future::pending().await,
        }} => {
            turn.task.abort();
            (&mut turn.task).await
        }
    };
    match joined {
        Ok(outcome) => outcome,
        Err(error) if error.is_cancelled() => Outcome::Cancelled,
        Err(error) => {
            tracing::error!(%error, "a turn panicked");
            Outcome::Panicked
        }
    }
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
    pub(crate) fn record(self, batch: &mut Batch, permit: OwnedSemaphorePermit, paused: bool) {
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
                for draft in restart::orphans(&batch.state().pending, PANICKED_CALL) {
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
fn go_on(batch: &mut Batch, permit: OwnedSemaphorePermit, paused: bool) {
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

impl TurnContext {
    /// Has events appended; they are durable and visible when this returns.
    pub(crate) async fn propose(&self, drafts: Vec<Draft>) -> Result<(), Outcome> {
        if drafts.is_empty() {
            return Ok(());
        }
        let (answer, answered) = oneshot::channel();
        let gone = |_| Outcome::Cancelled;
        self.proposer
            .send(Proposal { drafts, answer })
            .await
            .map_err(|_closed| Outcome::Cancelled)?;
        answered
            .await
            .map_err(gone)?
            .map_err(|error: RuntimeError| {
                Outcome::internal(format!(
                    "the conversation's log could not be written: {error}"
                ))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core_model::Event;
    use serde_json::json;
    use tokio::sync::Semaphore;

    /// A running conversation with one unanswered call.
    fn running() -> Batch {
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
        Batch::new(Arc::new(state))
    }

    fn record(outcome: Outcome, paused: bool) -> Batch {
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
