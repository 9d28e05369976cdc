use std::sync::Arc;

use core_model::{
    ConversationState, Draft, Event, EventTime, ExecutionStatus, NewRecord, StoreError, port::Fault,
};
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    RuntimeError,
    actor::{Actor, Settle},
    command::Answer,
    turn::Proposal,
};

/// Events decided on together: appended under one sync, then visible, then answered.
pub(crate) struct Batch {
    pub(crate) events: Vec<Event>,
    pub(crate) state: Arc<ConversationState>,
    /// Who is told, once it is durable, and what.
    pub(crate) answers: Vec<(Answer<()>, Result<(), RuntimeError>)>,
    /// Whether followers are sent a snapshot after these events.
    pub(crate) announce: bool,
    /// The slot of a turn that starts after these events.
    pub(crate) start: Option<OwnedSemaphorePermit>,
    pub(crate) settle: Option<Settle>,
}

impl Batch {
    pub(crate) fn new(state: Arc<ConversationState>) -> Self {
        Self {
            events: Vec::new(),
            state,
            answers: Vec::new(),
            announce: false,
            start: None,
            settle: None,
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

impl Actor {
    /// Appends a batch's events; on success its state is this conversation's state.
    pub(crate) async fn append(
        &mut self,
        events: &[Event],
        state: Arc<ConversationState>,
    ) -> Result<(), RuntimeError> {
        if events.is_empty() {
            return Ok(());
        }
        let records: Result<Vec<NewRecord>, _> = events.iter().map(NewRecord::encode).collect();
        let records =
            records.map_err(|error| RuntimeError::Internal(format!("encoding: {error}")))?;
        match self.shared.log.append(records, Some(self.len)).await {
            Ok(len) => {
                self.len = len;
                self.state = state;
                Ok(())
            }
            Err(error) => {
                tracing::error!(conversation.id = %self.shared.id, %error, "nothing was appended");
                Err(error.into())
            }
        }
    }
}

impl RuntimeError {
    /// The same error for one more of those who waited for the same commit.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::NotFound(id) => Self::NotFound(*id),
            Self::Store(StoreError::Conflict { expected, found }) => {
                Self::Store(StoreError::Conflict {
                    expected: *expected,
                    found: *found,
                })
            }
            Self::Store(error) => {
                let fault = error.fault();
                let fault = fault.unwrap_or_else(|| Fault::other(error.to_string()));
                Self::Store(StoreError::Poisoned(fault))
            }
            Self::UnknownEvent(_)
            | Self::CursorExpired
            | Self::AlreadyRunning
            | Self::RunLimit { .. }
            | Self::Busy
            | Self::Stopping
            | Self::Invalid(_)
            | Self::Internal(_) => Self::Internal(self.to_string()),
        }
    }
}
