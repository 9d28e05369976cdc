use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use core_model::{
    Catalog, ConversationId, ConversationKey, Draft, EventId, ExecutionStatus, Feed, LogReader,
    Metadata, Row, StoreError, UtcTime, Workspace, WorkspaceKind,
    port::{
        Change, Cursor, DeadLetter, DeletedConversation, DeliveryRecords, FeedEntry, FeedPosition,
        FollowerRecords, Health, ListPage, ListQuery,
    },
};
use serde_json::json;
use tokio::sync::watch;
use uuid::Uuid;

use super::{follower_table::FollowerTable, log::Log};

/// Conversations, their feed, and what webhooks recorded. A crash leaves all of it.
pub(crate) struct Memory {
    state: Mutex<State>,
    grown: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    feed_id: Uuid,
    conversations: BTreeMap<ConversationId, Conversation>,
    deleted: HashMap<ConversationKey, (Metadata, Arc<Log>)>,
    feed: Vec<FeedEntry>,
    followers: FollowerTable,
    refusing: bool,
    damaged: HashSet<ConversationId>,
    jammed: bool,
}

struct Conversation {
    metadata: Metadata,
    status: ExecutionStatus,
    log: Arc<Log>,
}

impl Memory {
    pub(crate) fn new() -> Arc<Self> {
        let state = State {
            feed_id: Uuid::new_v4(),
            ..State::default()
        };
        Arc::new(Self {
            state: Mutex::new(state),
            grown: watch::Sender::new(0),
        })
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
        let of = metadata.key();
        let mut state = self.state.lock().unwrap();
        if state.conversations.contains_key(&of.id) {
            return None;
        }
        let conversation = Conversation {
            metadata,
            status: ExecutionStatus::Idle,
            log: Arc::default(),
        };
        state.conversations.insert(of.id, conversation);
        self.tell(&mut state, of, Change::Created);
        Some(of)
    }

    /// Appends so many events, of which the last tells the status if it is a new one.
    pub(crate) fn grow(&self, nth: u16, events: usize, status: ExecutionStatus) {
        let mut state = self.state.lock().unwrap();
        let Some(conversation) = state.conversations.get_mut(&Self::id(nth)) else {
            return;
        };
        let mut drafts: Vec<Draft> = (0..events)
            .map(|nth| Draft::state("note", json!({ "nth": nth })))
            .collect();
        if conversation.status != status {
            drafts.push(Draft::state("execution_status", json!(status)));
            conversation.status = status;
        }
        if drafts.is_empty() {
            return;
        }
        let of = conversation.metadata.key();
        let (from, to) = conversation.log.push(drafts);
        self.tell(&mut state, of, Change::Appended { from, to });
    }

    /// Deletes a conversation: its log waits among the deleted.
    pub(crate) fn remove(&self, nth: u16) {
        let mut state = self.state.lock().unwrap();
        let Some(conversation) = state.conversations.remove(&Self::id(nth)) else {
            return;
        };
        let Conversation { metadata, log, .. } = conversation;
        let of = metadata.key();
        let copy = log.take();
        state.deleted.insert(of, (metadata, Arc::new(copy)));
        self.tell(&mut state, of, Change::Deleted);
    }

    /// Appends and deletes, and a crash keeps the feed from telling of either.
    pub(crate) fn vanish(&self, nth: u16, events: usize) {
        let mut state = self.state.lock().unwrap();
        let conversation = state.conversations.remove(&Self::id(nth)).unwrap();
        let Conversation { metadata, log, .. } = conversation;
        let drafts = (0..events).map(|nth| Draft::state("note", json!({ "nth": nth })));
        log.push(drafts.collect());
        let of = metadata.key();
        state.deleted.insert(of, (metadata, Arc::new(log.take())));
    }

    fn row_of(&self, id: ConversationId) -> Option<Row> {
        let state = self.state.lock().unwrap();
        let conversation = state.conversations.get(&id)?;
        Some(Row {
            id,
            created_at: conversation.metadata.created_at,
            updated_at: UtcTime::now(),
            status: conversation.status,
            extent: conversation.log.visible(),
            bytes: conversation.log.size(),
        })
    }

    /// The ids of a conversation's events, wherever it is.
    pub(crate) fn events(&self, of: &ConversationKey) -> Option<Vec<EventId>> {
        let state = self.state.lock().unwrap();
        let alive = state.conversations.get(&of.id);
        let alive = alive.filter(|there| there.metadata.created_at == of.created_at);
        let log = match alive {
            Some(conversation) => &conversation.log,
            None => &state.deleted.get(of)?.1,
        };
        Some(log.ids())
    }

