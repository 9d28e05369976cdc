//! Appending: callers add to a log's pending batch; a thread of the store takes the whole batch,
//! writes it with one write, syncs it, and makes it visible. Whoever comes meanwhile shares the next.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use core_model::{NewRecord, Seq, StoreError, port};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::{
    Durability,
    disk::{Open, write_all},
    entry::Entry,
    error::{damaged, io_at, lock},
    flusher::Unsynced,
    head::LineHead,
    health::{Closed, Fault},
    log::{Extent, Inner},
};

/// How often a poisoned log is looked at again.
const HEAL_PAUSE: Duration = Duration::from_secs(1);
/// What has to fit on the disk before a log that found it full takes events again.
const PROBE: usize = 64 * 1024;

/// What a log is about to write.
pub(crate) struct Queue {
    pending: Batch,
    /// A thread has this log, or will have it soon.
    committing: bool,
    /// The log's extent with all that is pending.
    pub(crate) extent: Extent,
    pub(crate) closed: Option<Closed>,
    /// Moves when a failure takes back what was under way.
    epoch: u64,
}

/// Lines that are written with one write.
#[derive(Default)]
pub(crate) struct Batch {
    lines: Vec<u8>,
    entries: Vec<Entry>,
    waiting: Vec<Waiting>,
    epoch: u64,
}

struct Waiting {
    len: Seq,
    answer: Answer,
}

/// What to tell whom. Sent when the log is let go of, so that whoever is answered may close it.
#[must_use]
pub(crate) struct Answers(Vec<(Answer, Result<Seq, StoreError>)>);

impl Answers {
    pub(crate) fn send(self) {
        for (answer, result) in self.0 {
            answer.send(result).ok();
        }
    }
}

impl Batch {
    fn answers(self, result: impl Fn(Seq) -> Result<Seq, StoreError>) -> Answers {
        let waiting = self.waiting.into_iter();
        Answers(waiting.map(|one| (one.answer, result(one.len))).collect())
    }
}

impl Queue {
    pub(crate) fn new(extent: Extent) -> Self {
        Self {
            pending: Batch::default(),
            committing: false,
            extent,
            closed: None,
            epoch: 0,
        }
    }
}

type Answer = oneshot::Sender<Result<Seq, StoreError>>;

/// Whole lines and their entries, as if they stood at the start of the file.
pub(crate) struct Lines {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

impl Inner {
    /// # Errors
    /// `Damaged` for a record that is no line: it would shift every later seq.
    pub(crate) fn lines(&self, records: &[NewRecord]) -> Result<Lines, StoreError> {
        let size = records.iter().map(|record| record.bytes.len() + 1).sum();
        let mut lines = Lines {
            bytes: Vec::with_capacity(size),
            entries: Vec::with_capacity(records.len()),
        };
        for record in records {
            let line = &record.bytes;
            let fits = u32::try_from(line.len()).is_ok();
            if line.is_empty() || !fits || memchr::memchr(b'\n', line).is_some() {
                let reason = format!("event {} is not one line of JSON", record.head.id);
                return Err(damaged(&self.path, reason));
            }
            let offset = lines.bytes.len() as u64;
            let head = LineHead::from(&record.head);
            lines.entries.push(Entry::new(offset, line, &head));
            lines.bytes.extend_from_slice(line);
            lines.bytes.push(b'\n');
        }
        Ok(lines)
    }

