//! What the log says of the end of a turn.

use core_model::{
    ConversationState, Draft, EventBody, EventId, ExecutionStatus, Source, Waiting, WaitingFor,
    event::{ConversationErrorEvent, Nothing},
    goal::{GoalStatus, GoalVerdict},
};
use serde_json::{Map, Value, json};

use crate::{
    command::StopReason,
    conversation::{
        batch::CommitBatch,
        decide::{SUPERSEDED, pause, reject_pending},
        goal::{self, NextRound},
        queue,
        unanswered::{answers, recovery_drafts},
    },
    run_slot::RunSlot,
    turn::{
        outcome::{JudgedWork, Outcome, Purpose},
        running_turn::{CancelReason, TurnStart},
    },
};

const INTERRUPTED: &str = "Tool call interrupted before completion. The conversation was paused.";
const PANICKED: &str = "the agent's turn failed inside the server; its log says more";
const PANICKED_CALL: &str =
    "This tool call failed inside the server. Whether it took effect is unknown.";

/// Records how a turn ended: as `stop` says when it was ended from outside, else as its outcome does.
/// `paused`: it was asked to pause, and not to continue since.
pub(super) fn record(
    outcome: Outcome,
    stop: Option<CancelReason>,
    slot: RunSlot,
    paused: bool,
    batch: &mut CommitBatch,
) {
    let Some(stop) = stop else {
        return record_outcome(outcome, slot, paused, batch);
    };
    // Free before anybody learns that the run has ended.
    drop(slot);
    let known = match outcome {
        Outcome::Cancelled { unlogged } => unlogged,
        Outcome::Finished { .. }
        | Outcome::Waiting { .. }
        | Outcome::Paused
        | Outcome::Condensed
        | Outcome::Judged { .. }
        | Outcome::BudgetReached(_)
        | Outcome::Stuck
        | Outcome::Failed { .. }
        | Outcome::Panicked => Vec::new(),
    };
    match stop {
        CancelReason::Interrupt => {
            let drafts = answers(&batch.state().pending, known, INTERRUPTED);
            batch.extend(drafts);
            goal::interrupt(batch);
            batch.set_status(ExecutionStatus::Paused);
            batch.push(Draft::new(
                Source::User,
                EventBody::InterruptEvent(Nothing {}),
            ));
        }
        CancelReason::ActorStops(StopReason::ServerStopping) => {
            let drafts = recovery_drafts(batch.state(), known);
            batch.extend(drafts);
        }
        CancelReason::ActorStops(StopReason::Deleted) => {}
    }
}