    pub(crate) fn records_of(&self, follower: &str) -> Option<FollowerRecords> {
        self.state.lock().unwrap().followers.load(follower)
    }

    pub(crate) fn deleted_now(&self) -> usize {
        self.state.lock().unwrap().deleted.len()
    }

    /// A power cut takes what was not flushed.
    pub(crate) fn cut_power(&self) {
        self.state.lock().unwrap().followers.lose_power();
    }

    /// A power cut takes the end of a log that the feed has told of.
    pub(crate) fn cut_log(&self, nth: u16, len: usize) {
        let state = self.state.lock().unwrap();
        if let Some(conversation) = state.conversations.get(&Self::id(nth)) {
            conversation.log.cut(len);
        }
    }

    /// Whether deleted conversations cannot be opened from now on.
    pub(crate) fn jam(&self, jammed: bool) {
        self.state.lock().unwrap().jammed = jammed;
    }

    /// The feed is lost; a new one knows nothing of what was before.
    pub(crate) fn lose_feed(&self) {
        let mut state = self.state.lock().unwrap();
        state.feed_id = Uuid::new_v4();
        state.feed.clear();
        self.grown.send_replace(0);
    }

    /// Whether a conversation cannot be opened from now on.
    pub(crate) fn damage(&self, nth: u16, damaged: bool) {
        let mut state = self.state.lock().unwrap();
        if damaged {
            state.damaged.insert(Self::id(nth));
        } else {
            state.damaged.remove(&Self::id(nth));
        }
    }

    /// Whether records are refused from now on.
    pub(crate) fn refuse(&self, refusing: bool) {
        self.state.lock().unwrap().refusing = refusing;
    }

    fn record(
        &self,
        follower: &str,
        change: impl FnOnce(&mut FollowerRecords),
    ) -> Result<(), StoreError> {
        let mut state = self.state.lock().unwrap();
        if state.refusing {
            return Err(StoreError::Io {
                path: "cursors".to_owned(),
                source: std::io::ErrorKind::StorageFull.into(),
            });
        }
        change(state.followers.change(follower));
        Ok(())
    }

    fn tell(&self, state: &mut State, of: ConversationKey, change: Change) {
        state.feed.push(FeedEntry {
            position: state.feed.len() as u64,
            conversation: of.id,
            created_at: of.created_at,
            change,
        });
        self.grown.send_replace(state.feed.len() as u64);
    }
}

#[async_trait]
impl Catalog for Memory {
    async fn create(&self, _: &Metadata) -> Result<(), StoreError> {
        unreachable!("webhooks make nothing")
    }

    async fn list(&self, query: &ListQuery) -> Result<ListPage, StoreError> {
        let state = self.state.lock().unwrap();
        let mut ids = state.conversations.keys().copied().skip_while(|id| {
            let known = query
                .first
                .filter(|first| state.conversations.contains_key(first));
            known.is_some_and(|first| *id < first)
        });
        let page: Vec<ConversationId> = ids.by_ref().take(query.limit.min(2)).collect();
        let next = ids.next();
        drop(ids);
        drop(state);
        let rows = page.into_iter().filter_map(|id| self.row_of(id));
        Ok(ListPage {
            rows: rows.collect(),
            next,
        })
    }

    async fn count(&self, _: Option<ExecutionStatus>) -> Result<u64, StoreError> {
        Ok(self.state.lock().unwrap().conversations.len() as u64)
    }

    async fn row(&self, id: ConversationId) -> Result<Option<Row>, StoreError> {
        Ok(self.row_of(id))
    }

    async fn metadata(&self, id: ConversationId) -> Result<Metadata, StoreError> {
        let state = self.state.lock().unwrap();
        let found = state.conversations.get(&id);
        let found = found.map(|conversation| conversation.metadata.clone());
        found.ok_or(StoreError::NotFound(id))
    }

    async fn metadata_of(&self, _: &[ConversationId]) -> Result<Vec<Option<Metadata>>, StoreError> {
        unreachable!("webhooks read one at a time")
    }

    async fn open(&self, id: ConversationId) -> Result<Arc<dyn LogReader>, StoreError> {
        let state = self.state.lock().unwrap();
        if state.damaged.contains(&id) {
            return Err(StoreError::Damaged {
                path: "metadata.json".to_owned(),
                reason: "the file is missing".to_owned(),
            });
        }
        let found = state.conversations.get(&id);
        let found = found.map(|found| Arc::clone(&found.log) as Arc<dyn LogReader>);
        found.ok_or(StoreError::NotFound(id))
    }

