use std::sync::Arc;

use async_trait::async_trait;
use core_model::{
    ConversationId, Extent, LogReader, Metadata, NewRecord, Row, Seq, StoreError, Summary,
    port::{Change, Prefix, StagedConversation},
};

use crate::{
    catalog::{stored, to_micros},
    conversation::Conversation,
    log::Log,
    store::Shared,
};

/// A log that belongs to no conversation yet. No call waits, so that a dropped one was done or never begun.
pub(crate) struct Staged {
    shared: Arc<Shared>,
    id: ConversationId,
    log: Log,
}

impl Staged {
    pub(crate) fn new(
        shared: Arc<Shared>,
        id: ConversationId,
        prefix: Option<Prefix>,
    ) -> Result<Self, StoreError> {
        let log = Log::new(id);
        let original = {
            let state = shared.state();
            if state.conversations.get(id).is_some() {
                return Err(StoreError::Exists(id));
            }
            let find = |prefix: Prefix| {
                let found = state.conversations.get(prefix.of.id);
                let same =
                    found.filter(|found| found.row.created_at == to_micros(prefix.of.created_at));
                let log = same.map(|found| Arc::clone(&found.log));
                log.filter(|log| log.had(prefix.extent))
                    .map(|log| (log, prefix.extent.len))
                    .ok_or(StoreError::NotFound(prefix.of.id))
            };
            prefix.map(find).transpose()?
        };
        if let Some((original, len)) = original {
            log.append(original.first(len));
        }
        Ok(Self { shared, id, log })
    }
}

#[async_trait]
impl StagedConversation for Staged {
    fn extent(&self) -> Extent {
        self.log.visible()
    }

    async fn append(&mut self, records: Vec<NewRecord>) -> Result<(), StoreError> {
        self.log.append(records);
        Ok(())
    }

    async fn publish(
        self: Box<Self>,
        metadata: &Metadata,
        summary: Summary,
    ) -> Result<(), StoreError> {
        let Self { shared, id, log } = *self;
        if metadata.id != id {
            return Err(StoreError::NotFound(metadata.id));
        }
        let metadata = stored(metadata);
        let extent = log.visible();
        let row = Row {
            id,
            created_at: metadata.created_at,
            updated_at: to_micros(summary.updated_at),
            status: summary.status,
            extent,
            bytes: extent.version,
        };
        let mut state = shared.state();
        if state.conversations.get(id).is_some() {
            return Err(StoreError::Exists(id));
        }
        state.conversations.insert(Conversation {
            metadata: Arc::new(metadata),
            row,
            log: Arc::new(log),
            held: None,
        });
        let mut len = state.announce(&row, Change::Created);
        let (from, to) = (Seq(0), extent.len);
        if from < to {
            len = state.announce(&row, Change::Appended { from, to });
        }
        shared.feed_len.send_replace(len);
        Ok(())
    }
}