    /// Puts lines into the next batch. The answer comes when they are durable and visible.
    pub(crate) fn enqueue(
        self: &Arc<Self>,
        lines: Lines,
        expected: Option<Seq>,
        here: bool,
    ) -> Result<oneshot::Receiver<Result<Seq, StoreError>>, StoreError> {
        let (answer, answered) = oneshot::channel();
        let mut queue = lock(&self.queue);
        if let Some(closed) = &queue.closed {
            return Err(closed.error(self.id));
        }
        let found = queue.extent.len;
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            return Err(StoreError::Conflict { expected, found });
        }
        if lines.entries.is_empty() {
            answer.send(Ok(found)).ok();
            return Ok(answered);
        }
        let base = queue.extent.bytes;
        let len = found.after(lines.entries.len());
        queue.extent = Extent {
            len,
            bytes: base + lines.bytes.len() as u64,
        };
        let placed = lines.entries.into_iter().map(|entry| entry.moved(base));
        queue.pending.entries.extend(placed);
        if queue.pending.lines.is_empty() {
            queue.pending.lines = lines.bytes;
        } else {
            queue.pending.lines.extend_from_slice(&lines.bytes);
        }
        queue.pending.epoch = queue.epoch;
        queue.pending.waiting.push(Waiting { len, answer });
        if !std::mem::replace(&mut queue.committing, true) {
            drop(queue);
            if here && self.context.committer.begin_here() {
                block(|| self.context.committer.serve_here(Arc::clone(self)));
            } else {
                self.context.committer.submit(Arc::clone(self));
            }
        }
        Ok(answered)
    }

    /// Writes what is pending.
    ///
    /// # Errors
    /// What to answer when that failed.
    pub(crate) fn write_pending(&self) -> Result<Batch, Answers> {
        let batch = std::mem::take(&mut lock(&self.queue).pending);
        let offset = batch.entries.first().map_or(0, |entry| entry.offset);
        match write_all(self.file().as_ref(), &batch.lines, offset) {
            Ok(()) => Ok(batch),
            Err(error) => Err(self.fail(batch, &error)),
        }
    }

    /// Lets a written batch begin its way to the disk while others are written.
    pub(crate) fn start_writeout(&self, batch: &Batch) {
        if let Some(first) = batch.entries.first() {
            let end = first.offset + batch.lines.len() as u64;
            self.file().start_writeout(first.offset..end);
        }
    }

    /// Makes a written batch durable, then visible. Tells what to answer, and whether more is pending:
    /// then this log wants to be written again.
    pub(crate) fn finish(&self, batch: Batch) -> (Answers, bool) {
        if self.context.durability == Durability::Always
            && let Err(error) = self.file().sync()
        {
            return (self.fail(batch, &error), false);
        }
        let mut queue = lock(&self.queue);
        if batch.epoch != queue.epoch {
            // A sync in the background failed meanwhile, and this was cut off.
            let poisoned = || StoreError::Poisoned(port::Fault::other("an earlier write failed"));
            return (batch.answers(|_| Err(poisoned())), false);
        }
        self.add_to_index(&batch.entries);
        let end = batch.entries.last().map_or(0, Entry::end);
        let len = batch.waiting.last().map(|waiting| waiting.len);
        self.extent.send_modify(|extent| {
            extent.bytes = end;
            extent.len = len.unwrap_or(extent.len);
        });
        let interval = matches!(self.context.durability, Durability::Interval(_));
        let wants_sync = interval && !self.unsynced.swap(true, Ordering::AcqRel);
        queue.committing = !queue.pending.entries.is_empty();
        let more = queue.committing;
        drop(queue);
        if let (true, Some(flusher)) = (wants_sync, &self.context.flusher) {
            flusher.add(Unsynced {
                file: self.file(),
                flag: Arc::clone(&self.unsynced),
                log: self.itself.clone(),
            });
        }
        (batch.answers(Ok), more)
    }

    /// Takes no more events, since a write or sync failed: after a failed `fdatasync` the kernel may
    /// have dropped the bytes, and a second call would not say so.
    pub(crate) fn fail(&self, batch: Batch, error: &io::Error) -> Answers {
        let cause = port::Fault::of(error);
        let mut queue = lock(&self.queue);
        let pending = std::mem::take(&mut queue.pending);
        queue.committing = false;
        queue.epoch += 1;
        queue.extent = self.extent();
        if queue.closed.is_none() {
            tracing::error!(
                conversation.id = %self.id, reason = %cause,
                "the log takes no more events for now: a write failed"
            );
            let fault = Fault::new(cause.clone(), HEAL_PAUSE);
            queue.closed = Some(Closed::Poisoned(fault));
            self.context.health.report(self.itself.clone());
        }
        // Under the lock: nobody writes until it is done.
        self.cut_back();
        drop(queue);
        let failed = |_| {
            Err(StoreError::Io {
                path: self.path.display().to_string(),
                source: again(error),
            })
        };
        let mut answers = batch.answers(failed);
        let poisoned = |_| Err(StoreError::Poisoned(cause.clone()));
        answers.0.extend(pending.answers(poisoned).0);
        answers
    }

