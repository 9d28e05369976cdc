use std::sync::Arc;

use async_trait::async_trait;
use chrono::SubsecRound;
use core_model::{
    Catalog, ConversationId, ExecutionStatus, Extent, LogReader, Metadata, Row, StoreError,
    UtcTime,
    port::{Change, Health, ListPage, ListQuery, Prefix, StagedConversation},
};

use crate::{MemoryStore, conversation::Conversation, log::Log, staging::Staged};

#[async_trait]
impl Catalog for MemoryStore {
    async fn create(&self, metadata: &Metadata) -> Result<(), StoreError> {
        let metadata = stored(metadata);
        let row = Row {
            id: metadata.id,
            created_at: metadata.created_at,
            updated_at: metadata.created_at,
            status: ExecutionStatus::Idle,
            extent: Extent::default(),
            bytes: 0,
        };
        let mut state = self.shared.state();
        if state.conversations.get(row.id).is_some() {
            return Err(StoreError::Exists(row.id));
        }
        state.conversations.insert(Conversation {
            metadata: Arc::new(metadata),
            row,
            log: Arc::new(Log::new(row.id)),
            held: None,
        });
        let len = state.announce(&row, Change::Created);
        self.shared.feed_len.send_replace(len);
        Ok(())
    }

    async fn stage(
        &self,
        id: ConversationId,
        prefix: Option<Prefix>,
    ) -> Result<Box<dyn StagedConversation>, StoreError> {
        let shared = Arc::clone(&self.shared);
        Ok(Box::new(Staged::new(shared, id, prefix)?))
    }

    async fn open(&self, id: ConversationId) -> Result<Arc<dyn LogReader>, StoreError> {
        let state = self.shared.state();
        let found = state.conversations.get(id);
        let log = found.map(|found| Arc::clone(&found.log) as Arc<dyn LogReader>);
        log.ok_or(StoreError::NotFound(id))
    }

    async fn list(&self, query: &ListQuery) -> Result<ListPage, StoreError> {
        Ok(self.shared.state().conversations.page(query))
    }

    async fn count(&self, status: Option<ExecutionStatus>) -> Result<u64, StoreError> {
        Ok(self.shared.state().conversations.count(status))
    }

    async fn row(&self, id: ConversationId) -> Result<Option<Row>, StoreError> {
        let state = self.shared.state();
        Ok(state.conversations.get(id).map(|found| found.row))
    }

    async fn metadata(&self, id: ConversationId) -> Result<Metadata, StoreError> {
        let found = self.shared_metadata(id).ok_or(StoreError::NotFound(id))?;
        Ok(Metadata::clone(&found))
    }

    async fn metadata_of(
        &self,
        ids: &[ConversationId],
    ) -> Result<Vec<Option<Metadata>>, StoreError> {
        let found = ids.iter().map(|id| self.shared_metadata(*id));
        let copied = found.map(|found| found.as_deref().cloned());
        Ok(copied.collect())
    }

    async fn delete(&self, id: ConversationId) -> Result<(), StoreError> {
        let mut state = self.shared.state();
        let allowed = state.check_holder(id, self.server.number);
        allowed.map_err(|holder| StoreError::OwnedElsewhere { id, holder })?;
        let removed = state.conversations.remove(id);
        let removed = removed.ok_or(StoreError::NotFound(id))?;
        let len = state.announce(&removed.row, Change::Deleted);
        self.shared.feed_len.send_replace(len);
        removed.log.end();
        if state.keeps_deleted {
            state.keep(removed);
        }
        Ok(())
    }

    fn health(&self) -> Health {
        Health {
            ready: Ok(()),
            notices: Vec::new(),
        }
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.shared.state().release(self.server.number);
        Ok(())
    }
}

impl MemoryStore {
    fn shared_metadata(&self, id: ConversationId) -> Option<Arc<Metadata>> {
        let state = self.shared.state();
        let found = state.conversations.get(id)?;
        Some(Arc::clone(&found.metadata))
    }
}

/// Metadata as it would be read back from a file.
pub(crate) fn stored(metadata: &Metadata) -> Metadata {
    Metadata {
        created_at: to_micros(metadata.created_at),
        ..metadata.clone()
    }
}

/// Times have six digits of a second wherever they are shown or compared.
pub(crate) fn to_micros(time: UtcTime) -> UtcTime {
    UtcTime(time.0.trunc_subsecs(6))
}
