use std::{
    hash::{BuildHasher, RandomState},
    ops::Range,
    sync::{Mutex, PoisonError, RwLock, RwLockReadGuard},
};

use async_trait::async_trait;
use core_model::{
    ConversationId, EventId, EventTime, Extent, HeadFilter, Limit, LogReader, NewRecord, Record,
    Seq, StoreError,
};
use hashbrown::HashTable;
use tokio::sync::watch;

use crate::lock::lock;

/// The log of one conversation, also after that was deleted.
///
/// [`Extent::version`] is its size in bytes, one a line for the line break included.
pub(crate) struct Log {
    id: ConversationId,
    lines: RwLock<Vec<Line>>,
    /// Wakes those who wait for more; set after `lines`, which tells how far the log is visible.
    grown: watch::Sender<Grown>,
    /// Made at the first search for an id, and brought up to date by each.
    ids: Mutex<Ids>,
}

struct Line {
    record: NewRecord,
    /// The log's size up to here.
    end: u64,
}

#[derive(Clone, Copy, Default)]
struct Grown {
    extent: Extent,
    deleted: bool,
}

/// The first seq of each id of the log's first `len` lines.
#[derive(Default)]
struct Ids {
    seqs: HashTable<u64>,
    hasher: RandomState,
    len: usize,
}

impl Log {
    pub(crate) fn new(id: ConversationId) -> Self {
        Self {
            id,
            lines: RwLock::default(),
            grown: watch::Sender::default(),
            ids: Mutex::default(),
        }
    }

    /// Makes records visible at the end, all at once: the extent with them. Callers hold the store's lock.
    pub(crate) fn append(&self, records: Vec<NewRecord>) -> Extent {
        let mut lines = self.lines.write().unwrap_or_else(PoisonError::into_inner);
        let mut end = extent(&lines).version;
        lines.extend(records.into_iter().map(|record| {
            end += record.bytes.len() as u64 + 1;
            Line { record, end }
        }));
        let extent = extent(&lines);
        drop(lines);
        self.grown.send_modify(|grown| grown.extent = extent);
        extent
    }

    /// The first `len` records.
    pub(crate) fn first(&self, len: Seq) -> Vec<NewRecord> {
        let lines = self.lines();
        let first = lines.iter().take(len.index());
        first.map(|line| line.record.clone()).collect()
    }

    /// Tells its followers that the conversation is deleted.
    pub(crate) fn end(&self) {
        self.grown.send_modify(|grown| grown.deleted = true);
    }

    fn lines(&self) -> RwLockReadGuard<'_, Vec<Line>> {
        self.lines.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl LogReader for Log {
    fn visible(&self) -> Extent {
        extent(&self.lines())
    }

    async fn grown(&self, after: Seq) -> Result<Extent, StoreError> {
        let mut grown = self.grown.subscribe();
        let grown = grown.wait_for(|grown| grown.deleted || grown.extent.len > after);
        match grown.await.as_deref() {
            Ok(Grown {
                extent,
                deleted: false,
            }) => Ok(*extent),
            Ok(_) | Err(_) => Err(StoreError::NotFound(self.id)),
        }
    }

    fn had(&self, extent: Extent) -> bool {
        let lines = self.lines();
        let before = extent.len.index().checked_sub(1);
        let version = before.map_or(Some(0), |at| lines.get(at).map(|line| line.end));
        version == Some(extent.version)
    }

    async fn read(&self, from: Seq, limit: Limit) -> Result<Vec<Record>, StoreError> {
        let lines = self.lines();
        let rest = lines.get(from.index()..).unwrap_or_default();
        let start = rest.first().map_or(0, start);
        let fits = |line: &&Line| line.end - start <= limit.bytes as u64;
        let within = &rest[..rest.len().min(limit.records)];
        let count = within.iter().take_while(fits).count();
        let count = count.max(1).min(rest.len());
        Ok((from.0..).zip(&rest[..count]).map(record).collect())
    }

    async fn read_at(&self, seqs: &[Seq], bytes: usize) -> Result<Vec<Record>, StoreError> {
        let lines = self.lines();
        let mut size = 0;
        let found = seqs
            .iter()
            .filter_map(|seq| Some((seq.0, lines.get(seq.index())?)))
            .take_while(|(_, line)| {
                let more = size == 0 || size < bytes;
                size += line.record.bytes.len();
                more
            });
        Ok(found.map(record).collect())
    }

    async fn find(&self, id: &EventId) -> Result<Option<Seq>, StoreError> {
        let mut ids = lock(&self.ids);
        let lines = self.lines();
        ids.extend(&lines);
        Ok(ids.find(id, &lines).map(Seq))
    }

    async fn since(&self, time: EventTime) -> Result<Seq, StoreError> {
        let lines = self.lines();
        // Times increase strictly within a log.
        let before = lines.partition_point(|line| line.record.head.timestamp < time);
        Ok(Seq(before as u64))
    }

    async fn select(
        &self,
        filter: &HeadFilter,
        range: Range<Seq>,
        backwards: bool,
        limit: usize,
    ) -> Result<Vec<Seq>, StoreError> {
        let lines = self.lines();
        let end = range.end.index().min(lines.len());
        let range = range.start.index().min(end)..end;
        let admitted = |at: &usize| filter.admits(&lines[*at].record.head);
        let found: Vec<usize> = if backwards {
            range.rev().filter(admitted).take(limit).collect()
        } else {
            range.filter(admitted).take(limit).collect()
        };
        Ok(found.into_iter().map(|at| Seq(at as u64)).collect())
    }

    async fn count(&self, filter: &HeadFilter) -> Result<u64, StoreError> {
        let lines = self.lines();
        let admitted = lines.iter().filter(|line| filter.admits(&line.record.head));
        Ok(admitted.count() as u64)
    }
}

impl Ids {
    fn extend(&mut self, lines: &[Line]) {
        for (seq, line) in lines.iter().enumerate().skip(self.len) {
            let id = &line.record.head.id;
            if self.find(id, lines).is_none() {
                let hasher = &self.hasher;
                let hash = |seq: &u64| hasher.hash_one(id_at(*seq, lines));
                self.seqs
                    .insert_unique(hasher.hash_one(Some(id)), seq as u64, hash);
            }
        }
        self.len = lines.len();
    }

    fn find(&self, id: &EventId, lines: &[Line]) -> Option<u64> {
        let same = |seq: &u64| id_at(*seq, lines) == Some(id);
        let found = self.seqs.find(self.hasher.hash_one(Some(id)), same);
        found.copied()
    }
}

fn id_at(seq: u64, lines: &[Line]) -> Option<&EventId> {
    lines.get(Seq(seq).index()).map(|line| &line.record.head.id)
}

fn extent(lines: &[Line]) -> Extent {
    Extent {
        len: Seq(lines.len() as u64),
        version: lines.last().map_or(0, |line| line.end),
    }
}

/// The log's size before this line.
fn start(line: &Line) -> u64 {
    line.end - line.record.bytes.len() as u64 - 1
}

fn record((seq, line): (u64, &Line)) -> Record {
    let NewRecord { head, bytes } = line.record.clone();
    Record {
        seq: Seq(seq),
        head,
        bytes,
    }
}
