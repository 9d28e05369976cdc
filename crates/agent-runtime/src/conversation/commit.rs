use std::sync::Arc;

use core_model::{ConversationState, Event, NewRecord, StoreError, port::Fault};

use crate::{RuntimeError, conversation::actor::Actor};

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
        match self.live.log.append(records, Some(self.len)).await {
            Ok(len) => {
                self.len = len;
                self.state = state;
                Ok(())
            }
            Err(error) => {
                tracing::error!(conversation.id = %self.live.id, %error, "nothing was appended");
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