    async fn delete(&self, _: ConversationId) -> Result<(), StoreError> {
        unreachable!("webhooks delete nothing")
    }

    fn health(&self) -> Health {
        Health {
            ready: Ok(()),
            notices: Vec::new(),
        }
    }
}

#[async_trait]
impl Feed for Memory {
    fn feed_id(&self) -> Uuid {
        self.state.lock().unwrap().feed_id
    }

    async fn feed_len(&self) -> Result<u64, StoreError> {
        Ok(self.state.lock().unwrap().feed.len() as u64)
    }

    async fn feed_entries(&self, from: u64, limit: usize) -> Result<Vec<FeedEntry>, StoreError> {
        let state = self.state.lock().unwrap();
        let entries = state.feed.iter().skip(from as usize).take(limit.min(3));
        Ok(entries.copied().collect())
    }

    async fn feed_grown(&self, len: u64) -> Result<u64, StoreError> {
        let mut grown = self.grown.subscribe();
        let found = grown.wait_for(|now| *now > len).await.map(|now| *now);
        Ok(found.unwrap_or(len))
    }
}

#[async_trait]
impl DeliveryRecords for Memory {
    async fn followers(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.state.lock().unwrap().followers.names())
    }

    async fn load(&self, follower: &str) -> Result<Option<FollowerRecords>, StoreError> {
        Ok(self.records_of(follower))
    }

    async fn put_follower(
        &self,
        follower: &str,
        name: &str,
        since: Option<UtcTime>,
        position: Option<FeedPosition>,
    ) -> Result<(), StoreError> {
        self.record(follower, |records| {
            records.introduce(name, since);
            records.position = position.or(records.position);
        })
    }

    async fn mark_removed(&self, follower: &str, at: UtcTime) -> Result<(), StoreError> {
        self.record(follower, |records| records.removed = Some(at))
    }

    async fn put_position(&self, follower: &str, position: FeedPosition) -> Result<(), StoreError> {
        self.record(follower, |records| records.position = Some(position))
    }

    async fn put_cursors(
        &self,
        follower: &str,
        cursors: Vec<(ConversationKey, Cursor)>,
    ) -> Result<(), StoreError> {
        self.record(follower, |records| records.cursors.extend(cursors))
    }

    async fn rewind_all(&self, follower: &str, at: UtcTime) -> Result<(), StoreError> {
        self.record(follower, |records| records.rewind_all(at))
    }

    async fn push_dead_letter(&self, follower: &str, letter: DeadLetter) -> Result<(), StoreError> {
        self.record(follower, |records| {
            records.push_dead_letter(letter);
        })
    }

    async fn remove_dead_letter(&self, follower: &str, id: &str) -> Result<(), StoreError> {
        self.record(follower, |records| records.remove_dead_letter(id))
    }

    async fn flush(&self, follower: &str) -> Result<(), StoreError> {
        self.state.lock().unwrap().followers.flush(follower);
        Ok(())
    }

    async fn forget(&self, follower: &str) -> Result<(), StoreError> {
        self.state.lock().unwrap().followers.forget(follower);
        Ok(())
    }

    async fn deleted(&self) -> Result<Vec<DeletedConversation>, StoreError> {
        let state = self.state.lock().unwrap();
        let deleted = state
            .deleted
            .keys()
            .map(|conversation| DeletedConversation {
                conversation: *conversation,
                deleted_at: UtcTime::now(),
            });
        Ok(deleted.collect())
    }

    async fn open_deleted(
        &self,
        of: ConversationKey,
    ) -> Result<(Metadata, Arc<dyn LogReader>), StoreError> {
        let state = self.state.lock().unwrap();
        if state.jammed {
            return Err(StoreError::Io {
                path: "events.jsonl".to_owned(),
                source: std::io::Error::from_raw_os_error(24),
            });
        }
        let found = state.deleted.get(&of);
        let (metadata, log) = found.ok_or(StoreError::NotFound(of.id))?;
        Ok((metadata.clone(), Arc::clone(log) as Arc<dyn LogReader>))
    }

    async fn discard(&self, of: ConversationKey) -> Result<(), StoreError> {
        self.state.lock().unwrap().deleted.remove(&of);
        Ok(())
    }
}
