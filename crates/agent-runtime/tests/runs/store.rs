//! A store that fails, lags, or was left by a killed server.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use agent_runtime::{ConversationQuery, NewConversation, Runtime, RuntimeError};
use async_trait::async_trait;
use bytes::Bytes;
use core_model::{
    Catalog, Content, ConversationId, ConversationInfo, EventId, EventLog, EventTime,
    ExecutionStatus, Feed, HeadFilter, Limit, Metadata, NewRecord, Record, Row, Seq, StoreError,
    port::{Digest, FeedEntry, ListPage, ListQuery, Notice, Receipt, Receipts},
};
use store_fs::FsStore;
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use uuid::Uuid;

use crate::harness::*;

/// A store whose appends can be made to fail and whose deletions can be held up.
struct Frail {
    store: FsStore,
    broken: Arc<AtomicBool>,
    holds_deletions: AtomicBool,
    deleting: Notify,
    may_delete: Notify,
}

struct FrailLog {
    log: Arc<dyn EventLog>,
    broken: Arc<AtomicBool>,
}

#[async_trait]
impl EventLog for FrailLog {
    async fn append(
        &self,
        records: Vec<NewRecord>,
        expected: Option<Seq>,
    ) -> Result<Seq, StoreError> {
        if self.broken.load(SeqCst) {
            return Err(StoreError::Poisoned("disk full".to_owned()));
        }
        self.log.append(records, expected).await
    }

    fn len(&self) -> Seq {
        self.log.len()
    }

