//! Appending: callers add to a log's pending batch; a thread of the store takes the whole batch,
//! writes it with one write, syncs it, and makes it visible. Callers that come meanwhile share the next.

use std::{
    io,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use core_model::{ConversationId, NewRecord, Row, Seq, StoreError, port};
use tokio::sync::oneshot;

use crate::{
    AppendError, Durability,
    closed::{Closed, Fault},
    committer::CommittedLog,
    disk::write_all,
    entry::Entry,
    error::lock,
    extent::Extent,
    flusher::{Unsynced, UnsyncedLog},
    health::FaultyLog,
    open_log::OpenLog,
    queue::{Answers, Batch, Lines, Listing, Queue, Right},
};

/// Longer than a write and its sync take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

impl OpenLog {
    /// # Errors
    /// As [`Lines::of`].
    pub(crate) fn lines(&self, records: &[NewRecord]) -> Result<Lines, StoreError> {
        Lines::of(records, &self.path)
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
        if lines.entries.is_empty() {
            answer.send(Ok(queue.extent.len)).ok();
            return Ok(answered);
        }
        queue.push(lines, listing, answer);
        if !std::mem::replace(&mut queue.committing, true) {
            drop(queue);
            let committer = &self.context.committer;
            let log: Arc<dyn CommittedLog> = Arc::clone(self) as _;
            let alone = here.then(|| committer.begin_here(Arc::clone(&log)));
            match alone.flatten() {
                Some(alone) => alone.serve(),
                None => committer.submit(log),
            }
        }
        Ok(answered)
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
        let going = matches!(queue.closed, Some(Closed::Deleted | Closed::InOutbox));
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

    /// Takes no more events, and tells the callers that wait to be written: after a failed `fdatasync`
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
            let fault = Fault::new(cause.clone(), self.context.restore_pause);
            queue.closed = Some(Closed::Poisoned(fault));
            self.durable.fails();
        }
        drop(queue);
        // Not under the queue's lock: looking through the reports takes it.
        if first {
            self.context.health.report(self.itself.clone() as _);
        }
        pending.answers(|_| Err(StoreError::Poisoned(cause.clone())))
    }

    /// Takes unacknowledged bytes off the file of a log that takes no more, and lets go of it. If that
    /// fails too, a restore or the next opening does it.
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

impl CommittedLog for OpenLog {
    fn write_pending(&self) -> Result<Option<Batch>, Answers> {
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

    fn start_writeout(&self, batch: &Batch) {
        if let Some(first) = batch.entries.first() {
            let end = first.offset + batch.lines.len() as u64;
            self.file().start_writeout(first.offset..end);
        }
    }

    fn finish(&self, batch: Batch) -> (Answers, bool) {
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
                log: self.itself.clone() as _,
                extent: self.extent.subscribe(),
                durable: Arc::clone(&self.durable),
                notices: Arc::clone(&self.context.notices),
            });
        }
        (batch.answers(Ok), more)
    }

    fn try_to_restore(&self) {
        self.restore_unless_running();
    }
}

impl UnsyncedLog for OpenLog {
    fn sync_failed(&self, error: &io::Error) {
        self.poison(error).send();
    }
}

impl FaultyLog for OpenLog {
    fn id(&self) -> ConversationId {
        self.id
    }

    fn fault(&self) -> Option<port::Fault> {
        match &lock(&self.queue).closed {
            Some(Closed::Poisoned(fault)) => Some(fault.cause.clone()),
            Some(Closed::Deleted | Closed::InOutbox) | None => None,
        }
    }

    fn try_again(self: Arc<Self>) {
        if self.is_restore_due() {
            let committer = Arc::clone(&self.context.committer);
            committer.restore(self);
        }
    }
}

/// The same error for one more of those who waited for the same write.
fn again(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

impl OpenLog {
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
                let fault = Fault::new(cause, self.context.restore_pause);
                queue.closed = Some(Closed::Poisoned(fault));
                self.durable.fails();
            }
            drop(queue);
            if failed {
                self.context.health.report(self.itself.clone() as _);
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
