use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;
use bytes::Bytes;
use core_model::{
    Catalog, Claims, ConversationId, ConversationKey, Draft, EventId, EventTime, ExecutionStatus,
    Feed, Limit, LogReader, Metadata, NewRecord, Record, Row, Seq, StoreError, Summary, UtcTime,
    Workspace, WorkspaceKind,
    port::{
        Claimed, DeletedConversation, DeliveryRecords, Digest, FeedEntry, FollowerChange,
        FollowerRecords, Health, Holder, ListPage, ListQuery, Prefix, Receipt, Receipts,
        SpendingRecord, SpendingRecords, StagedConversation,
    },
    shared_budget::{DaySpending, SharedBudgets},
};
use futures_util::FutureExt as _;
use serde_json::json;
use store_memory::MemoryStore;
use uuid::Uuid;

/// A store in memory that fails, and loses what a crash or a loss of power takes.
pub(crate) struct Memory {
    store: MemoryStore,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    feed_id: Uuid,
    /// Where the feed begins, since the one before was lost.
    feed_start: u64,
    /// Entries that the feed does not tell.
    untold: HashSet<u64>,
    followers: BTreeMap<String, Follower>,
    refusing: bool,
    damaged: HashSet<ConversationId>,
    jammed: bool,
}

#[derive(Default)]
struct Follower {
    records: FollowerRecords,
    /// What a loss of power leaves.
    durable: Option<FollowerRecords>,
}

impl Memory {
    pub(crate) fn new() -> Arc<Self> {
        let store = MemoryStore::new("webhooks");
        store.keep_deleted(true);
        let state = Mutex::default();
        Arc::new(Self { store, state })
    }

    pub(crate) fn id(nth: u16) -> ConversationId {
        ConversationId(Uuid::from_u128(u128::from(nth) + 1))
    }

    /// Makes a conversation, unless there is one.
    pub(crate) fn make(&self, nth: u16) -> Option<ConversationKey> {
        let workspace = Workspace {
            working_dir: "/work".to_owned(),
            kind: WorkspaceKind::LocalWorkspace,
        };
        let mut metadata = Metadata::new(json!({"kind": "Agent"}), workspace);
        metadata.id = Self::id(nth);
        now(self.store.create(&metadata)).ok()?;
        self.row_of(nth).map(|row| row.key())
    }

    /// Appends so many events, of which the last tells the status if it is a new one.
    pub(crate) fn grow(&self, nth: u16, events: usize, status: ExecutionStatus) {
        let Some(row) = self.row_of(nth) else { return };
        let notes = (0..events).map(|nth| Draft::state("note", json!({ "nth": nth })));
        let mut drafts: Vec<Draft> = notes.collect();
        if row.status != status {
            drafts.push(Draft::state("execution_status", json!(status)));
        }
        let log = now(self.store.open(row.id)).unwrap();
        let mut last = all(log.as_ref()).last().map(|last| last.head.timestamp);
        let records = drafts.into_iter().map(|draft| {
            let event = draft.at(EventTime::now_after(last), None);
            last = Some(event.timestamp);
            NewRecord::encode(&event).unwrap()
        });
        self.append(row.id, records.collect(), status);
    }

    /// Deletes a conversation: its log waits among the deleted.
    pub(crate) fn remove(&self, nth: u16) {
        now(self.store.delete(Self::id(nth))).ok();
    }

    /// Appends and deletes, and a crash keeps the feed from telling of either.
    pub(crate) fn vanish(&self, nth: u16, events: usize) {
        self.untold(|| {
            let status = self.row_of(nth).unwrap().status;
            self.grow(nth, events, status);
            self.remove(nth);
        });
    }

    /// The ids of a conversation's events, wherever it is.
    pub(crate) fn events(&self, of: &ConversationKey) -> Option<Vec<EventId>> {
        let alive = now(self.store.row(of.id)).unwrap();
        let log = if alive.is_some_and(|row| row.key() == *of) {
            now(self.store.open(of.id))
        } else {
            now(self.store.open_deleted(*of)).map(|(_, log)| log)
        };
        let records = all(log.ok()?.as_ref()).into_iter();
        Some(records.map(|record| record.head.id).collect())
    }

    pub(crate) fn records_of(&self, follower: &str) -> Option<FollowerRecords> {
        let state = self.state();
        let found = state.followers.get(follower)?;
        Some(found.records.clone())
    }

