//! A store whose calls can be made to fail or wait, and folders as a kill leaves them.

use std::{
    collections::HashMap,
    ops::Range,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use core_model::{
    Catalog, Claims, ConversationId, ConversationKey, EventId, EventTime, ExecutionStatus, Extent,
    Feed, HeadFilter, Limit, LogReader, LogWriter, Metadata, NewRecord, Record, Row, Seq,
    StoreError, Summary,
    port::{
        Claim, Claimed, DeletedConversation, DeliveryRecords, Digest, Fault, FeedEntry,
        FollowerChange, FollowerRecords, Health, Holder, ListPage, ListQuery, Prefix, Receipt,
        Receipts, SpendingRecord, SpendingRecords, StagedConversation,
    },
    shared_budget::{DaySpending, SharedBudgets},
};
use store_fs::FsStore;
use tokio::sync::{Notify, watch};
use uuid::Uuid;

/// A store whose appends can be made to fail and whose deletions can be held up.
pub(crate) struct Frail {
    store: FsStore,
    pub(crate) broken: Arc<AtomicBool>,
    pub(crate) holds_deletions: AtomicBool,
    pub(crate) fails_deletions: AtomicBool,
    pub(crate) deleting: Notify,
    pub(crate) may_delete: Notify,
    /// Whether nobody gets to know which conversations there are.
    pub(crate) holds_check: watch::Sender<bool>,
    /// Another server, which has every conversation.
    pub(crate) theirs: Mutex<Option<Holder>>,
    /// Logs that cannot be opened, and why.
    pub(crate) shut: Mutex<HashMap<ConversationId, Shut>>,
    /// Lets the opening of such a log continue.
    pub(crate) may_open: Notify,
    /// How often a log was opened.
    pub(crate) opened: AtomicUsize,
    /// Logs in memory.
    pub(crate) open: Arc<AtomicUsize>,
}

#[derive(Clone, Copy)]
pub(crate) enum Shut {
    Failing,
    Damaged,
    Late,
}

/// Counted while it is in memory.
struct FrailReader {
    log: Arc<dyn LogReader>,
    open: Arc<AtomicUsize>,
}

struct FrailWriter {
    log: Box<dyn LogWriter>,
    broken: Arc<AtomicBool>,
}

impl Drop for FrailReader {
    fn drop(&mut self) {
        self.open.fetch_sub(1, SeqCst);
    }
}

#[async_trait]
impl LogReader for FrailReader {
    fn visible(&self) -> Extent {
        self.log.visible()
    }

    async fn grown(&self, after: Seq) -> Result<Extent, StoreError> {
        self.log.grown(after).await
    }

    fn had(&self, extent: Extent) -> bool {
        self.log.had(extent)
    }

    async fn read(&self, from: Seq, limit: Limit) -> Result<Vec<Record>, StoreError> {
        self.log.read(from, limit).await
    }

    async fn read_at(&self, seqs: &[Seq], bytes: usize) -> Result<Vec<Record>, StoreError> {
        self.log.read_at(seqs, bytes).await
    }

    async fn find(&self, id: &EventId) -> Result<Option<Seq>, StoreError> {
        self.log.find(id).await
    }

    async fn since(&self, time: EventTime) -> Result<Seq, StoreError> {
        self.log.since(time).await
    }

    async fn select(
        &self,
        filter: &HeadFilter,
        range: Range<Seq>,
        backwards: bool,
        limit: usize,
    ) -> Result<Vec<Seq>, StoreError> {
        self.log.select(filter, range, backwards, limit).await
    }

    async fn count(&self, filter: &HeadFilter) -> Result<u64, StoreError> {
        self.log.count(filter).await
    }
}

#[async_trait]
impl LogWriter for FrailWriter {
    fn extent(&self) -> Extent {
        self.log.extent()
    }

    async fn append(
        &mut self,
        records: Vec<NewRecord>,
        summary: Summary,
    ) -> Result<Extent, StoreError> {
        if self.broken.load(SeqCst) && !records.is_empty() {
            return Err(StoreError::Poisoned(Fault::other("disk full")));
        }
        self.log.append(records, summary).await
    }

    async fn set_metadata(&mut self, metadata: &Metadata) -> Result<(), StoreError> {
        self.log.set_metadata(metadata).await
    }
}

impl Frail {
    async fn until_checked(&self) {
        let mut holds = self.holds_check.subscribe();
        holds.wait_for(|holds| !*holds).await.unwrap();
    }
}

#[async_trait]
impl Catalog for Frail {
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
        let path = || "events.jsonl".to_owned();
        let shut = self.shut.lock().unwrap().get(&id).copied();
        match shut {
            Some(Shut::Failing) => {
                let source = std::io::Error::other("too many open files");
                return Err(StoreError::Io {
                    path: path(),
                    source,
                });
            }
            Some(Shut::Damaged) => {
                let reason = "rubbish".to_owned();
                return Err(StoreError::Damaged {
                    path: path(),
                    reason,
                });
            }
            Some(Shut::Late) => self.may_open.notified().await,
            None => {}
        }
        let log = self.store.open(id).await?;
        self.opened.fetch_add(1, SeqCst);
        self.open.fetch_add(1, SeqCst);
        Ok(Arc::new(FrailReader {
            log,
            open: Arc::clone(&self.open),
        }))
    }

    async fn list(&self, query: &ListQuery) -> Result<ListPage, StoreError> {
        self.until_checked().await;
        self.store.list(query).await
    }

    async fn count(&self, status: Option<ExecutionStatus>) -> Result<u64, StoreError> {
        self.until_checked().await;
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

    async fn infos(&self, ids: &[ConversationId]) -> Result<Vec<Option<Bytes>>, StoreError> {
        self.store.infos(ids).await
    }

    async fn delete(&self, id: ConversationId) -> Result<(), StoreError> {
        if self.holds_deletions.load(SeqCst) {
            self.deleting.notify_one();
            self.may_delete.notified().await;
        }
        if self.fails_deletions.load(SeqCst) {
            return Err(StoreError::Poisoned(Fault::other("read-only")));
        }
        self.store.delete(id).await
    }

    fn health(&self) -> Health {
        self.store.health()
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.store.close().await
    }
}

#[async_trait]
impl Claims for Frail {
    async fn claim(&self, id: ConversationId) -> Result<Claimed, StoreError> {
        if let Some(holder) = self.theirs.lock().unwrap().clone() {
            return Ok(Claimed::Theirs(holder));
        }
        let Claimed::Mine(claim) = self.store.claim(id).await? else {
            unreachable!("the folder is ours");
        };
        let log = FrailWriter {
            log: claim.log,
            broken: Arc::clone(&self.broken),
        };
        Ok(Claimed::Mine(Claim {
            log: Box::new(log),
            ..claim
        }))
    }

    async fn holder(&self, id: ConversationId) -> Result<Option<Holder>, StoreError> {
        let theirs = self.theirs.lock().unwrap().clone();
        match theirs {
            Some(holder) => Ok(Some(holder)),
            None => self.store.holder(id).await,
        }
    }

    async fn orphans(&self, limit: usize) -> Result<Vec<ConversationId>, StoreError> {
        self.until_checked().await;
        self.store.orphans(limit).await
    }
}

#[async_trait]
impl Feed for Frail {
    fn feed_id(&self) -> Uuid {
        self.store.feed_id()
    }

    async fn feed_len(&self) -> Result<u64, StoreError> {
        self.store.feed_len().await
    }

    async fn feed_entries(&self, from: u64, limit: usize) -> Result<Vec<FeedEntry>, StoreError> {
        self.store.feed_entries(from, limit).await
    }

    async fn feed_grown(&self, len: u64) -> Result<u64, StoreError> {
        self.store.feed_grown(len).await
    }
}

#[async_trait]
impl Receipts for Frail {
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
impl SpendingRecords for Frail {
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
impl DeliveryRecords for Frail {
    async fn followers(&self) -> Result<Vec<String>, StoreError> {
        self.store.followers().await
    }

    async fn load(&self, follower: &str) -> Result<Option<FollowerRecords>, StoreError> {
        self.store.load(follower).await
    }

    async fn change(&self, follower: &str, changes: Vec<FollowerChange>) -> Result<(), StoreError> {
        self.store.change(follower, changes).await
    }

    async fn flush(&self, follower: &str) -> Result<(), StoreError> {
        self.store.flush(follower).await
    }

    async fn forget_follower(&self, follower: &str) -> Result<(), StoreError> {
        self.store.forget_follower(follower).await
    }

    async fn deleted(&self) -> Result<Vec<DeletedConversation>, StoreError> {
        self.store.deleted().await
    }

    async fn open_deleted(
        &self,
        conversation: ConversationKey,
    ) -> Result<(Metadata, Arc<dyn LogReader>), StoreError> {
        self.store.open_deleted(conversation).await
    }

    async fn discard(&self, conversation: ConversationKey) -> Result<(), StoreError> {
        self.store.discard(conversation).await
    }
}

pub(crate) fn frail(folder: &Path) -> Arc<Frail> {
    Arc::new(Frail {
        store: FsStore::open(&folder.join("conversations"), Default::default()).unwrap(),
        broken: Arc::default(),
        holds_deletions: false.into(),
        fails_deletions: false.into(),
        deleting: Notify::new(),
        may_delete: Notify::new(),
        holds_check: watch::Sender::new(false),
        theirs: Mutex::default(),
        shut: Mutex::default(),
        may_open: Notify::new(),
        opened: AtomicUsize::default(),
        open: Arc::default(),
    })
}

/// Copies a folder that is in use, as a kill would leave it.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(std::fs::copy(entry.path(), to).unwrap()),
        }
    }
}

/// Takes the list away, as if an earlier build had made the store.
pub(crate) fn forget_list(folder: &Path) {
    for name in [".feed", ".catalog", ".closed"] {
        std::fs::remove_file(folder.join("conversations").join(name)).ok();
    }
}
