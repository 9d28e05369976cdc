use std::sync::Arc;

use async_trait::async_trait;
use core_model::{
    ConversationKey, LogReader, Metadata, StoreError,
    port::{DeletedConversation, DeliveryRecords, FollowerChange, FollowerRecords},
};

use crate::{MemoryStore, lock::lock};

impl MemoryStore {
    /// Whether a conversation that is deleted from now on waits for followers, until it is discarded.
    /// Without this call it goes at once.
    pub fn keep_deleted(&self, keep: bool) {
        self.shared.state().keeps_deleted = keep;
    }
}

#[async_trait]
impl DeliveryRecords for MemoryStore {
    async fn followers(&self) -> Result<Vec<String>, StoreError> {
        Ok(lock(&self.shared.followers).keys().cloned().collect())
    }

    async fn load(&self, follower: &str) -> Result<Option<FollowerRecords>, StoreError> {
        Ok(lock(&self.shared.followers).get(follower).cloned())
    }

    async fn change(&self, follower: &str, changes: Vec<FollowerChange>) -> Result<(), StoreError> {
        let mut followers = lock(&self.shared.followers);
        let records = followers.entry(follower.to_owned()).or_default();
        changes.into_iter().for_each(|change| records.apply(change));
        Ok(())
    }

    /// Removes the cursors of conversations that are gone for good, once there are more than conversations.
    async fn flush(&self, follower: &str) -> Result<(), StoreError> {
        let mut followers = lock(&self.shared.followers);
        if let Some(records) = followers.get_mut(follower) {
            let state = self.shared.state();
            if records.cursors.len() > state.conversations.len() + state.deleted.len() {
                records.cursors.retain(|key, _| state.has(key));
            }
        }
        Ok(())
    }

    async fn forget_follower(&self, follower: &str) -> Result<(), StoreError> {
        lock(&self.shared.followers).remove(follower);
        Ok(())
    }

    async fn deleted(&self) -> Result<Vec<DeletedConversation>, StoreError> {
        let state = self.shared.state();
        let deleted = state.deleted.iter();
        let mut deleted: Vec<_> = deleted
            .map(|(key, deleted)| DeletedConversation {
                conversation: *key,
                deleted_at: deleted.deleted_at,
            })
            .collect();
        deleted.sort_by_key(|deleted| deleted.deleted_at);
        Ok(deleted)
    }

    async fn open_deleted(
        &self,
        conversation: ConversationKey,
    ) -> Result<(Metadata, Arc<dyn LogReader>), StoreError> {
        let state = self.shared.state();
        let found = state.deleted.get(&conversation);
        let found = found.ok_or(StoreError::NotFound(conversation.id))?;
        let (metadata, log) = (Arc::clone(&found.metadata), Arc::clone(&found.log));
        drop(state);
        Ok((Metadata::clone(&metadata), log))
    }

    async fn discard(&self, conversation: ConversationKey) -> Result<(), StoreError> {
        self.shared.state().deleted.remove(&conversation);
        Ok(())
    }
}