    pub(crate) fn deleted_now(&self) -> usize {
        now(self.store.deleted()).unwrap().len()
    }

    /// A power cut takes what was not flushed.
    pub(crate) fn cut_power(&self) {
        self.state().followers.retain(|_, follower| {
            follower.records = follower.durable.clone().unwrap_or_default();
            follower.durable.is_some()
        });
    }

    /// A power cut takes the end of a log that the feed has told of.
    pub(crate) fn cut_log(&self, nth: u16, len: usize) {
        let id = Self::id(nth);
        let status = self.row_of(nth).unwrap().status;
        let metadata = now(self.store.metadata(id)).unwrap();
        let log = now(self.store.open(id)).unwrap();
        let left = all(log.as_ref()).into_iter().take(len);
        let left = left.map(|Record { head, bytes, .. }| NewRecord { head, bytes });
        self.untold(|| {
            self.store.keep_deleted(false);
            self.remove(nth);
            self.store.keep_deleted(true);
            now(self.store.create(&metadata)).unwrap();
            self.append(id, left.collect(), status);
        });
    }

    /// Whether deleted conversations cannot be opened from now on.
    pub(crate) fn jam(&self, jammed: bool) {
        self.state().jammed = jammed;
    }

    /// The feed is lost; a new one knows nothing of what was before.
    pub(crate) fn lose_feed(&self) {
        let mut state = self.state();
        state.feed_id = Uuid::new_v4();
        state.feed_start = now(self.store.feed_len()).unwrap();
    }

    /// Whether a conversation cannot be opened from now on.
    pub(crate) fn damage(&self, nth: u16, damaged: bool) {
        let all = &mut self.state().damaged;
        if damaged {
            all.insert(Self::id(nth));
        } else {
            all.remove(&Self::id(nth));
        }
    }

    /// Whether records are refused from now on.
    pub(crate) fn refuse(&self, refusing: bool) {
        self.state().refusing = refusing;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn row_of(&self, nth: u16) -> Option<Row> {
        now(self.store.row(Self::id(nth))).unwrap()
    }

    fn append(&self, id: ConversationId, records: Vec<NewRecord>, status: ExecutionStatus) {
        let Ok(Claimed::Mine(mut claim)) = now(self.store.claim(id)) else {
            panic!("nobody else claims it");
        };
        let summary = Summary {
            status,
            updated_at: UtcTime::now(),
        };
        now(claim.log.append(records, summary)).unwrap();
    }

    /// Does something that the feed never tells.
    fn untold(&self, work: impl FnOnce()) {
        let from = now(self.store.feed_len()).unwrap();
        work();
        let to = now(self.store.feed_len()).unwrap();
        self.state().untold.extend(from..to);
    }
}

/// The store in memory never waits.
fn now<T>(call: impl Future<Output = T>) -> T {
    call.now_or_never().unwrap()
}

fn all(log: &dyn LogReader) -> Vec<Record> {
    let limit = Limit {
        records: usize::MAX,
        bytes: usize::MAX,
    };
    now(log.read(Seq(0), limit)).unwrap()
}

#[async_trait]
impl Catalog for Memory {
    async fn create(&self, metadata: &Metadata) -> Result<(), StoreError> {
        self.store.create(metadata).await
    }

    async fn stage(
        &self,
        id: ConversationId,
        prefix: Option<Prefix>,
    ) -> Result<Box<dyn StagedConversation>, StoreError> {
        self.store.stage(id, prefix).await
    }

    async fn open(&self, id: ConversationId) -> Result<Arc<dyn LogReader>, StoreError> {
        if self.state().damaged.contains(&id) {
            return Err(StoreError::Damaged {
                path: "metadata.json".to_owned(),
                reason: "the file is missing".to_owned(),
            });
        }
        self.store.open(id).await
    }

    async fn list(&self, query: &ListQuery) -> Result<ListPage, StoreError> {
        let limit = query.limit.min(2);
        self.store.list(&ListQuery { limit, ..*query }).await
    }

    async fn count(&self, status: Option<ExecutionStatus>) -> Result<u64, StoreError> {
        self.store.count(status).await
    }

    async fn row(&self, id: ConversationId) -> Result<Option<Row>, StoreError> {
        self.store.row(id).await
    }

    async fn metadata(&self, id: ConversationId) -> Result<Metadata, StoreError> {
        self.store.metadata(id).await
    }

