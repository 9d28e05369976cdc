use std::{borrow::Cow, ops::Range};

use async_trait::async_trait;
use bytes::Bytes;

use super::StoreError;
use crate::{Event, EventId, EventTime, Seq, event::Source};

/// What an index knows of an event without parsing it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub id: EventId,
    pub kind: Cow<'static, str>,
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

/// How much one read may bring in. At least one record comes, however large it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    pub records: usize,
    pub bytes: usize,
}

impl Limit {
    /// What a read brings in when only the number of records matters.
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

/// Which events are meant, by their heads alone. Empty: all.
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

/// The ordered events of one conversation. One writer appends; any number of readers read.
///
/// A damaged line keeps its seq and counts in [`Self::len`], but no read, search or count of events
/// brings it up.
#[async_trait]
pub trait EventLog: Send + Sync {
    /// Makes `records` durable at the end, then visible, and returns the length that this made. With
    /// `expected`, only if that is how long the log is, appends under way included.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the log is not `expected` long, [`StoreError::Poisoned`] after
    /// a write that failed, until the store is found to take writes again.
    ///
    /// # Cancel safety
    /// A dropped call may still append.
    async fn append(
        &self,
        records: Vec<NewRecord>,
        expected: Option<Seq>,
    ) -> Result<Seq, StoreError>;

    /// How many lines are visible.
    fn len(&self) -> Seq;

    fn is_empty(&self) -> bool {
        self.len() == Seq(0)
    }

    /// The visible lines' size in bytes.
    fn size(&self) -> u64;

    /// Records from `from` on, in log order; none means nothing more up to [`Self::len`].
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn read(&self, from: Seq, limit: Limit) -> Result<Vec<Record>, StoreError>;

    /// The records at these seqs, in the order asked for; those that are no event are left out. Ends
    /// early, after at least one, once it holds `bytes`.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn read_at(&self, seqs: &[Seq], bytes: usize) -> Result<Vec<Record>, StoreError>;

    /// Where the first event with this id stands.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn find(&self, id: &EventId) -> Result<Option<Seq>, StoreError>;

    /// Where the first event at or after this time stands; the length when there is none.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn since(&self, time: EventTime) -> Result<Seq, StoreError>;

    /// Where the first `limit` events of `range` stand that the filter admits: from its start on, or
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
