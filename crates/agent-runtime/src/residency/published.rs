use std::{
    borrow::Cow,
    path::Path,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use core_model::{
    ConversationInfo, ConversationState, Draft, EventTime, ExecutionStatus, Extent, Metadata,
    Summary, UtcTime, info::full_state,
};

/// One consistent moment: how far the log is visible, and what holds at exactly that extent.
#[derive(Clone)]
pub(crate) struct Published {
    pub(crate) extent: Extent,
    /// Moves when followers are to be sent a snapshot.
    pub(crate) epoch: u64,
    pub(crate) state: Arc<ConversationState>,
    pub(crate) metadata: Arc<Metadata>,
    pub(crate) end: Option<End>,
    /// The log says that a run is active, and does not take its end.
    pub(super) run_lost: bool,
    frame: Arc<OnceLock<Bytes>>,
}

/// Why there are no more frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Deleted,
    ServerStopping,
    /// The log cannot be read.
    Failed,
}

impl Published {
    pub(super) fn new(extent: Extent, state: ConversationState, metadata: Metadata) -> Self {
        Self {
            extent,
            epoch: 0,
            state: Arc::new(state),
            metadata: Arc::new(metadata),
            end: None,
            run_lost: false,
            frame: Arc::default(),
        }
    }

    pub(super) fn info(&self, folder: &Path) -> ConversationInfo {
        ConversationInfo::new(&self.metadata, &self.shown_state(), folder)
    }

    /// The snapshot frame for this moment, encoded once for all followers.
    pub(super) fn snapshot_frame(&self, folder: &Path) -> Bytes {
        let encode = || {
            let value = full_state(&self.metadata, &self.shown_state(), folder);
            let event = Draft::state("full_state", value).at(EventTime::now(), None);
            event.to_vec().unwrap_or_default().into()
        };
        self.frame.get_or_init(encode).clone()
    }

    /// The state as readers are shown it.
    fn shown_state(&self) -> Cow<'_, ConversationState> {
        if self.run_lost && self.state.execution_status == ExecutionStatus::Running {
            let mut state = (*self.state).clone();
            state.execution_status = ExecutionStatus::Error;
            return Cow::Owned(state);
        }
        Cow::Borrowed(&self.state)
    }

    /// What lists show of it.
    pub(crate) fn summary(&self) -> Summary {
        summary(&self.shown_state(), &self.metadata)
    }

    /// The moment after another server wrote.
    pub(super) fn replaced(
        &self,
        extent: Extent,
        state: ConversationState,
        metadata: Metadata,
    ) -> Self {
        Self {
            run_lost: false,
            ..self
                .with_metadata(Arc::new(metadata))
                .advanced(extent, Arc::new(state), true)
        }
    }

    /// The moment after a commit.
    pub(crate) fn advanced(
        &self,
        extent: Extent,
        state: Arc<ConversationState>,
        announce: bool,
    ) -> Self {
        Self {
            extent,
            epoch: self.epoch + u64::from(announce),
            state,
            metadata: Arc::clone(&self.metadata),
            end: self.end,
            run_lost: self.run_lost && extent == self.extent,
            frame: Arc::default(),
        }
    }

    /// The same moment with other metadata.
    pub(crate) fn with_metadata(&self, metadata: Arc<Metadata>) -> Self {
        Self {
            metadata,
            frame: Arc::default(),
            ..self.clone()
        }
    }
}

/// What lists show of a conversation in this state.
pub(crate) fn summary(state: &ConversationState, metadata: &Metadata) -> Summary {
    Summary {
        status: state.execution_status,
        updated_at: state
            .updated_at
            .map_or(metadata.created_at, |time| UtcTime(time.utc())),
    }
}
