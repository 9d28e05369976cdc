use core_model::{
    ConversationState, Draft, EventBody, ExecutionStatus, PendingAction, Source,
    event::{AgentErrorEvent, ErrorClassification, FailureKind, UserAction},
};

use crate::conversation::goal;

/// What to append to a log that a stopped server left in the middle of a turn: an answer to each
/// unanswered action, which is one of `known` or else an error, then `paused`. A goal is given up that nobody
/// works towards any more. Nothing for any other log.
pub(super) fn recovery_drafts(state: &ConversationState, known: Vec<Draft>) -> Vec<Draft> {
    if state.execution_status != ExecutionStatus::Running {
        // While it waits for consent, a goal needs nobody.
        let waits = state.execution_status == ExecutionStatus::WaitingForConfirmation;
        return goal::interruption(state)
            .filter(|_| !waits)
            .into_iter()
            .collect();
    }
    let mut drafts = answers(
        &state.pending,
        known,
        "The server stopped while this tool call was running. Whether it took effect is unknown; \
         check before you repeat it.",
    );
    drafts.extend(goal::interruption(state));
    drafts.push(Draft::state(
        "execution_status",
        ExecutionStatus::Paused.as_str(),
    ));
    drafts
}

/// An answer to each action that will get no other: one of `known`, or else an error that says `why`.
pub(super) fn answers(pending: &[PendingAction], mut known: Vec<Draft>, why: &str) -> Vec<Draft> {
    let answer = |action: &PendingAction| {
        let found = known.iter().position(|draft| is_answer(draft, action));
        found.map_or_else(|| error(action, why), |at| known.swap_remove(at))
    };
    pending.iter().map(answer).collect()
}

fn is_answer(draft: &Draft, action: &PendingAction) -> bool {
    if let EventBody::ObservationEvent(seen) = &draft.body {
        return seen.action_id == action.action_id;
    }
    matches!(&draft.body, EventBody::AgentErrorEvent(error) if error.tool_call_id == action.tool_call_id)
}

fn error(action: &PendingAction, why: &str) -> Draft {
    Draft::new(
        Source::Agent,
        EventBody::AgentErrorEvent(AgentErrorEvent {
            tool_name: action.tool_name.clone(),
            tool_call_id: action.tool_call_id.clone(),
            error: why.to_owned(),
            classification: Some(ErrorClassification::new(
                FailureKind::AgentAction,
                true,
                UserAction::Retry,
            )),
        }),
    )
}
