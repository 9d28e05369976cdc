use std::sync::Arc;

use async_trait::async_trait;
use core_model::{
    ConversationKey, LogReader, Metadata, StoreError, UtcTime,
    port::{
        Cursor, DeadLetter, DeletedConversation, DeliveryRecords, FeedPosition, FollowerRecords,
    },
};

use crate::{MemoryStore, lock::lock, store::Shared};

impl MemoryStore {
    /// Whether a conversation that is deleted from now on waits for followers, until it is discarded.
    /// Without this call it goes at once.
    pub fn keep_deleted(&self, keep: bool) {
        self.shared.state().keeps_deleted = keep;
    }
}

impl Shared {
    fn record(&self, follower: &str, change: impl FnOnce(&mut FollowerRecords)) {
        let mut followers = lock(&self.followers);
        change(followers.entry(follower.to_owned()).or_default());
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

    async fn put_follower(
        &self,
        follower: &str,
        name: &str,
        since: Option<UtcTime>,
        position: Option<FeedPosition>,
    ) -> Result<(), StoreError> {
        self.shared.record(follower, |records| {
            records.introduce(name, since);
            records.position = position.or(records.position);
        });
        Ok(())
    }

    async fn mark_removed(&self, follower: &str, at: UtcTime) -> Result<(), StoreError> {
        self.shared
            .record(follower, |records| records.removed = Some(at));
        Ok(())
    }

    async fn put_position(&self, follower: &str, position: FeedPosition) -> Result<(), StoreError> {
        self.shared
            .record(follower, |records| records.position = Some(position));
        Ok(())
    }

    async fn put_cursors(
        &self,
        follower: &str,
        cursors: Vec<(ConversationKey, Cursor)>,
    ) -> Result<(), StoreError> {
        self.shared
            .record(follower, |records| records.cursors.extend(cursors));
        Ok(())
    }

    async fn rewind_all(&self, follower: &str, at: UtcTime) -> Result<(), StoreError> {
        self.shared
            .record(follower, |records| records.rewind_all(at));
        Ok(())
    }

    async fn push_dead_letter(&self, follower: &str, letter: DeadLetter) -> Result<(), StoreError> {
        self.shared.record(follower, |records| {
            records.push_dead_letter(letter);
        });
        Ok(())
    }

    async fn remove_dead_letter(&self, follower: &str, id: &str) -> Result<(), StoreError> {
        self.shared
            .record(follower, |records| records.remove_dead_letter(id));
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

    async fn forget(&self, follower: &str) -> Result<(), StoreError> {
        lock(&self.shared.followers).remove(follower);
        Ok(())
    }

    async fn deleted(&self) -> Result<Vec<DeletedConversation>, StoreError> {
        let state = self.shared.state();
        let deleted = state.deleted.iter().map(|deleted| DeletedConversation {
            conversation: deleted.key,
            deleted_at: deleted.deleted_at,
        });
        Ok(deleted.collect())
    }

    async fn open_deleted(
        &self,
        conversation: ConversationKey,
    ) -> Result<(Metadata, Arc<dyn LogReader>), StoreError> {
        let state = self.shared.state();
        let found = state
            .deleted
            .iter()
            .find(|deleted| deleted.key == conversation);
        let found = found.ok_or(StoreError::NotFound(conversation.id))?;
        let (metadata, log) = (Arc::clone(&found.metadata), Arc::clone(&found.log));
        drop(state);
        Ok((Metadata::clone(&metadata), log))
    }

    async fn discard(&self, conversation: ConversationKey) -> Result<(), StoreError> {
        let mut state = self.shared.state();
        state.deleted.retain(|deleted| deleted.key != conversation);
        Ok(())
    }
}