    /// Takes unacknowledged bytes off the file. If this fails too, healing or the next opening does.
    fn cut_back(&self) {
        let file = self.file();
        let cut = file.set_len(self.extent().bytes);
        if let Err(error) = cut.and_then(|()| file.sync()) {
            tracing::warn!(conversation.id = %self.id, %error, "could not cut the failed write off");
        }
    }

    /// Whether the log is poisoned and it is time to look whether it can be healed.
    pub(crate) fn wants_healing(&self) -> bool {
        match &mut lock(&self.queue).closed {
            Some(Closed::Poisoned(fault)) => fault.is_due(HEAL_PAUSE),
            Some(Closed::Deleted) | None => false,
        }
    }

    /// Lets a poisoned log take events again, if its file and its disk turn out to be in order:
    /// what was acknowledged is there and on disk, and there is room for more. Blocks.
    pub(crate) fn heal(&self) {
        match self.examine() {
            Ok(file) => {
                let mut queue = lock(&self.queue);
                if matches!(queue.closed, Some(Closed::Poisoned(_))) {
                    self.replace_file(file);
                    queue.extent = self.extent();
                    queue.closed = None;
                    tracing::info!(conversation.id = %self.id, "the log takes events again");
                }
            }
            Err(error) => {
                if let Some(Closed::Poisoned(fault)) = &mut lock(&self.queue).closed {
                    fault.cause = port::Fault::of(&error);
                }
                tracing::debug!(conversation.id = %self.id, %error, "the log is not healed yet");
            }
        }
    }

    fn examine(&self) -> io::Result<Arc<dyn crate::disk::DiskFile>> {
        let disk = &self.context.disk;
        let file = disk.open(&self.path, Open::Write)?;
        let end = self.extent().bytes;
        if file.len()? < end {
            return Err(io::Error::other("the log is shorter than it was"));
        }
        file.set_len(end)?;
        file.sync()?;
        let probe = self.folder.join(format!(".probe-{}", Uuid::new_v4()));
        let tried = disk.open(&probe, Open::MakeNew).and_then(|file| {
            write_all(file.as_ref(), &[0; PROBE], 0)?;
            file.sync()
        });
        let removed = disk.remove_file(&probe);
        tried?;
        removed?;
        Ok(file)
    }
}

/// Runs what blocks on this thread of the runtime, whose other tasks go elsewhere meanwhile.
fn block(work: impl FnOnce()) {
    match tokio::runtime::Handle::try_current() {
        Ok(_) => tokio::task::block_in_place(work),
        Err(_) => work(),
    }
}

/// The same error for one more of those who waited for the same write.
fn again(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

impl Inner {
    /// Takes no more events, since the conversation goes; `remove` takes it away.
    pub(crate) fn delete(
        &self,
        remove: impl FnOnce() -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let before = lock(&self.queue).closed.replace(Closed::Deleted);
        let removed = remove();
        if removed.is_err() {
            lock(&self.queue).closed = before;
        }
        removed
    }

    fn add_to_index(&self, entries: &[Entry]) {
        let seq = self.extent().len.0;
        if let Err(error) = self.index().write(seq, entries) {
            // Noticed when it is read, and then rebuilt.
            tracing::warn!(
                conversation.id = %self.id, error = %io_at(&self.index_path)(error),
                "the index was not added to"
            );
        }
        self.remember_ids(seq, entries);
    }
}
