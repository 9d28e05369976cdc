use async_trait::async_trait;
use bytes::Bytes;
use thiserror::Error;

use crate::{ConversationId, Event, EventId, EventTime, Metadata, Seq, event::Source};

/// What an index knows of an event without parsing it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub id: EventId,
    pub kind: String,
    pub source: Source,
    pub timestamp: EventTime,
}

/// One event of a log: where it stands, its head, and its JSON without the line break.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub seq: Seq,
    pub head: Head,
    pub bytes: Bytes,
}

impl Record {
    /// The parsed event.
    ///
    /// # Errors
    /// When the bytes are no event; the log checked them when it was opened, so this means damage.
    pub fn event(&self) -> Result<Event, serde_json::Error> {
        Event::from_slice(&self.bytes)
    }
}

/// An event encoded once, ready for a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecord {
    pub head: Head,
    pub bytes: Bytes,
}

impl NewRecord {
    /// # Errors
    /// When the event cannot be written as JSON.
    pub fn encode(event: &Event) -> Result<Self, serde_json::Error> {
        let head = Head {
            id: event.id.clone(),
            kind: event.body.kind().to_owned(),
            source: event.source,
            timestamp: event.timestamp,
        };
        Ok(Self {
            head,
            bytes: event.to_vec()?.into(),
        })
    }
}

/// What can go wrong with a store, in any implementation.
#[derive(Debug, Error)]
pub enum StoreError {
    #[error("no such conversation: {0}")]
    NotFound(ConversationId),
    #[error("conversation {0} already exists")]
    Exists(ConversationId),
    #[error("another writer appended first: expected {expected} events, found {found}")]
    Conflict { expected: Seq, found: Seq },
    #[error("the log takes no more events since an earlier write failed: {0}")]
    Poisoned(String),
    #[error("{path}: {source}")]
    Io {
        path: String,
        source: std::io::Error,
    },
    #[error("{path}: damaged: {reason}")]
    Damaged { path: String, reason: String },
}

/// The ordered events of one conversation. One writer appends; any number of readers read.
#[async_trait]
pub trait EventLog: Send + Sync {
    /// Makes `records` durable at positions `expected..`, then visible, and returns the new
    /// length.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the log is not `expected` long, [`StoreError::Poisoned`] after
    /// a write that failed.
    ///
    /// # Cancel safety
    /// A dropped call may still append.
    async fn append(&self, records: Vec<NewRecord>, expected: Seq) -> Result<Seq, StoreError>;

    /// How many events are visible.
    fn len(&self) -> Seq;

    fn is_empty(&self) -> bool {
        self.len() == Seq(0)
    }

    /// The visible events' size in bytes.
    fn size(&self) -> u64;

    /// Up to `limit` records from `from` on, in log order; none means nothing more up to
    /// [`Self::len`].
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn read(&self, from: Seq, limit: usize) -> Result<Vec<Record>, StoreError>;

    /// The heads of up to `limit` visible events from `from` on, in log order. Damaged lines are left
    /// out here and in [`Self::read`], so positions can have gaps.
    fn heads(&self, from: Seq, limit: usize) -> Vec<(Seq, Head)>;

    /// Where the event with this id stands.
    fn find(&self, id: &EventId) -> Option<Seq>;
}

/// The conversations of a store.
#[async_trait]
pub trait Catalog: Send + Sync {
    /// Makes a conversation with an empty log; durable when this returns.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the id is taken.
    async fn create(&self, metadata: &Metadata) -> Result<(), StoreError>;

    /// Every conversation with its metadata and its log's size in bytes. One whose metadata cannot be
    /// read is reported by the store and left out.
    ///
    /// # Errors
    /// When the store cannot be read at all.
    async fn list(&self) -> Result<Vec<(Metadata, u64)>, StoreError>;

    /// # Errors
    /// [`StoreError::NotFound`] or a read error.
    async fn metadata(&self, id: ConversationId) -> Result<Metadata, StoreError>;

    /// Replaces a conversation's metadata as a whole; durable when this returns.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] or a write error.
    async fn set_metadata(&self, metadata: &Metadata) -> Result<(), StoreError>;

    /// Opens a log, mending what a crash left at its end.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or [`StoreError::Damaged`] when the metadata cannot be read.
    async fn open(&self, id: ConversationId) -> Result<std::sync::Arc<dyn EventLog>, StoreError>;

    /// Removes a conversation and all it stored, but not its agent's workspace.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] or a write error.
    async fn delete(&self, id: ConversationId) -> Result<(), StoreError>;

    /// The folder where a conversation's tools may keep files of their own.
    fn folder(&self, id: ConversationId) -> std::path::PathBuf;

    /// Whether new events can be made durable now, or why not.
    ///
    /// # Errors
    /// The reason in words a person can act on.
    fn ready(&self) -> Result<(), String>;
}
