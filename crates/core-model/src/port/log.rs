use std::{borrow::Cow, ops::Range};

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::{Event, EventId, EventTime, ExecutionStatus, Metadata, Seq, UtcTime, event::Source};

/// What an index knows of an event without parsing it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub id: EventId,
    pub kind: Cow<'static, str>,
    pub source: Source,
    pub timestamp: EventTime,
}

/// One event of a log: its position, its head, and its JSON without the line break.
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
    /// When the bytes are not an event; the log checked them when it was opened, so this means damage.
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
            kind: event.body.kind().to_owned().into(),
            source: event.source,
            timestamp: event.timestamp,
        };
        Ok(Self {
            head,
            bytes: event.to_vec()?.into(),
        })
    }
}

/// How much one read may return. At least one record comes, however large it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    pub records: usize,
    pub bytes: usize,
}

impl Limit {
    /// The bytes of a read for which only the number of records matters.
    pub const BYTES: usize = 4 << 20;

    /// Up to so many records of usual size.
    #[must_use]
    pub fn records(records: usize) -> Self {
        Self {
            records,
            bytes: Self::BYTES,
        }
    }
}

/// Selects events by their heads alone. Empty: all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeadFilter {
    /// One of these kinds; empty: any.
    pub kinds: Vec<String>,
    pub source: Option<Source>,
    pub from: Option<EventTime>,
    /// Exclusive.
    pub until: Option<EventTime>,
}

impl HeadFilter {
    #[must_use]
    pub fn admits(&self, head: &Head) -> bool {
        (self.kinds.is_empty() || self.kinds.iter().any(|kind| head.kind == *kind))
            && self.source.is_none_or(|source| head.source == source)
            && self.from.is_none_or(|from| head.timestamp >= from)
            && self.until.is_none_or(|until| head.timestamp < until)
    }
}

/// How far a log is visible, and in which state it is. Two equal extents of one conversation have the
/// same events. Data that are stored about a log (a fold, a summary) have the extent for which they are right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Extent {
    /// How many lines are visible.
    #[serde(rename = "as_of")]
    pub len: Seq,
    /// Distinguishes two states of one length; only the store knows its meaning.
    #[serde(rename = "bytes")]
    pub version: u64,
}

/// What lists show of a conversation and only its events determine. Each append has one, so that the same
/// commit updates the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    pub status: ExecutionStatus,
    pub updated_at: UtcTime,
}

/// Reads the ordered events of one conversation. Any number of readers read while one
/// [`LogWriter`] appends, in this process or in another.
///
/// A damaged line keeps its seq and counts in [`Extent::len`], but no read, search or count of events
/// returns it.
#[async_trait]
pub trait LogReader: Send + Sync {
    /// What this reader knows to be visible: never less than what it returned before, and everything that was
    /// appended through this store.
    fn visible(&self) -> Extent;

    /// Waits until the log is longer than `after` lines, and returns how far it is visible then. Also notices
    /// what another process appends.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] once the conversation is deleted; a read error.
    ///
    /// # Cancel safety
    /// A dropped call loses nothing.
    async fn grown(&self, after: Seq) -> Result<Extent, StoreError>;

    /// Whether data that were stored for `extent` are right for the first `extent.len` lines of this log.
    /// False for an extent that this log never had, as far as the store can tell.
    fn had(&self, extent: Extent) -> bool {
        let visible = self.visible();
        extent.len < visible.len || extent == visible
    }

    /// Records from `from` on, in log order; none means that there are no more up to [`Self::visible`].
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn read(&self, from: Seq, limit: Limit) -> Result<Vec<Record>, StoreError>;

    /// The records at these seqs, in the order of `seqs`; lines that are not events are left out. Ends
    /// early, after at least one record, once they have `bytes`.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn read_at(&self, seqs: &[Seq], bytes: usize) -> Result<Vec<Record>, StoreError>;

    /// The seq of the first event with this id.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn find(&self, id: &EventId) -> Result<Option<Seq>, StoreError>;

    /// The seq of the first event at or after this time; the length when there is none.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn since(&self, time: EventTime) -> Result<Seq, StoreError>;

    /// The seqs of the first `limit` events of `range` that the filter admits: from its start on, or
    /// from its end back.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn select(
        &self,
        filter: &HeadFilter,
        range: Range<Seq>,
        backwards: bool,
        limit: usize,
    ) -> Result<Vec<Seq>, StoreError>;

    /// How many visible events the filter admits.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn count(&self, filter: &HeadFilter) -> Result<u64, StoreError>;
}

/// Writes one conversation under a [`Claim`](super::Claim): its log, its summary and its metadata. Of all
/// writers of a conversation, at most one is not fenced.
#[async_trait]
pub trait LogWriter: Send + Sync {
    /// How far the log is visible: as the claim found it, with what this writer appended since.
    fn extent(&self) -> Extent;

    /// Makes `records` durable at the end, then visible, all or none; moves the conversation's row to
    /// `summary` and adds an entry to the feed. Returns the extent that this made. No records: only the
    /// row moves, and that need not be durable.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] forever, once the claim is lost. [`StoreError::Poisoned`] after a write
    /// that failed, until the store takes writes again; [`StoreError::Unavailable`] when the store
    /// cannot be reached. After these two nothing was appended, and the writer can be used again.
    ///
    /// # Cancel safety
    /// A dropped call may still append, so that the writer no longer knows its extent: it gives up its
    /// claim, and every later write is [`StoreError::Fenced`].
    async fn append(
        &mut self,
        records: Vec<NewRecord>,
        summary: Summary,
    ) -> Result<Extent, StoreError>;

    /// Replaces the conversation's metadata as a whole; durable when this returns.
    ///
    /// # Errors
    /// [`StoreError::Fenced`], [`StoreError::NotFound`] or a write error; then the old metadata stays.
    ///
    /// # Cancel safety
    /// A dropped call may still replace it.
    async fn set_metadata(&mut self, metadata: &Metadata) -> Result<(), StoreError>;
}