    async fn metadata_of(
        &self,
        ids: &[ConversationId],
    ) -> Result<Vec<Option<Metadata>>, StoreError> {
        self.store.metadata_of(ids).await
    }

    async fn delete(&self, id: ConversationId) -> Result<(), StoreError> {
        self.store.delete(id).await
    }

    fn health(&self) -> Health {
        self.store.health()
    }
}

#[async_trait]
impl Claims for Memory {
    async fn claim(&self, id: ConversationId) -> Result<Claimed, StoreError> {
        self.store.claim(id).await
    }

    async fn holder(&self, id: ConversationId) -> Result<Option<Holder>, StoreError> {
        self.store.holder(id).await
    }

    async fn orphans(&self, limit: usize) -> Result<Vec<ConversationId>, StoreError> {
        self.store.orphans(limit).await
    }
}

#[async_trait]
impl Feed for Memory {
    fn feed_id(&self) -> Uuid {
        self.state().feed_id
    }

    async fn feed_len(&self) -> Result<u64, StoreError> {
        let start = self.state().feed_start;
        Ok(self.store.feed_len().await? - start)
    }

    async fn feed_entries(&self, from: u64, limit: usize) -> Result<Vec<FeedEntry>, StoreError> {
        let (start, limit) = (self.state().feed_start, limit.min(3));
        let more = limit + self.state().untold.len();
        let mut entries = self.store.feed_entries(start + from, more).await?;
        let state = self.state();
        entries.retain(|entry| !state.untold.contains(&entry.position));
        entries.truncate(limit);
        entries.iter_mut().for_each(|entry| entry.position -= start);
        Ok(entries)
    }

    async fn feed_grown(&self, len: u64) -> Result<u64, StoreError> {
        let start = self.state().feed_start;
        Ok(self.store.feed_grown(start + len).await? - start)
    }
}

#[async_trait]
impl Receipts for Memory {
    async fn begin(&self, key: Digest, request: Digest) -> Result<Receipt, StoreError> {
        self.store.begin(key, request).await
    }

    async fn finish(&self, key: Digest, answer: Bytes) -> Result<(), StoreError> {
        self.store.finish(key, answer).await
    }

    async fn forget(&self, key: Digest) -> Result<(), StoreError> {
        self.store.forget(key).await
    }
}

#[async_trait]
impl SpendingRecords for Memory {
    async fn spending(&self) -> Result<SpendingRecord, StoreError> {
        self.store.spending().await
    }

    async fn add_spending(&self, added: Vec<DaySpending>) -> Result<(), StoreError> {
        self.store.add_spending(added).await
    }

    async fn set_budgets(&self, budgets: Option<SharedBudgets>) -> Result<(), StoreError> {
        self.store.set_budgets(budgets).await
    }
}

#[async_trait]
impl DeliveryRecords for Memory {
    async fn followers(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.state().followers.keys().cloned().collect())
    }

    async fn load(&self, follower: &str) -> Result<Option<FollowerRecords>, StoreError> {
        Ok(self.records_of(follower))
    }

    async fn change(&self, follower: &str, changes: Vec<FollowerChange>) -> Result<(), StoreError> {
        let mut state = self.state();
        if state.refusing {
            return Err(StoreError::Io {
                path: "cursors".to_owned(),
                source: std::io::ErrorKind::StorageFull.into(),
            });
        }
        let follower = state.followers.entry(follower.to_owned()).or_default();
        for change in changes {
            follower.records.apply(change);
        }
        Ok(())
    }

    async fn flush(&self, follower: &str) -> Result<(), StoreError> {
        if let Some(follower) = self.state().followers.get_mut(follower) {
            follower.durable = Some(follower.records.clone());
        }
        Ok(())
    }

    async fn forget_follower(&self, follower: &str) -> Result<(), StoreError> {
        self.state().followers.remove(follower);
        Ok(())
    }

    async fn deleted(&self) -> Result<Vec<DeletedConversation>, StoreError> {
        self.store.deleted().await
    }

    async fn open_deleted(
        &self,
        of: ConversationKey,
    ) -> Result<(Metadata, Arc<dyn LogReader>), StoreError> {
        if self.state().jammed {
            return Err(StoreError::Io {
                path: "events.jsonl".to_owned(),
                source: std::io::Error::from_raw_os_error(24),
            });
        }
        self.store.open_deleted(of).await
    }

    async fn discard(&self, of: ConversationKey) -> Result<(), StoreError> {
        self.store.discard(of).await
    }
}
