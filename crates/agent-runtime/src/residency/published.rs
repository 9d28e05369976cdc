use std::{
    borrow::Cow,
    path::Path,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use core_model::{
    ConversationInfo, ConversationState, Draft, EventTime, ExecutionStatus, Metadata, Seq,
    info::full_state,
};

/// One consistent moment: the visible length, and what holds at exactly that length.
#[derive(Clone)]
pub(crate) struct Published {
    pub(crate) len: Seq,
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
    pub(super) fn new(len: Seq, state: ConversationState, metadata: Metadata) -> Self {
        Self {
            len,
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
    pub(super) fn shown_state(&self) -> Cow<'_, ConversationState> {
        if self.run_lost && self.state.execution_status == ExecutionStatus::Running {
            let mut state = (*self.state).clone();
            state.execution_status = ExecutionStatus::Error;
            return Cow::Owned(state);
        }
        Cow::Borrowed(&self.state)
    }

    /// The moment after a commit.
    pub(crate) fn advanced(&self, len: Seq, state: Arc<ConversationState>, announce: bool) -> Self {
        Self {
            len,
            epoch: self.epoch + u64::from(announce),
            state,
            metadata: Arc::clone(&self.metadata),
            end: self.end,
            run_lost: self.run_lost && len == self.len,
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
