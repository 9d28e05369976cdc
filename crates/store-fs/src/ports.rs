//! The store as its callers know it.

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use core_model::{
    Catalog, ConversationId, EventLog, ExecutionStatus, Feed, Metadata, Row, StoreError,
    port::{Digest, FeedEntry, ListPage, ListQuery, Notice, Receipt, Receipts},
};
use uuid::Uuid;

use crate::{
    FsStore, check,
    disk::Wait,
    error::{blocking, io_at},
    layout,
};

#[async_trait]
impl Catalog for FsStore {
    async fn create(&self, metadata: &Metadata) -> Result<(), StoreError> {
        let metadata = metadata.clone();
        self.run(move |store| store.create(&metadata)).await
    }

    fn list(&self, query: &ListQuery) -> ListPage {
        self.0.context.catalog.list(query)
    }

    fn count(&self, status: Option<ExecutionStatus>) -> u64 {
        self.0.context.catalog.count(status)
    }

    fn row(&self, id: ConversationId) -> Option<Row> {
        self.0.context.catalog.row(id)
    }

    fn note(&self, row: Row) {
        let context = &self.0.context;
        // A row that comes too late must not bring back what was deleted, also meanwhile.
        let is_there = || context.disk.exists(&self.0.folder(row.id));
        if !context.catalog.update(&row) && is_there() {
            context.catalog.note(&row);
            if !is_there() {
                context.catalog.gone(row.id);
            }
        }
    }

    fn closed_in_order(&self) -> bool {
        self.0.context.catalog.closed_in_order
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.run(|store| {
            let closed = store.context.catalog.close();
            closed.map_err(io_at(&store.root))
        })
        .await
    }

    async fn check(&self) -> Result<Vec<ConversationId>, StoreError> {
        self.run(|store| {
            let unfit = check::check(store);
            // Else the first keyed request would have to wait for it.
            if let Err(error) = store.receipts.load() {
                tracing::warn!(%error, "what became of keyed requests cannot be read");
            }
            unfit
        })
        .await
    }

    async fn metadata(&self, id: ConversationId) -> Result<Metadata, StoreError> {
        self.run(move |store| store.metadata(id)).await
    }

    async fn metadata_of(
        &self,
        ids: &[ConversationId],
    ) -> Result<Vec<Option<Metadata>>, StoreError> {
        let ids = ids.to_vec();
        self.run(move |store| Ok(check::metadata_of(store, &ids)))
            .await
    }

    async fn infos(&self, ids: &[ConversationId]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let catalog = &self.0.context.catalog;
        let kept = catalog.infos(ids, Wait::No).ok();
        if let Some(kept) = kept.filter(|kept| kept.iter().all(Option::is_some)) {
            return Ok(kept);
        }
        let ids = ids.to_vec();
        self.run(move |store| check::infos(store, &ids)).await
    }

    async fn set_metadata(&self, metadata: &Metadata) -> Result<(), StoreError> {
        let metadata = metadata.clone();
        self.run(move |store| store.set_metadata(&metadata)).await
    }

    async fn open(&self, id: ConversationId) -> Result<Arc<dyn EventLog>, StoreError> {
        Ok(Arc::new(self.open_log(id).await?))
    }

    async fn delete(&self, id: ConversationId) -> Result<(), StoreError> {
        self.run(move |store| store.delete(id)).await
    }

    fn folder(&self, id: ConversationId) -> PathBuf {
        self.0.folder(id)
    }

    fn ready(&self) -> Result<(), String> {
        let context = &self.0.context;
        context
            .health
            .check()
            .and_then(|()| context.catalog.ready())
    }

    fn notices(&self) -> Vec<Notice> {
        self.0.context.notices.all()
    }
}

#[async_trait]
impl Feed for FsStore {
    fn feed_id(&self) -> Uuid {
        self.0.context.catalog.feed_id()
    }

    async fn feed_len(&self) -> u64 {
        let catalog = Arc::clone(&self.0.context.catalog);
        let len = blocking(&self.0.root, move || Ok(catalog.feed_len())).await;
        // Only where the runtime is going down.
        len.unwrap_or(u64::MAX)
    }

    async fn feed_entries(&self, from: u64, limit: usize) -> Result<Vec<FeedEntry>, StoreError> {
        let path = layout::feed_file(&self.0.root);
        let catalog = &self.0.context.catalog;
        match catalog.feed_entries(from, limit, Wait::No) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                let catalog = Arc::clone(catalog);
                let at = path.clone();
                blocking(&path, move || {
                    let found = catalog.feed_entries(from, limit, Wait::Yes);
                    found.map_err(io_at(&at))
                })
                .await
            }
            found => found.map_err(io_at(&path)),
        }
    }

    async fn feed_grown(&self, len: u64) -> u64 {
        self.0.context.catalog.feed_grown(len).await
    }
}

#[async_trait]
impl Receipts for FsStore {
    async fn begin(&self, key: Digest, request: Digest) -> Result<Receipt, StoreError> {
        self.run(move |store| store.receipts.begin(key, request))
            .await
    }

    async fn finish(&self, key: Digest, answer: Bytes) -> Result<(), StoreError> {
        self.run(move |store| store.receipts.finish(key, &answer))
            .await
    }

    async fn forget(&self, key: Digest) -> Result<(), StoreError> {
        self.run(move |store| store.receipts.forget(key)).await
    }
}
