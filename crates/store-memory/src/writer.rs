use std::sync::Arc;

use async_trait::async_trait;
use core_model::{
    ConversationId, Extent, LogWriter, Metadata, NewRecord, Row, StoreError, Summary, port::Change,
};

use crate::{
    catalog::{stored, to_micros},
    conversation::Conversation,
    state::State,
    store::Shared,
};

/// Writes one conversation under a claim. No call waits, so that a dropped one was done or never begun.
pub(crate) struct Writer {
    pub(crate) right: Right,
    pub(crate) extent: Extent,
}

/// What a claim gave. Dropping it gives the claim back.
pub(crate) struct Right {
    pub(crate) shared: Arc<Shared>,
    pub(crate) id: ConversationId,
    pub(crate) epoch: u64,
}

#[async_trait]
impl LogWriter for Writer {
    fn extent(&self) -> Extent {
        self.extent
    }

    async fn append(
        &mut self,
        records: Vec<NewRecord>,
        summary: Summary,
    ) -> Result<Extent, StoreError> {
        let shared = &self.right.shared;
        let mut state = shared.state();
        let conversation = self.right.check(&mut state)?;
        let from = conversation.row.extent.len;
        let extent = if records.is_empty() {
            conversation.row.extent
        } else {
            conversation.log.append(records)
        };
        let row = Row {
            updated_at: to_micros(summary.updated_at),
            status: summary.status,
            extent,
            bytes: extent.version,
            ..conversation.row
        };
        state.conversations.set_row(row);
        let to = extent.len;
        if from < to {
            let len = state.announce(&row, Change::Appended { from, to });
            shared.feed_len.send_replace(len);
        }
        self.extent = extent;
        Ok(extent)
    }

    async fn set_metadata(&mut self, metadata: &Metadata) -> Result<(), StoreError> {
        let metadata = Arc::new(stored(metadata));
        let mut state = self.right.shared.state();
        let conversation = self.right.check(&mut state)?;
        if metadata.id != self.right.id {
            return Err(StoreError::NotFound(metadata.id));
        }
        conversation.metadata = metadata;
        Ok(())
    }
}

impl Right {
    /// The conversation, unless the claim is lost.
    fn check<'a>(&self, state: &'a mut State) -> Result<&'a mut Conversation, StoreError> {
        let found = state.conversations.get_mut(self.id);
        let held = found.filter(|found| found.is_held_under(self.epoch));
        held.ok_or(StoreError::Fenced)
    }
}

impl Drop for Right {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        if let Ok(conversation) = self.check(&mut state) {
            conversation.held = None;
        }
    }
}
