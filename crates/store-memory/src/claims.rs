use std::sync::Arc;

use async_trait::async_trait;
use core_model::{
    Claims, ConversationId, ExecutionStatus, StoreError,
    port::{Claim, Claimed, Holder},
};

use crate::{
    MemoryStore,
    conversation::Conversation,
    writer::{Right, Writer},
};

#[async_trait]
impl Claims for MemoryStore {
    async fn claim(&self, id: ConversationId) -> Result<Claimed, StoreError> {
        let server = self.server.number;
        let mut state = self.shared.state();
        if !state.is_alive(server) {
            let reason = "other servers take this one for dead";
            return Err(StoreError::Unavailable(reason.to_owned()));
        }
        if let Err(holder) = state.check_holder(id, server) {
            return Ok(Claimed::Theirs(holder));
        }
        let (epoch, lost) = state.hold(id, server)?;
        let found = state.conversations.get(id);
        let extent = found.map(|found| found.row.extent).unwrap_or_default();
        let shared = Arc::clone(&self.shared);
        let right = Right { shared, id, epoch };
        Ok(Claimed::Mine(Claim {
            log: Box::new(Writer { right, extent }),
            epoch,
            lost,
        }))
    }

    async fn holder(&self, id: ConversationId) -> Result<Option<Holder>, StoreError> {
        let state = self.shared.state();
        Ok(state.holder(id).map(|(_, holder)| holder.clone()))
    }

    async fn orphans(&self, limit: usize) -> Result<Vec<ConversationId>, StoreError> {
        let state = self.shared.state();
        let runs = |found: &&Conversation| found.row.status == ExecutionStatus::Running;
        let orphans = state.conversations.all().filter(runs);
        let orphans = orphans.filter(|found| found.held.is_none());
        Ok(orphans.map(|found| found.row.id).take(limit).collect())
    }
}
