use std::sync::Arc;

use core_model::{ConversationState, Draft, Event, EventTime, ExecutionStatus, Metadata};

use serde_json::Value;

use crate::{
    RuntimeError,
    command::{Answer, StopReason},
    turn::{proposal::Proposal, running_turn::TurnStart, stats},
};

/// What was decided on together: metadata, then events, each durable under one sync; then visible, then
/// answered.
pub(super) struct CommitBatch {
    pub(super) events: Vec<Event>,
    state: Arc<ConversationState>,
    metadata: Arc<Metadata>,
    metadata_changed: bool,
    /// Sent once it is durable.
    pub(super) answers: Vec<(Answer, Result<(), RuntimeError>)>,
    /// Whether followers are sent a snapshot after these events.
    pub(super) announce: bool,
    /// The message of which a title is to be made after these events.
    pub(super) untitled: Option<String>,
    /// The turn that starts after these events.
    pub(super) start: Option<TurnStart>,
    pub(super) after_commit: Option<AfterCommit>,
}

/// What has to follow a commit, after all that was decided before it.
pub(super) enum AfterCommit {
    Recovered(Answer),
    CloseTools,
    LeaveMemory,
    Stop(StopReason, Answer),
}

impl CommitBatch {
    /// Empty, after `state` and `metadata`.
    pub(super) fn new(state: Arc<ConversationState>, metadata: Arc<Metadata>) -> Self {
        Self {
            events: Vec::new(),
            state,
            metadata,
            metadata_changed: false,
            answers: Vec::new(),
            announce: false,
            untitled: None,
            start: None,
            after_commit: None,
        }
    }

    /// The state after all events of this batch so far.
    pub(super) fn state(&self) -> &ConversationState {
        &self.state
    }

    pub(super) fn into_state(self) -> Arc<ConversationState> {
        self.state
    }

    /// Gives a draft its time and its parent.
    pub(super) fn push(&mut self, draft: Draft) {
        let state = Arc::make_mut(&mut self.state);
        let time = EventTime::now_after(state.last_timestamp);
        let event = draft.at(time, state.leaf_event_id.clone());
        state.apply(&event);
        let waits_no_more = state.waiting.is_some() && !state.execution_status.may_wait();
        self.events.push(event);
        if waits_no_more {
            self.push(Draft::state("waiting", Value::Null));
        }
    }

    pub(super) fn extend(&mut self, drafts: impl IntoIterator<Item = Draft>) {
        for draft in drafts {
            self.push(draft);
        }
    }

    pub(super) fn set_status(&mut self, status: ExecutionStatus) {
        self.push(Draft::state("execution_status", status.as_str()));
    }

    /// Changes metadata: stored before the events of this batch, so that an event that announces the
    /// change is never true too early.
    pub(super) fn change_metadata(&mut self, change: impl FnOnce(&mut Metadata)) {
        change(Arc::make_mut(&mut self.metadata));
        self.metadata_changed = true;
    }

    /// The metadata after all changes of this batch so far.
    pub(super) fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The metadata to be stored, if it was changed.
    pub(super) fn changed_metadata(&self) -> Option<&Arc<Metadata>> {
        self.metadata_changed.then_some(&self.metadata)
    }

    pub(super) fn take(&mut self, proposal: Proposal) {
        self.extend(
            proposal
                .call
                .map(|call| stats::after_call(&self.state, &call)),
        );
        self.extend(proposal.drafts);
        self.answers.push((proposal.answer, Ok(())));
    }
}
