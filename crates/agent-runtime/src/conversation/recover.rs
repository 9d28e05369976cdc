use core_model::{
    ConversationState, Draft, EventBody, ExecutionStatus, PendingAction, Source,
    event::{AgentErrorEvent, ErrorClassification, FailureKind, UserAction},
};

/// What to append to a log that a stopped server left in the middle of a turn: one error for each
/// unanswered action, then `paused`. Nothing for any other log.
pub(crate) fn recovery_drafts(state: &ConversationState) -> Vec<Draft> {
    if state.execution_status != ExecutionStatus::Running {
        return Vec::new();
    }
    let mut drafts = orphans(
        &state.pending,
        "The server stopped while this tool call was running. Whether it took effect is unknown; \
         check before you repeat it.",
    );
    drafts.push(Draft::state(
        "execution_status",
        ExecutionStatus::Paused.as_str(),
    ));
    drafts
}

/// An answer for each action that will get no other.
pub(crate) fn orphans(pending: &[PendingAction], why: &str) -> Vec<Draft> {
    let answer = |action: &PendingAction| {
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
    };
    pending.iter().map(answer).collect()
}
