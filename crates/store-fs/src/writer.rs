//! Appending: callers add to a log's pending batch; a thread of the store takes the whole batch,
//! writes it with one write, syncs it, and makes it visible. Whoever comes meanwhile shares the next.

use std::{
    io,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use core_model::{
    ConversationId, LineHead, NewRecord, Row, Seq, StoreError, Summary, UtcTime, port,
};
use tokio::sync::oneshot;

use crate::{
    AppendError, Durability,
    claims::Held,
    disk::write_all,
    entry::Entry,
    error::{damaged, lock},
    flusher::Unsynced,
    health::{Closed, Fault},
    log::{Extent, Inner},
};

/// Longer than a write and its sync take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// What a log is about to write.
pub(crate) struct Queue {
    pending: Batch,
    /// A thread has this log, or will have it soon: nobody else writes to its file.
    pub(crate) committing: bool,
    /// The log's extent with all that is pending.
    pub(crate) extent: Extent,
    pub(crate) closed: Option<Closed>,
    /// The claim whose holder may append.
    pub(crate) held: Option<Held>,
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
    extent: Extent,
    listing: Option<Listing>,
    answer: Answer,
}

/// By what right somebody appends.
#[derive(Clone, Copy)]
pub(crate) enum Right {
    /// It owns the folder and uses no claim.
    Owner { expected: Option<Seq> },
    /// It holds, or held, the claim of this epoch.
    Claim {
        epoch: u64,
        expected: Seq,
        listing: Listing,
    },
}

/// What a conversation's row says once an append is visible.
#[derive(Clone, Copy)]
pub(crate) struct Listing {
    pub(crate) created_at: UtcTime,
    pub(crate) summary: Summary,
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
        Answers(
            waiting
                .map(|one| (one.answer, result(one.extent.len)))
                .collect(),
        )
    }
}

impl Queue {
    pub(crate) fn new(extent: Extent, closed: Option<Closed>) -> Self {
        Self {
            pending: Batch::default(),
            committing: false,
            extent,
            closed,
            held: None,
            epoch: 0,
        }
    }

    /// Whether the claim of this epoch is the latest, and not given back.
    pub(crate) fn is_held_by(&self, epoch: u64) -> bool {
        self.held.as_ref().is_some_and(|held| held.epoch == epoch)
    }

    /// What this may append, and what its row is to say.
    fn admit(&mut self, id: ConversationId, right: Right) -> Result<Option<Listing>, AppendError> {
        let found = self.extent.len;
        if let Right::Claim { epoch, .. } = right
            && !self.is_held_by(epoch)
        {
            return Err(StoreError::Fenced.into());
        }
        if let Some(closed) = &self.closed {
            return Err(closed.error(id).into());
        }
        match right {
            Right::Owner {
                expected: Some(expected),
            } if expected != found => Err(AppendError::Conflict { expected, found }),
            Right::Owner { .. } => Ok(None),
            Right::Claim { expected, .. } if expected != found => {
                // The folder's owner appended without a claim: the holder no longer knows the log.
                self.held = None;
                Err(StoreError::Fenced.into())
            }
            Right::Claim { listing, .. } => Ok(Some(listing)),
        }
    }
}

type Answer = oneshot::Sender<Result<Seq, StoreError>>;

/// Whole lines and their entries, as if they stood at the start of the file.
pub(crate) struct Lines {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

impl Lines {
    pub(crate) fn size(&self) -> u64 {
        self.bytes.len() as u64
    }
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
        right: Right,
        here: bool,
    ) -> Result<oneshot::Receiver<Result<Seq, StoreError>>, AppendError> {
        let (answer, answered) = oneshot::channel();
        let mut queue = lock(&self.queue);
        let listing = queue.admit(self.id, right)?;
        let found = queue.extent.len;
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
        let extent = queue.extent;
        queue.pending.waiting.push(Waiting {
            extent,
            listing,
            answer,
        });
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
        let len = batch.waiting.last().map(|waiting| waiting.extent.len);
        self.extent.send_modify(|extent| {
            extent.bytes = end;
            extent.len = len.unwrap_or(extent.len);
        });
        let mut listings = batch.waiting.iter().rev();
        if let Some((extent, listing)) = listings.find_map(|one| Some((one.extent, one.listing?))) {
            self.list(&queue, extent, listing);
        }
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

    /// Moves the conversation's row. Under the queue's lock, so that rows come in the order of what they
    /// tell, and a deletion finds this done or not to be done.
    pub(crate) fn list(&self, queue: &Queue, extent: Extent, listing: Listing) {
        let row = Row {
            id: self.id,
            created_at: listing.created_at,
            updated_at: listing.summary.updated_at,
            status: listing.summary.status,
            extent: extent.into(),
            bytes: extent.bytes,
        };
        let going = matches!(queue.closed, Some(Closed::Deleted | Closed::Departed));
        self.context.catalog.move_row(&row, !going);
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
            queue.held = None;
            (queue.closed.replace(Closed::Deleted), queue.epoch)
        };
        let removed = remove();
        if removed.is_ok() {
            // Those that wait for it to grow find it gone.
            self.extent.send_modify(|_same| {});
        } else {
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

    /// Waits until the appends under way are visible or refused; whether they are. One whose writer
    /// ended in the middle is not waited for for ever.
    pub(crate) fn rest(&self) -> bool {
        let queue = lock(&self.queue);
        let rested = self
            .rested
            .wait_timeout_while(queue, WRITE_TIMEOUT, |queue| queue.committing);
        let (_queue, waited) = rested.unwrap_or_else(PoisonError::into_inner);
        !waited.timed_out()
    }

    fn add_to_index(&self, entries: &[Entry]) {
        let seq = self.extent().len.0;
        self.index().write(seq, entries);
        self.remember_ids(seq, entries);
    }
}