    fn size(&self) -> u64 {
        self.log.size()
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
impl Catalog for Frail {
    async fn create(&self, metadata: &Metadata) -> Result<(), StoreError> {
        self.store.create(metadata).await
    }

    fn list(&self, query: &ListQuery) -> ListPage {
        self.store.list(query)
    }

    fn count(&self, status: Option<ExecutionStatus>) -> u64 {
        self.store.count(status)
    }

    fn row(&self, id: ConversationId) -> Option<Row> {
        self.store.row(id)
    }

    fn note(&self, row: Row) {
        self.store.note(row);
    }

    fn closed_in_order(&self) -> bool {
        self.store.closed_in_order()
    }

    async fn check(&self) -> Result<Vec<ConversationId>, StoreError> {
        self.store.check().await
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

    async fn set_metadata(&self, metadata: &Metadata) -> Result<(), StoreError> {
        self.store.set_metadata(metadata).await
    }

    async fn open(&self, id: ConversationId) -> Result<Arc<dyn EventLog>, StoreError> {
        Ok(Arc::new(FrailLog {
            log: self.store.open(id).await?,
            broken: Arc::clone(&self.broken),
        }))
    }

    async fn delete(&self, id: ConversationId) -> Result<(), StoreError> {
        if self.holds_deletions.load(SeqCst) {
            self.deleting.notify_one();
            self.may_delete.notified().await;
        }
        self.store.delete(id).await
    }

    fn folder(&self, id: ConversationId) -> PathBuf {
        self.store.folder(id)
    }

    fn ready(&self) -> Result<(), String> {
        self.store.ready()
    }

    fn notices(&self) -> Vec<Notice> {
        self.store.notices()
    }
}

#[async_trait]
impl Feed for Frail {
    fn feed_id(&self) -> Uuid {
        self.store.feed_id()
    }

    async fn feed_len(&self) -> u64 {
        self.store.feed_len().await
    }

    async fn feed_entries(&self, from: u64, limit: usize) -> Result<Vec<FeedEntry>, StoreError> {
        self.store.feed_entries(from, limit).await
    }

    async fn feed_grown(&self, len: u64) -> u64 {
        self.store.feed_grown(len).await
    }
}

#[async_trait]
impl Receipts for Frail {
    async fn begin(&self, key: Digest, request: Digest) -> Result<Option<Receipt>, StoreError> {
        self.store.begin(key, request).await
    }

    async fn finish(&self, key: Digest, answer: Bytes) -> Result<(), StoreError> {
        self.store.finish(key, answer).await
    }
}

fn frail(folder: &Path) -> Arc<Frail> {
    Arc::new(Frail {
        store: FsStore::open(&folder.join("conversations"), Default::default()).unwrap(),
        broken: Arc::default(),
        holds_deletions: false.into(),
        deleting: Notify::new(),
        may_delete: Notify::new(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_fails_in_mid_run_ends_it_and_the_log_is_mended_when_next_opened() {
    let folder = tempfile::tempdir().unwrap();
    let puppet = Puppet::new(vec![Line::Gate, Line::Say("lost"), Line::Say("done")]);
    let store = frail(folder.path());
    let mut config = config(&folder, &puppet);
    config.idle_ttl = Duration::from_millis(100);
    let runtime = start_with(config, store.clone()).await;
    let new = NewConversation {
        initial_message: Some(vec![Content::text("go")]),
        ..Default::default()
    };
    let id = runtime.create(new).await.unwrap().info.id;
    let conversation = runtime.open(id).await.unwrap();
    puppet.reached.notified().await;

    store.broken.store(true, SeqCst);
    puppet.open.notify_one();
    until(&conversation, ExecutionStatus::Error).await;
    assert!(conversation.run().await.is_err());

    store.broken.store(false, SeqCst);
    drop(conversation);
    timeout(PATIENCE, async {
        loop {
            // Long enough for it to leave memory.
            sleep(Duration::from_millis(500)).await;
            if runtime.info(id).await.unwrap().execution_status == ExecutionStatus::Paused {
                break;
            }
        }
    })
    .await
    .unwrap();
    let conversation = runtime.open(id).await.unwrap();
    conversation.run().await.unwrap();
    until(&conversation, ExecutionStatus::Finished).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_that_cannot_be_written_is_not_called_done() {
    let folder = tempfile::tempdir().unwrap();
    let puppet = Puppet::new(vec![Line::Gate]);
    let store = frail(folder.path());
    let runtime = start_with(config(&folder, &puppet), store.clone()).await;
    let new = NewConversation {
        initial_message: Some(vec![Content::text("go")]),
        ..Default::default()
    };
    let id = runtime.create(new).await.unwrap().info.id;
    let conversation = runtime.open(id).await.unwrap();
    puppet.reached.notified().await;
    store.broken.store(true, SeqCst);
    assert!(conversation.interrupt().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_opened_while_it_is_deleted_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let puppet = Puppet::new(vec![]);
    let store = frail(folder.path());
    let runtime = start_with(config(&folder, &puppet), store.clone()).await;
    let id = runtime
        .create(NewConversation::default())
        .await
        .unwrap()
        .info
        .id;
    store.holds_deletions.store(true, SeqCst);
    let deletion = tokio::spawn({
        let runtime = runtime.clone();
        async move { runtime.delete(id).await }
    });
    store.deleting.notified().await;
    runtime.open(id).await.ok();
    store.may_delete.notify_one();
    deletion.await.unwrap().unwrap();
    assert!(matches!(
        runtime.open(id).await.map(|found| found.id()),
        Err(RuntimeError::NotFound(_))
    ));
    assert_eq!(runtime.count(None).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_server_left_at_rest_is_listed() {
    let world = World::new(vec![]).await;
    let conversation = world.conversation(NewConversation::default()).await;
    conversation
        .send_message(vec![Content::text("later")], false)
        .await
        .unwrap();
    let left = tempfile::tempdir().unwrap();
    copy(
        &world.folder.path().join("conversations"),
        &left.path().join("conversations"),
    );
    let runtime = start(&left, &world.puppet, 1).await;
    let infos = search(&runtime, &ConversationQuery::default()).await;
    let ids: Vec<_> = infos.iter().map(|info| info.id).collect();
    assert_eq!(ids, [conversation.id()]);
    assert!(infos[0].last_user_message_id.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_damaged_conversation_does_not_hide_the_others() {
    let world = World::new(vec![]).await;
    let bad = world.conversation(NewConversation::default()).await.id();
    let good = world.conversation(NewConversation::default()).await.id();
    let world = world.restart().await;
    let metadata = world
        .folder
        .path()
        .join(format!("conversations/{bad}/metadata.json"));
    std::fs::write(metadata, "{").unwrap();
    // With the skills, for which the metadata is read.
    let query = ConversationQuery {
        include_skills: true,
        ..ConversationQuery::default()
    };
    let infos = search(&world.runtime, &query).await;
    let ids: Vec<_> = infos.iter().map(|info| info.id).collect();
    assert_eq!(ids, [good]);
}

async fn search(runtime: &Runtime, query: &ConversationQuery) -> Vec<ConversationInfo> {
    let page = runtime.search(query).await.unwrap();
    page.items
        .into_iter()
        .map(|item| item.info().unwrap())
        .collect()
}

fn copy(from: &Path, to: &Path) {
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
