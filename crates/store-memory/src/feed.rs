use async_trait::async_trait;
use core_model::{Feed, StoreError, port::FeedEntry};
use uuid::Uuid;

use crate::MemoryStore;

#[async_trait]
impl Feed for MemoryStore {
    fn feed_id(&self) -> Uuid {
        self.shared.feed_id
    }

    async fn feed_len(&self) -> Result<u64, StoreError> {
        Ok(self.shared.state().feed.len() as u64)
    }

    async fn feed_entries(&self, from: u64, limit: usize) -> Result<Vec<FeedEntry>, StoreError> {
        let state = self.shared.state();
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let rest = state.feed.get(from..).unwrap_or_default();
        Ok(rest[..rest.len().min(limit)].to_vec())
    }

    async fn feed_grown(&self, len: u64) -> Result<u64, StoreError> {
        let mut grown = self.shared.feed_len.subscribe();
        let found = grown.wait_for(|now| *now > len).await.map(|now| *now);
        // The sender is in `self`.
        found.map_err(|_closed| StoreError::Unavailable("the feed has ended".to_owned()))
    }
}
