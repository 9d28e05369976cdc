//! Writing the rows and the feed: by a thread of its own, and at the end.

use std::{
    io,
    sync::{PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use super::{
    files::{self, ENTRY, Entry, Stand},
    state::{CatalogState, MAX_PENDING, Written},
};
use crate::{append_file::AppendFile, disk::Open, error::lock, layout, meta::replace};

/// How long entries may wait to be written when nobody follows, and how long after a failure they are
/// tried again.
const LAZY: Duration = Duration::from_secs(1);
/// How long after a write the next one comes while somebody follows: what happens alone is told at once,
/// and a busy turn does not wait for a sync of the feed at each of its commits.
const GATHER: Duration = Duration::from_millis(10);
/// Entries after which the catalog is rewritten, unless there are more rows than that.
const CATALOG_EVERY: u64 = 50_000;

/// Whether a flush stores all rows too.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rows {
    Too,
    Not,
}

impl CatalogState {
    /// The thread that writes the feed.
    pub(super) fn run(&self) {
        let (mut works, mut rested) = (true, Instant::now());
        while self.wait_for_work(works, rested) {
            works = self.flush();
            rested = Instant::now() + GATHER;
            if let Err(error) = self.write_catalog_if_due() {
                tracing::warn!(%error, "the list of conversations was not stored");
            }
            if let Err(error) = self.compact_infos_if_due() {
                tracing::warn!(%error, "what lists show was not compacted");
            }
        }
    }

    /// False when it is time to stop. New entries never put off when those before them are written; while
    /// somebody follows, that is not before `rested`.
    fn wait_for_work(&self, works: bool, rested: Instant) -> bool {
        let mut deadline = None;
        let mut memory = lock(&self.memory);
        loop {
            if memory.stop {
                return false;
            }
            if memory.pending.is_empty() {
                let woken = self.wake.wait(memory);
                memory = woken.unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let now = Instant::now();
            let lazily = *deadline.get_or_insert(now + LAZY);
            let many = memory.pending.len() >= MAX_PENDING;
            memory.lazy = !(works && self.is_followed(&memory));
            let due = match memory.lazy {
                true => lazily,
                false => lazily.min(rested),
            };
            let left = due.saturating_duration_since(now);
            if (many && works) || left.is_zero() {
                return true;
            }
            let woken = self.wake.wait_timeout(memory, left);
            (memory, _) = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Writes and syncs what is pending; whether that worked.
    pub(crate) fn flush(&self) -> bool {
        self.write(Rows::Not).unwrap_or(false)
    }

    pub(super) fn write_catalog_if_due(&self) -> io::Result<()> {
        let rows = lock(&self.memory).rows.len() as u64;
        let grown = {
            let io = lock(&self.io);
            io.len - io.catalog
        };
        if grown < CATALOG_EVERY.max(rows * 2) {
            return Ok(());
        }
        self.write_catalog()
    }

    /// Stores all rows, after what is pending.
    pub(super) fn write_catalog(&self) -> io::Result<()> {
        self.write(Rows::Too).map(drop)
    }

    /// Puts down that all is written, if it is; whatever changes later takes that back.
    pub(crate) fn close(&self) -> io::Result<()> {
        let opened = self.opened.load(Ordering::Acquire);
        if opened || self.infos_changed.load(Ordering::Acquire) {
            self.write_catalog()?;
        }
        let io = lock(&self.io);
        let unsure = [&self.unnoted, &self.lacks_rows];
        let sure = unsure.iter().all(|unsure| !unsure.load(Ordering::Acquire));
        let whole = sure && !io.failed && io.catalog == io.len;
        if !opened || !whole {
            return Ok(());
        }
        let closed = layout::closed_file(&self.root);
        self.disk.open(&closed, Open::Make)?.sync()?;
        self.disk.sync_dir(&self.root)?;
        self.opened.store(false, Ordering::Release);
        Ok(())
    }

    /// Whether the feed was written. The rows are those of the moment when the pending entries were
    /// taken, so that changes meanwhile do not hold them up.
    fn write(&self, rows: Rows) -> io::Result<bool> {
        let mut io = lock(&self.io);
        let (pending, catalog) = {
            let mut memory = lock(&self.memory);
            let catalog = (rows == Rows::Too).then(|| {
                self.infos_changed.store(false, Ordering::Release);
                let stand = Stand {
                    feed: self.feed_id,
                    position: memory.len,
                    infos: memory.infos.as_ref().map_or(0, |infos| infos.id),
                };
                files::write_catalog(&stand, memory.rows.len(), memory.rows.all())
            });
            (std::mem::take(&mut memory.pending), catalog)
        };
        if !pending.is_empty() {
            self.put_down(pending, &mut io);
        }
        if let Some(catalog) = catalog {
            if io.failed {
                // Its entries come first.
                return self.catalog_waits(Ok(false));
            }
            let path = layout::catalog_file(&self.root);
            if let Err(error) = replace(self.disk.as_ref(), &path, &catalog) {
                return self.catalog_waits(Err(error));
            }
            io.catalog = io.len;
        }
        Ok(!io.failed)
    }

    fn put_down(&self, pending: Vec<Entry>, io: &mut Written) {
        match append(&mut io.feed, &pending) {
            Ok(()) => {
                if std::mem::take(&mut io.failed) {
                    tracing::info!("the feed is written again");
                    *lock(&self.fault) = None;
                }
                io.len += pending.len() as u64;
                self.durable.send_replace(io.len);
            }
            Err(error) => {
                if !std::mem::replace(&mut io.failed, true) {
                    tracing::error!(%error, "the feed cannot be written; its followers wait");
                }
                *lock(&self.fault) = Some(error.to_string());
                // Written whole the next time.
                let mut memory = lock(&self.memory);
                let later = std::mem::replace(&mut memory.pending, pending);
                memory.pending.extend(later);
            }
        }
    }

    /// What rows lead to is then not stored yet.
    fn catalog_waits(&self, why: io::Result<bool>) -> io::Result<bool> {
        self.infos_changed.store(true, Ordering::Release);
        why
    }
}

fn append(feed: &mut AppendFile, entries: &[Entry]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(entries.len() * ENTRY);
    for entry in entries {
        bytes.extend_from_slice(&entry.encode());
    }
    feed.append_durably(&bytes)
}
