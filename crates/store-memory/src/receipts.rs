use async_trait::async_trait;
use bytes::Bytes;
use chrono::Utc;
use core_model::{
    StoreError,
    port::{Digest, Receipt, Receipts},
};

use crate::{MemoryStore, lock::lock};

#[async_trait]
impl Receipts for MemoryStore {
    async fn begin(&self, key: Digest, request: Digest) -> Result<Receipt, StoreError> {
        lock(&self.shared.receipts).begin(key, request, Utc::now().timestamp())
    }

    async fn finish(&self, key: Digest, answer: Bytes) -> Result<(), StoreError> {
        lock(&self.shared.receipts).finish(key, answer)
    }

    async fn forget(&self, key: Digest) -> Result<(), StoreError> {
        lock(&self.shared.receipts).forget(key);
        Ok(())
    }
}
