//! A poisoned log takes events again once its disk does.

use std::{
    io,
    sync::{Arc, MutexGuard, TryLockError},
    time::Duration,
};

use core_model::port;

use crate::{
    Durability,
    closed::Closed,
    disk::{DiskFile, Open, Wait, read_exact, write_all},
    entry::Entry,
    error::lock,
    open_log::OpenLog,
    recovery,
};

/// How often a poisoned log is looked at again.
pub(crate) const RESTORE_PAUSE: Duration = Duration::from_secs(1);
/// What has to fit on the disk before a log that found it full takes events again.
const PROBE: usize = 64 * 1024;
/// A fixed name, so that kills leave at most one.
const PROBE_FILE: &str = ".probe";
/// Bytes that a disk writes together at the most; what shares them with lost ones is written again.
const BLOCK: u64 = 64 * 1024;
/// Lines written again at a time.
const STRIDE: u64 = 256;

impl OpenLog {
    /// Whether the log is poisoned and it is time to look whether it works again.
    pub(crate) fn is_restore_due(&self) -> bool {
        match &mut lock(&self.queue).closed {
            Some(Closed::Poisoned(fault)) => fault.is_due(self.context.restore_pause),
            Some(Closed::Deleted | Closed::InOutbox) | None => false,
        }
    }

    /// [`Self::restore`], unless that is under way.
    pub(crate) fn restore_unless_running(&self) {
        match self.restoring.try_lock() {
            Ok(alone) => self.restore_alone(&alone),
            Err(TryLockError::Poisoned(alone)) => self.restore_alone(&alone.into_inner()),
            Err(TryLockError::WouldBlock) => {}
        }
    }

    /// Lets a poisoned log take events again, if its file and its disk turn out to be sound:
    /// what was acknowledged is there and on disk, and there is room for more. Blocks.
    pub(crate) fn restore(&self) {
        self.restore_alone(&lock(&self.restoring));
    }

    /// One at a time: a second one would cut off what is written after the first.
    fn restore_alone(&self, _alone: &MutexGuard<'_, ()>) {
        let (epoch, torn) = {
            let queue = lock(&self.queue);
            match &queue.closed {
                Some(Closed::Poisoned(fault)) if !queue.committing => (queue.epoch, fault.torn),
                Some(_) | None => return,
            }
        };
        match self.examine(torn) {
            Ok(file) => {
                let mut queue = lock(&self.queue);
                // A failure since then has to be looked at again.
                if queue.epoch == epoch && matches!(queue.closed, Some(Closed::Poisoned(_))) {
                    self.replace_file(file);
                    queue.extent = self.extent();
                    queue.closed = None;
                    self.durable.restored();
                    drop(queue);
                    self.give_index_its_file();
                    tracing::info!(conversation.id = %self.id, "the log takes events again");
                }
            }
            Err(error) => {
                if let Some(Closed::Poisoned(fault)) = &mut lock(&self.queue).closed {
                    fault.cause = port::Fault::of(&error);
                }
                tracing::debug!(conversation.id = %self.id, %error, "the log cannot take events yet");
            }
        }
    }

    /// An index that was opened for reading or made in memory has nowhere to put what it kept.
    fn give_index_its_file(&self) {
        let index = self.index();
        index.retry();
        if !index.is_whole_on_disk()
            && let Err(error) = self.rebuild_index(&index)
        {
            tracing::warn!(conversation.id = %self.id, %error, "the index stays in memory");
        }
    }

    /// Nobody else writes meanwhile. `torn`: bytes behind the log's end were found there when it was
    /// opened, and are kept.
    fn examine(&self, torn: bool) -> io::Result<Arc<dyn DiskFile>> {
        let disk = &self.context.disk;
        let file = disk.open(&self.path, Open::Write)?;
        if !self.is_poisoned() {
            // Deleted, and another conversation may have its name by now.
            return Err(io::ErrorKind::NotFound.into());
        }
        let end = self.extent().bytes;
        let len = file.len()?;
        if len < end {
            return Err(io::Error::other("the log is shorter than it was"));
        }
        if torn && len > end {
            let tail = recovery::move_torn(disk.as_ref(), &self.folder, file.as_ref(), end..len)?;
            recovery::report_torn(self.id, &tail, &self.context.notices);
        }
        file.set_len(end)?;
        if self.context.durability != Durability::Os {
            self.write_again(file.as_ref())?;
        }
        file.sync()?;
        self.durable.reaches(end);
        let probe = self.folder.join(PROBE_FILE);
        let tried = disk.open(&probe, Open::Make).and_then(|file| {
            // One that a kill left has its room already, and would prove nothing.
            file.set_len(0)?;
            write_all(file.as_ref(), &[0; PROBE], 0)?;
            file.sync()
        });
        let removed = disk.remove_file(&probe);
        tried?;
        removed?;
        Ok(file)
    }

    /// Writes what may be in memory alone once more: after a sync that failed, the kernel may take it
    /// for written.
    fn write_again(&self, file: &dyn DiskFile) -> io::Result<()> {
        let len = self.extent().len.0;
        let index = self.index();
        let lost = || io::Error::other("events were lost by the failed write");
        let synced = self.durable.bytes();
        let from = synced.saturating_sub(BLOCK);
        let is_sure = |entry: &Entry| entry.end() <= from;
        let sure = index.partition_point(len, Wait::Yes, is_sure);
        let mut next = sure.map_err(|_| lost())?;
        while next < len {
            let count = (len - next).min(STRIDE);
            let entries = index
                .read(next, count as usize, Wait::Yes)
                .map_err(|_| lost())?;
            for one in &entries {
                write_line_again(file, one, synced)?;
            }
            next += count;
        }
        Ok(())
    }
}

fn write_line_again(file: &dyn DiskFile, entry: &Entry, synced: u64) -> io::Result<()> {
    let mut line = vec![0; entry.len as usize + 1];
    read_exact(file, &mut line, entry.offset, Wait::Yes)?;
    let known = crc32c::crc32c(&line[..entry.len as usize]) == entry.crc;
    if known && line.last() == Some(&b'\n') {
        return write_all(file, &line, entry.offset);
    }
    // What was damaged before that failure is no part of it.
    if entry.end() <= synced {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "the event at byte {} was lost by the failed write",
        entry.offset
    )))
}
