//! Appending: callers add to a log's pending batch; a thread of the store takes the whole batch,
//! writes it with one write, syncs it, and makes it visible. Whoever comes meanwhile shares the next.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use core_model::{LineHead, NewRecord, Seq, StoreError, port};
use tokio::sync::oneshot;

use crate::{
    Durability,
    disk::write_all,
    entry::Entry,
    error::{damaged, lock},
    flusher::Unsynced,
    health::{Closed, Fault},
    log::{Extent, Inner},
};

/// Longer than a write and its sync take.
const LONG: Duration = Duration::from_secs(30);

/// What a log is about to write.
pub(crate) struct Queue {
    pending: Batch,
    /// A thread has this log, or will have it soon: nobody else writes to its file.
    pub(crate) committing: bool,
    /// The log's extent with all that is pending.
    pub(crate) extent: Extent,
    pub(crate) closed: Option<Closed>,
    /// Moves when a failure takes back what was under way.
    pub(crate) epoch: u64,
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
    pub(crate) fn new(extent: Extent, closed: Option<Closed>) -> Self {
        Self {
            pending: Batch::default(),
            committing: false,
            extent,
            closed,
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
            let committer = &self.context.committer;
            let alone = here.then(|| committer.begin_here(Arc::clone(self)));
            match alone.flatten() {
                Some(alone) => alone.serve(),
                None => committer.submit(Arc::clone(self)),
            }
        }
        Ok(answered)
    }

    /// Writes what is pending; nothing if a failure took that back.
    ///
    /// # Errors
    /// What to answer when that failed.
    pub(crate) fn write_pending(&self) -> Result<Option<Batch>, Answers> {
        let mut queue = lock(&self.queue);
        let batch = std::mem::take(&mut queue.pending);
        let Some(first) = batch.entries.first().copied() else {
            queue.committing = false;
            self.rested.notify_all();
            return Ok(None);
        };
        drop(queue);
        match write_all(self.file().as_ref(), &batch.lines, first.offset) {
            Ok(()) => Ok(Some(batch)),
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
            // A sync in the background failed meanwhile.
            drop(queue);
            self.give_back();
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
        if self.context.durability == Durability::Always {
            self.durable.reaches(end);
        }
        let interval = matches!(self.context.durability, Durability::Interval(_));
        let wants_sync = interval && !self.unsynced.swap(true, Ordering::AcqRel);
        queue.committing = !queue.pending.entries.is_empty();
        let more = queue.committing;
        drop(queue);
        if !more {
            self.rested.notify_all();
        }
        if let (true, Some(flusher)) = (wants_sync, &self.context.flusher) {
            flusher.add(Unsynced {
                id: self.id,
                file: self.file(),
                flag: Arc::clone(&self.unsynced),
                log: self.itself.clone(),
                extent: self.extent.subscribe(),
                durable: Arc::clone(&self.durable),
                notices: Arc::clone(&self.context.notices),
            });
        }
        (batch.answers(Ok), more)
    }

    /// Takes no more events, since writing or syncing `batch` failed.
    fn fail(&self, batch: Batch, error: &io::Error) -> Answers {
        let pending = self.poison(error);
        self.give_back();
        let failed = |_| {
            Err(StoreError::Io {
                path: self.path.display().to_string(),
                source: again(error),
            })
        };
        let mut answers = batch.answers(failed);
        answers.0.extend(pending.0);
        answers
    }

    /// Takes no more events, and tells so to whoever waits to be written: after a failed `fdatasync`
    /// the kernel may have dropped the bytes, and a second call would not say so. What is being written
    /// right now ends as [`Self::finish`] finds it.
    pub(crate) fn poison(&self, error: &io::Error) -> Answers {
        let cause = port::Fault::of(error);
        let mut queue = lock(&self.queue);
        let pending = std::mem::take(&mut queue.pending);
        queue.epoch += 1;
        queue.extent = self.extent();
        let first = queue.closed.is_none();
        if first {
            tracing::error!(
                conversation.id = %self.id, reason = %cause,
                "the log takes no more events for now: a write failed"
            );
            let fault = Fault::new(cause.clone(), self.context.heal_pause);
            queue.closed = Some(Closed::Poisoned(fault));
            self.durable.fails();
        }
        drop(queue);
        // Not under the queue's lock: whoever looks through the reports takes it.
        if first {
            self.context.health.report(&self.itself);
        }
        pending.answers(|_| Err(StoreError::Poisoned(cause.clone())))
    }

    /// Takes unacknowledged bytes off the file of a log that takes no more, and lets go of it. If that
    /// fails too, healing or the next opening does it.
    fn give_back(&self) {
        let file = self.file();
        let cut = file.set_len(self.extent().bytes);
        if let Err(error) = cut.and_then(|()| file.sync()) {
            tracing::warn!(conversation.id = %self.id, %error, "could not cut the failed write off");
        }
        lock(&self.queue).committing = false;
        self.rested.notify_all();
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
        let (before, epoch) = {
            let mut queue = lock(&self.queue);
            (queue.closed.replace(Closed::Deleted), queue.epoch)
        };
        let removed = remove();
        if removed.is_err() {
            let mut queue = lock(&self.queue);
            queue.closed = before;
            let failed = queue.epoch != epoch && queue.closed.is_none();
            if failed {
                let cause = port::Fault::other("a write failed while it was to be deleted");
                let fault = Fault::new(cause, self.context.heal_pause);
                queue.closed = Some(Closed::Poisoned(fault));
                self.durable.fails();
            }
            drop(queue);
            if failed {
                self.context.health.report(&self.itself);
            }
        }
        removed
    }

    /// Waits, of a log that takes no more events, until those under way are visible or refused. One
    /// whose writer ended in the middle is not waited for for ever.
    pub(crate) fn rest(&self) {
        let queue = lock(&self.queue);
        let rested = self
            .rested
            .wait_timeout_while(queue, LONG, |queue| queue.committing);
        drop(rested);
    }

    fn add_to_index(&self, entries: &[Entry]) {
        let seq = self.extent().len.0;
        self.index().write(seq, entries);
        self.remember_ids(seq, entries);
    }
}
