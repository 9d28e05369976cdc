use std::{
    fs::File,
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak},
};

use async_trait::async_trait;
use bytes::Bytes;
use core_model::{
    ConversationId, EventId, EventLog, EventTime, HeadFilter, Limit, NewRecord, Record, Seq,
    StoreError,
};

use crate::{
    Durability,
    error::{blocking, damaged, io_at, lock},
    flusher::Flusher,
    head::LineHead,
    index::{Index, Span},
    journal::{Health, Journal},
    layout,
    lock::FolderLock,
    recovery,
};

/// How much one file read brings in, unless a single event is larger.
const CHUNK: u64 = 256 * 1024;

/// The log of one conversation. Clones, and all logs that one store opened for the same
/// conversation, are the same log. While one lives, the store's folder stays locked.
///
/// A damaged line keeps its seq and counts in [`EventLog::len`], but [`EventLog::read`] and
/// [`EventLog::heads`] pass over it: records carry their own seq, and a read that comes back empty
/// means that nothing more is to be had up to the length at the time.
///
/// The async methods need a tokio runtime.
#[derive(Clone)]
pub struct FsLog(Arc<Shared>);

/// A log that lives only as long as someone uses it.
#[derive(Default)]
pub(crate) struct WeakLog(Weak<Shared>);

/// What a store lends to its logs.
#[derive(Clone)]
pub(crate) struct LogContext {
    pub(crate) durability: Durability,
    pub(crate) flusher: Option<Arc<Flusher>>,
    pub(crate) health: Arc<Health>,
    pub(crate) lock: Arc<FolderLock>,
}

struct Shared {
    path: PathBuf,
    file: Arc<File>,
    /// Held by the writer until its records are visible.
    journal: Arc<Mutex<Journal>>,
    /// What is visible.
    index: RwLock<Index>,
    flusher: Option<Arc<Flusher>>,
    /// Last, so that the folder is free only when all else is done.
    _lock: Arc<FolderLock>,
}

impl FsLog {
    /// Opens, mends and indexes the log in a conversation's folder. Blocks.
    pub(crate) fn load(
        id: ConversationId,
        folder: &Path,
        context: LogContext,
    ) -> Result<Self, StoreError> {
        let path = folder.join(layout::EVENTS);
        if !path.exists() {
            return Err(if folder.exists() {
                damaged(&path, "the file is missing")
            } else {
                StoreError::NotFound(id)
            });
        }
        let (file, index) = recovery::recover(id, &path)?;
        let file = Arc::new(file);
        let journal = Journal::new(
            id,
            path.clone(),
            file.clone(),
            index.end(),
            context.durability,
            context.health,
        );
        Ok(Self(Arc::new(Shared {
            path,
            file,
            journal: Arc::new(Mutex::new(journal)),
            index: RwLock::new(index),
            flusher: context.flusher,
            _lock: context.lock,
        })))
    }

    /// How many lines are damaged: kept in the file, but never served.
    #[must_use]
    pub fn damaged(&self) -> usize {
        self.0.visible().damaged()
    }

    pub(crate) fn downgrade(&self) -> WeakLog {
        WeakLog(Arc::downgrade(&self.0))
    }

    /// Runs `remove` while nobody appends; when it succeeds, nobody appends again.
    pub(crate) fn delete(
        &self,
        remove: impl FnOnce() -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut journal = lock(&self.0.journal);
        remove()?;
        journal.close_deleted();
        Ok(())
    }
}

impl WeakLog {
    pub(crate) fn upgrade(&self) -> Option<FsLog> {
        self.0.upgrade().map(FsLog)
    }
}

#[async_trait]
impl EventLog for FsLog {
    /// One write and one sync for all records. A crash meanwhile may leave the first few of them;
    /// the events of earlier appends are never lost.
    async fn append(
        &self,
        records: Vec<NewRecord>,
        expected: Option<Seq>,
    ) -> Result<Seq, StoreError> {
        let log = self.0.clone();
        blocking(&self.0.path, move || log.append(&records, expected)).await
    }

    fn len(&self) -> Seq {
        self.0.visible().len()
    }

    fn size(&self) -> u64 {
        self.0.visible().end()
    }

    async fn read(&self, from: Seq, limit: Limit) -> Result<Vec<Record>, StoreError> {
        let mut spans = self.0.visible().spans(from, limit.records);
        let mut bytes = 0;
        let fits = spans.iter().take_while(|span| {
            let before = bytes;
            bytes += (span.bytes.end - span.bytes.start) as usize;
            before == 0 || bytes <= limit.bytes
        });
        let fits = fits.count();
        spans.truncate(fits);
        if spans.is_empty() {
            return Ok(Vec::new());
        }
        let log = self.0.clone();
        blocking(&self.0.path, move || log.read(spans)).await
    }

