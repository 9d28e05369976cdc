//! The store as its callers know it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use core_model::{
    Catalog, ConversationId, ExecutionStatus, Feed, LogReader, Metadata, Row, StoreError,
    port::{
        Digest, FeedEntry, Health, ListPage, ListQuery, Prefix, Receipt, Receipts, SpendingRecord,
        SpendingRecords, StagedConversation,
    },
    shared_budget::{DaySpending, SharedBudgets},
};
use uuid::Uuid;

use crate::{
    FsStore, check,
    deletion::Deletion,
    disk::Wait,
    error::{blocking, io_at},
    layout,
    staging::Staged,
};

#[async_trait]
impl Catalog for FsStore {
    async fn create(&self, metadata: &Metadata) -> Result<(), StoreError> {
        let metadata = metadata.clone();
        self.run(move |store| store.create(&metadata)).await
    }

    async fn stage(
        &self,
        id: ConversationId,
        prefix: Option<Prefix>,
    ) -> Result<Box<dyn StagedConversation>, StoreError> {
        let store = Arc::clone(&self.0);
        let staged = blocking(&self.0.root, move || Staged::begin(store, id, prefix));
        Ok(Box::new(staged.await?))
    }

    async fn open(&self, id: ConversationId) -> Result<Arc<dyn LogReader>, StoreError> {
        Ok(Arc::new(self.open_log(id).await?))
    }

    async fn list(&self, query: &ListQuery) -> Result<ListPage, StoreError> {
        self.listed().await?;
        Ok(self.0.context.catalog.list(query))
    }

    async fn count(&self, status: Option<ExecutionStatus>) -> Result<u64, StoreError> {
        self.listed().await?;
        Ok(self.0.context.catalog.count(status))
    }

    async fn row(&self, id: ConversationId) -> Result<Option<Row>, StoreError> {
        if !self.is_listed() {
            // Sooner than all are.
            self.run(move |store| {
                store.list_if_unlisted(id);
                Ok(())
            })
            .await?;
        }
        Ok(self.0.context.catalog.row(id))
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
        self.listed().await?;
        let catalog = &self.0.context.catalog;
        let kept = catalog.infos(ids, Wait::No).ok();
        if let Some(kept) = kept.filter(|kept| kept.iter().all(Option::is_some)) {
            return Ok(kept);
        }
        let ids = ids.to_vec();
        self.run(move |store| check::infos(store, &ids)).await
    }

    async fn delete(&self, id: ConversationId) -> Result<(), StoreError> {
        // A call that was dropped may get there late: it is not about the next conversation of this id.
        let caller = Arc::new(());
        let request = Deletion {
            made: self.0.context.catalog.row(id).map(|row| row.created_at),
            caller: Some(Arc::downgrade(&caller)),
        };
        let deleted = self.run(move |store| store.delete(id, &request)).await;
        drop(caller);
        deleted
    }

    fn health(&self) -> Health {
        let context = &self.0.context;
        let ready = context
            .health
            .check()
            .and_then(|()| context.catalog.ready());
        Health {
            ready,
            notices: context.notices.all(),
        }
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.run(|store| {
            store.give_back_claims();
            let closed = store.context.catalog.close();
            closed.map_err(io_at(&store.root))
        })
        .await
    }
}

#[async_trait]
impl Feed for FsStore {
    fn feed_id(&self) -> Uuid {
        self.0.context.catalog.feed_id()
    }

    async fn feed_len(&self) -> Result<u64, StoreError> {
        let catalog = Arc::clone(&self.0.context.catalog);
        blocking(&self.0.root, move || Ok(catalog.feed_len())).await
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

    async fn feed_grown(&self, len: u64) -> Result<u64, StoreError> {
        Ok(self.0.context.catalog.feed_grown(len).await)
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

#[async_trait]
impl SpendingRecords for FsStore {
    async fn spending(&self) -> Result<SpendingRecord, StoreError> {
        self.run(|store| store.spending.read()).await
    }

    async fn add_spending(&self, added: Vec<DaySpending>) -> Result<(), StoreError> {
        self.run(move |store| store.spending.add(added)).await
    }

    async fn set_budgets(&self, budgets: Option<SharedBudgets>) -> Result<(), StoreError> {
        self.run(move |store| store.spending.set_budgets(budgets))
            .await
    }
}
