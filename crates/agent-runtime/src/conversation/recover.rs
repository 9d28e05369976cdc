use core_model::{
    ConversationState, Draft, EventBody, EventLog, ExecutionStatus, Limit, Metadata, PendingAction,
    Seq, Source, StoreError,
    event::{AgentErrorEvent, ErrorClassification, FailureKind, UserAction},
};

/// Records folded at a time.
const STRIDE: usize = 1024;

/// What a log says, folded from the stored snapshot on, or from the start when that does not fit.
pub(crate) async fn fold(
    log: &dyn EventLog,
    metadata: &Metadata,
) -> Result<ConversationState, StoreError> {
    let (mut state, mut next) = match &metadata.snapshot {
        Some(snapshot) if snapshot.as_of <= log.len() && snapshot.bytes <= log.size() => {
            (snapshot.state.clone(), snapshot.as_of)
        }
        _ => (ConversationState::new(metadata), Seq(0)),
    };
    while next < log.len() {
        let records = log.read(next, Limit::records(STRIDE)).await?;
        let Some(last) = records.last() else { break };
        next = last.seq.after(1);
        for record in &records {
            match record.event() {
                Ok(event) => state.apply(&event),
                Err(error) => tracing::warn!(
                    conversation.id = %metadata.id, seq = %record.seq, %error,
                    "an event cannot be read and is left out of the state"
                ),
            }
        }
    }
    Ok(state)
}

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