    async fn read_at(&self, seqs: &[Seq], bytes: usize) -> Result<Vec<Record>, StoreError> {
        let mut records = Vec::new();
        let mut size = 0;
        for seq in seqs {
            if size >= bytes && size > 0 {
                break;
            }
            let one = self.read(*seq, Limit::records(1)).await?;
            let one = one.into_iter().filter(|record| record.seq == *seq);
            records.extend(one.inspect(|record| size += record.bytes.len()));
        }
        Ok(records)
    }

    async fn find(&self, id: &EventId) -> Result<Option<Seq>, StoreError> {
        Ok(self.0.visible().find(id))
    }

    async fn since(&self, time: EventTime) -> Result<Seq, StoreError> {
        let index = self.0.visible();
        let heads = index.heads(Seq(0), usize::MAX);
        let found = heads.partition_point(|(_, head)| head.timestamp < time);
        Ok(heads.get(found).map_or(index.len(), |(seq, _)| *seq))
    }

    async fn select(
        &self,
        filter: &HeadFilter,
        range: Range<Seq>,
        backwards: bool,
        limit: usize,
    ) -> Result<Vec<Seq>, StoreError> {
        let mut found = self.0.visible().heads(range.start, usize::MAX);
        found.retain(|(seq, head)| *seq < range.end && filter.admits(head));
        if backwards {
            found.reverse();
        }
        Ok(found.into_iter().take(limit).map(|(seq, _)| seq).collect())
    }

    async fn count(&self, filter: &HeadFilter) -> Result<u64, StoreError> {
        let all = Seq(0)..self.len();
        Ok(self.select(filter, all, false, usize::MAX).await?.len() as u64)
    }
}

impl Shared {
    fn append(&self, records: &[NewRecord], expected: Option<Seq>) -> Result<Seq, StoreError> {
        let lines = lines(&self.path, records)?;
        let mut journal = lock(&self.journal);
        journal.check()?;
        let found = self.visible().len();
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            return Err(StoreError::Conflict { expected, found });
        }
        if records.is_empty() {
            return Ok(found);
        }
        let wants_sync = journal.append(&lines)?;
        if let (true, Some(flusher)) = (wants_sync, &self.flusher) {
            flusher.add(self.journal.clone());
        }
        let mut index = self.index_mut();
        for record in records {
            index.push(Some(&LineHead::from(&record.head)), record.bytes.len());
        }
        Ok(index.len())
    }

    /// Reads neighbours together and cuts them apart without copying.
    fn read(&self, spans: Vec<Span>) -> Result<Vec<Record>, StoreError> {
        let mut records = Vec::with_capacity(spans.len());
        let mut spans = spans.into_iter().peekable();
        while let Some(first) = spans.next() {
            let start = first.bytes.start;
            let mut chunk = vec![first];
            while let Some(span) = spans.next_if(|span| span.bytes.end - start <= CHUNK) {
                chunk.push(span);
            }
            let end = chunk.last().map_or(start, |span| span.bytes.end);
            let bytes = self.read_bytes(start, end)?;
            records.extend(chunk.into_iter().map(|span| {
                let from = (span.bytes.start - start) as usize;
                let to = (span.bytes.end - start) as usize;
                Record {
                    seq: span.seq,
                    head: span.head,
                    bytes: bytes.slice(from..to),
                }
            }));
        }
        Ok(records)
    }

    fn read_bytes(&self, start: u64, end: u64) -> Result<Bytes, StoreError> {
        let mut buffer = vec![0; (end - start) as usize];
        let read = self.file.read_exact_at(&mut buffer, start);
        read.map_err(io_at(&self.path))?;
        Ok(buffer.into())
    }

    fn visible(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn index_mut(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The records as lines. A record that is empty or holds a line break would shift every later seq,
/// so none is written.
fn lines(path: &Path, records: &[NewRecord]) -> Result<Vec<u8>, StoreError> {
    let size = records.iter().map(|record| record.bytes.len() + 1).sum();
    let mut lines = Vec::with_capacity(size);
    for record in records {
        if record.bytes.is_empty() || record.bytes.contains(&b'\n') {
            let reason = format!("event {} is not one line of JSON", record.head.id);
            return Err(damaged(path, reason));
        }
        lines.extend_from_slice(&record.bytes);
        lines.push(b'\n');
    }
    Ok(lines)
}
