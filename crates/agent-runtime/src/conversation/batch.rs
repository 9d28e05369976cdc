use std::sync::Arc;

use core_model::{ConversationState, Draft, Event, EventTime, ExecutionStatus};
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    RuntimeError,
    command::{Answer, StopReason},
    turn::proposal::Proposal,
};

/// Events decided on together: appended under one sync, then visible, then answered.
pub(crate) struct CommitBatch {
    pub(crate) events: Vec<Event>,
    pub(crate) state: Arc<ConversationState>,
    /// Who is told, once it is durable, and what.
    pub(crate) answers: Vec<(Answer<()>, Result<(), RuntimeError>)>,
    /// Whether followers are sent a snapshot after these events.
    pub(crate) announce: bool,
    /// The slot of a turn that starts after these events.
    pub(crate) start: Option<OwnedSemaphorePermit>,
    pub(crate) after_commit: Option<AfterCommit>,
}

impl CommitBatch {
    pub(crate) fn new(state: Arc<ConversationState>) -> Self {
        Self {
            events: Vec::new(),
            state,
            answers: Vec::new(),
            announce: false,
            start: None,
            after_commit: None,
        }
    }

    /// The state after all events of this batch so far.
    pub(crate) fn state(&self) -> &ConversationState {
        &self.state
    }

    /// Gives a draft its time and its parent.
    pub(crate) fn push(&mut self, draft: Draft) {
        let state = Arc::make_mut(&mut self.state);
        let time = EventTime::now_after(state.last_timestamp);
        let event = draft.at(time, state.leaf_event_id.clone());
        state.apply(&event);
        self.events.push(event);
    }

    pub(crate) fn set_status(&mut self, status: ExecutionStatus) {
        self.push(Draft::state("execution_status", status.as_str()));
    }

    pub(crate) fn take(&mut self, proposal: Proposal) {
        for draft in proposal.drafts {
            self.push(draft);
        }
        self.answers.push((proposal.answer, Ok(())));
    }
}

/// What has to follow a commit, after all that was decided before it.
pub(crate) enum AfterCommit {
    Recovered(Answer<()>),
    CloseTools,
    LeaveMemory,
    Stop(StopReason, Answer<()>),
}
