//! What the log says of a goal: that it begins, what follows a verdict, that it is given up.

use core_model::{
    ConversationState, Draft, EventBody, Message, Source,
    event::MessageEvent,
    goal::{Goal, GoalStatus, GoalVerdict},
};
use serde_json::json;

use crate::{RuntimeError, command::GoalStart, conversation::batch::CommitBatch};

/// Rounds in a row in which the same is missing, word for word, after which the goal is given up.
const MAX_SAME_VERDICTS: u32 = 3;

/// What follows a verdict.
pub(super) enum NextRound {
    /// The agent goes on; this is said to it.
    Again(String),
    /// Reached, or all rounds are spent.
    Over(GoalStatus),
    /// Round after round the same is missing.
    Standstill,
}

/// The goal that begins, and what is said to the agent.
pub(super) fn begin(
    state: &ConversationState,
    start: GoalStart,
) -> Result<(Goal, String), RuntimeError> {
    match start {
        GoalStart::New {
            objective,
            max_iterations,
        } => {
            let goal = Goal::new(objective.clone(), max_iterations);
            Ok((goal, objective))
        }
        GoalStart::Resume => {
            let last = state.goal.as_ref().filter(|goal| goal.is_open());
            let goal = last.ok_or(RuntimeError::NoGoalToResume)?.resumed();
            let text = format!(
                "Take the goal up again. Time has passed: look at the workspace as it is now before you go \
                 on, and do what is still missing. End when output or files show that all of it is done.\n\n\
                 The goal:\n{}",
                goal.objective
            );
            Ok((goal, text))
        }
    }
}

pub(super) fn is_active(state: &ConversationState) -> bool {
    state.goal.as_ref().is_some_and(|goal| goal.active)
}

pub(super) fn record(goal: &Goal, batch: &mut CommitBatch) {
    batch.push(draft(goal));
}

/// Gives up an active goal. It can be resumed.
pub(super) fn interrupt(batch: &mut CommitBatch) {
    let drafts = interruption(batch.state());
    batch.extend(drafts);
}

/// What says that an active goal is given up; nothing without one.
pub(super) fn interruption(state: &ConversationState) -> Option<Draft> {
    let goal = state.goal.as_ref().filter(|goal| goal.active)?;
    Some(draft(&goal.interrupted()))
}

/// Records the verdict on a round.
pub(super) fn record_verdict(
    goal: &Goal,
    verdict: GoalVerdict,
    batch: &mut CommitBatch,
) -> NextRound {
    let text = follow_up(goal, &verdict);
    let goal = goal.judged(verdict);
    record(&goal, batch);
    if goal.status != GoalStatus::Running {
        return NextRound::Over(goal.status);
    }
    if batch.state().repeated_verdicts + 1 >= MAX_SAME_VERDICTS {
        interrupt(batch);
        return NextRound::Standstill;
    }
    NextRound::Again(text)
}

/// Says something to the agent in the user's place.
pub(super) fn say(text: &str, batch: &mut CommitBatch) {
    let message = MessageEvent::new(Message::user(text));
    let message = Draft::new(Source::User, EventBody::MessageEvent(message));
    let last = Draft::state("last_user_message_id", message.id.0.clone());
    batch.push(message);
    batch.push(last);
}

fn follow_up(goal: &Goal, verdict: &GoalVerdict) -> String {
    let missing = if verdict.missing.is_empty() {
        "Not all of it is shown to be done."
    } else {
        &verdict.missing
    };
    format!(
        "The goal is not reached yet. A check of the record found this missing:\n{missing}\n\nLook at the \
         workspace as it is now, do what is missing, and show by the output of commands or tests that it is \
         done. End when all of the goal is.\n\nThe goal:\n{}",
        goal.objective
    )
}

fn draft(goal: &Goal) -> Draft {
    Draft::state("goal", json!(goal))
}