/// If a user message came that the turn has not seen, the run continues in the same slot instead, unless
/// it was asked to pause. It continues, too, when the pause was taken back after the turn had heeded it.
fn record_outcome(outcome: Outcome, slot: RunSlot, paused: bool, batch: &mut CommitBatch) {
    match outcome {
        Outcome::Finished { seen } if is_new(batch.state(), seen.as_ref()) => {
            continue_run(batch, slot, paused);
        }
        Outcome::Waiting { seen } if is_new(batch.state(), seen.as_ref()) => {
            reject_pending(batch, SUPERSEDED);
            continue_run(batch, slot, paused);
        }
        Outcome::Paused => continue_run(batch, slot, paused),
        Outcome::Panicked => {
            // Unanswered, the calls would be made again by every later run.
            let drafts = answers(&batch.state().pending, Vec::new(), PANICKED_CALL);
            batch.extend(drafts);
            record_outcome(Outcome::internal(PANICKED), slot, paused, batch);
        }
        Outcome::Condensed => {}
        Outcome::Judged { verdict, work } => record_verdict(verdict, work, slot, paused, batch),
        Outcome::Finished { seen } if goal::is_active(batch.state()) => {
            let work = JudgedWork { seen, stuck: false };
            judge(work, slot, paused, batch);
        }
        Outcome::Stuck if goal::is_active(batch.state()) => {
            // The judge says what is missing, and that may be another way.
            let seen = batch.state().last_user_message_id.clone();
            judge(JudgedWork { seen, stuck: true }, slot, paused, batch);
        }
        Outcome::BudgetReached(reached) => {
            goal::interrupt(batch);
            let told = json!(reached);
            batch.push(Draft::state("budget_reached", told.clone()));
            batch.set_status(ExecutionStatus::Paused);
            wait(batch, WaitingFor::Budget, told);
        }
        Outcome::Finished { .. } => finish(slot, paused, batch),
        Outcome::Waiting { .. } => {
            batch.set_status(ExecutionStatus::WaitingForConfirmation);
            let pending = batch.state().pending.iter();
            let actions: Vec<&str> = pending.map(|call| call.action_id.0.as_str()).collect();
            let told = json!({"actions": actions});
            wait(batch, WaitingFor::Approval, told);
        }
        Outcome::Stuck => stuck(batch),
        Outcome::Failed {
            code,
            detail,
            classification,
        } => {
            goal::interrupt(batch);
            batch.set_status(ExecutionStatus::Error);
            wait(batch, WaitingFor::Error, json!({"code": code}));
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
        Outcome::Cancelled { .. } => {
            goal::interrupt(batch);
            batch.set_status(ExecutionStatus::Paused);
        }
    }
}

/// Has a round of work towards a goal judged in the same slot. The run is not over before the goal is.
fn judge(work: JudgedWork, slot: RunSlot, paused: bool, batch: &mut CommitBatch) {
    let start = TurnStart {
        purpose: Purpose::Judge(work),
        slot,
        answers: Vec::new(),
    };
    continue_with(start, paused, batch);
}

/// Records the verdict, and has the agent go on with what is missing.
fn record_verdict(
    verdict: Option<GoalVerdict>,
    work: JudgedWork,
    slot: RunSlot,
    paused: bool,
    batch: &mut CommitBatch,
) {
    let goal = batch.state().goal.clone().filter(|goal| goal.active);
    let (Some(goal), Some(verdict)) = (goal, verdict) else {
        // Given up meanwhile, perhaps for a message.
        if is_new(batch.state(), work.seen.as_ref()) {
            continue_run(batch, slot, paused);
        } else {
            end(work.stuck, slot, paused, batch);
        }
        return;
    };
    match goal::record_verdict(&goal, verdict, batch) {
        NextRound::Again(text) => {
            if !paused {
                goal::say(&text, batch);
            }
            continue_run(batch, slot, paused);
        }
        NextRound::Over(GoalStatus::Complete) => finish(slot, paused, batch),
        NextRound::Over(_) => end(work.stuck, slot, paused, batch),
        NextRound::Standstill => stuck(batch),
    }
}

fn end(is_stuck: bool, slot: RunSlot, paused: bool, batch: &mut CommitBatch) {
    if is_stuck {
        stuck(batch);
    } else {
        finish(slot, paused, batch);
    }
}

/// The run is over, and the message that has waited longest starts the next one in the same slot.
fn finish(slot: RunSlot, paused: bool, batch: &mut CommitBatch) {
    batch.set_status(ExecutionStatus::Finished);
    if !paused && queue::take_up(batch) {
        continue_run(batch, slot, paused);
    }
}

fn stuck(batch: &mut CommitBatch) {
    batch.set_status(ExecutionStatus::Stuck);
    wait(batch, WaitingFor::Error, json!({"code": "stuck"}));
}

/// Says that the conversation waits for a person. Its end is told with the status that ends it.
fn wait(batch: &mut CommitBatch, what_for: WaitingFor, details: Value) {
    let details = match details {
        Value::Object(details) => details,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    };
    let waiting = Waiting::now(what_for, details);
    batch.push(Draft::state("waiting", json!(waiting)));
}

/// Takes up what is left to do in the same slot, or pauses before it.
fn continue_run(batch: &mut CommitBatch, slot: RunSlot, paused: bool) {
    continue_with(TurnStart::work(slot), paused, batch);
}

fn continue_with(start: TurnStart, paused: bool, batch: &mut CommitBatch) {
    if paused {
        goal::interrupt(batch);
        pause(batch);
    } else {
        batch.announce = false;
        batch.start = Some(start);
    }
}

fn is_new(state: &ConversationState, seen: Option<&EventId>) -> bool {
    state.last_user_message_id.as_ref() != seen
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::run_slot::RunSlots;
    use core_model::{
        Event, Metadata, Observation, Workspace, WorkspaceKind, event::ObservationEvent,
    };

    /// A running conversation with an unanswered call of each of these ids.
    fn running(calls: &[&str]) -> CommitBatch {
        let mut state: ConversationState = serde_json::from_value(json!({
            "execution_status": "running", "confirmation_policy": {"kind": "NeverConfirm"},
            "tags": {}, "agent_state": {}, "stats": {}, "pending": [], "initialised": true,
        }))
        .unwrap();
        for id in calls {
            let action = json!({
                "id": format!("action of {id}"), "timestamp": "2026-11-22T19:31:36",
                "source": "agent", "kind": "ActionEvent", "thought": [],
                "action": {"kind": "TerminalAction"},
                "tool_name": "terminal", "tool_call_id": id, "llm_response_id": "r",
                "tool_call": {"id": id, "name": "terminal", "arguments": "{}", "origin": "completion"},
            });
            state.apply(&Event::from_slice(action.to_string().as_bytes()).unwrap());
        }
        CommitBatch::new(Arc::new(state), Arc::new(metadata()))
    }

    fn metadata() -> Metadata {
        let workspace = Workspace {
            working_dir: "/w".to_owned(),
            kind: WorkspaceKind::LocalWorkspace,
        };
        Metadata::new(json!({}), workspace)
    }

    fn recorded(
        calls: &[&str],
        outcome: Outcome,
        stop: Option<CancelReason>,
        paused: bool,
    ) -> CommitBatch {
        let slot = RunSlots::new(1).take().unwrap();
        let mut batch = running(calls);
        record(outcome, stop, slot, paused, &mut batch);
        batch
    }

    #[test]
    fn a_pause_that_was_taken_back_after_it_was_heeded_does_not_hold() {
        let paused = recorded(&["c"], Outcome::Paused, None, true);
        assert_eq!(paused.state().execution_status, ExecutionStatus::Paused);
        assert!(paused.start.is_none());
        let unpaused = recorded(&["c"], Outcome::Paused, None, false);
        assert_eq!(unpaused.state().execution_status, ExecutionStatus::Running);
        assert!(unpaused.start.is_some());
    }

    #[test]
    fn a_call_that_panicked_is_answered_so_that_no_later_run_repeats_it() {
        let batch = recorded(&["c"], Outcome::Panicked, None, false);
        assert_eq!(batch.state().execution_status, ExecutionStatus::Error);
        assert!(batch.state().pending.is_empty());
    }

    #[test]
    fn an_interrupt_logs_what_had_come_back_and_answers_the_rest_in_order() {
        let observation: Observation =
            serde_json::from_value(json!({"content": [], "kind": "TerminalObservation"})).unwrap();
        let second = Draft::new(
            Source::Environment,
            EventBody::ObservationEvent(ObservationEvent {
                tool_name: "terminal".to_owned(),
                tool_call_id: "b".to_owned(),
                observation,
                action_id: EventId("action of b".to_owned()),
                extended_content: Vec::new(),
            }),
        );
        let outcome = Outcome::Cancelled {
            unlogged: vec![second],
        };
        let batch = recorded(
            &["a", "b", "c"],
            outcome,
            Some(CancelReason::Interrupt),
            false,
        );
        let told = |event: &Event| {
            let event: Value = serde_json::from_slice(&event.to_vec().unwrap()).unwrap();
            let field = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
            (field("kind"), field("tool_call_id"))
        };
        let told: Vec<_> = batch.events.iter().map(told).collect();
        let told: Vec<_> = told
            .iter()
            .map(|(k, id)| (k.as_str(), id.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                ("AgentErrorEvent", "a"),
                ("ObservationEvent", "b"),
                ("AgentErrorEvent", "c"),
                ("ConversationStateUpdateEvent", ""),
                ("InterruptEvent", ""),
            ]
        );
        assert!(batch.state().pending.is_empty());
    }
}
