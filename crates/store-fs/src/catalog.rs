//! The list of all conversations, and the feed of what happens in them.
//!
//! Rows live in memory. Each change of a row is an entry of the file `.feed`, which one thread
//! writes and syncs a moment later: while somebody follows at once, but at most a hundred times a
//! second; else once a second. What a crash takes of it is found again by comparing rows with logs.
//! `.catalog` is all rows at some position of the feed, so that a start reads that and the feed's tail.
//! `.closed` tells that no change came after the last ones that were written. Rows lead to what lists
//! show of their conversations, in `.infos`.

mod files;
mod infos;
mod keeper;
mod load;
mod order;
mod rows;
#[cfg(test)]
mod tests;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use core_model::{
    ConversationId, ExecutionStatus, Row,
    port::{FeedEntry, ListPage, ListQuery},
};
use tokio::sync::watch;
use uuid::Uuid;

use self::{
    files::{ENTRY, Entry, HEADER, What},
    infos::Infos,
    rows::{Compact, Rows},
};
use crate::{
    append_file::AppendFile,
    disk::{Disk, DiskFile, Wait, read_exact},
    error::lock,
    layout,
};

pub(crate) use infos::Shown;

/// How long after the last look at the feed it counts as followed.
const FOLLOWED: Duration = Duration::from_secs(10);
/// Entries that may wait to be written, whoever follows.
const MANY: usize = 4096;

/// The rows and the feed of a store. Dropping it writes what is left to be written.
pub(crate) struct CatalogFile {
    work: Arc<Work>,
    thread: Option<JoinHandle<()>>,
}

pub(crate) struct Work {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    feed_id: Uuid,
    /// The feed, to be read.
    feed: Arc<dyn DiskFile>,
    memory: Mutex<Memory>,
    /// Held while entries are written: they go to the file in order.
    io: Mutex<Written>,
    /// Entries that are on disk.
    durable: watch::Sender<u64>,
    wake: Condvar,
    followers: AtomicUsize,
    /// Whether `.closed` is gone.
    opened: AtomicBool,
    /// Whether something changed that no row tells.
    unnoted: AtomicBool,
    /// Whether rows may be missing since a crash.
    lacks_rows: AtomicBool,
    /// Whether `.catalog` leads into `.infos` otherwise than the rows do.
    infos_changed: AtomicBool,
    /// Held while another `.infos` is made.
    making_infos: Mutex<()>,
    /// Why the feed cannot be written.
    fault: Mutex<Option<String>>,
    pub(crate) closed_in_order: bool,
    /// When the store was closed, by the file system's clock; none where nothing depends on it.
    pub(crate) closed_at: Option<i128>,
    pub(crate) running_at_start: Vec<ConversationId>,
}

struct Memory {
    rows: Rows,
    /// Entries yet to be written, and the position after them.
    pending: Vec<Entry>,
    len: u64,
    /// None until there is something to put in.
    infos: Option<Infos>,
    looked_at: Option<Instant>,
    /// Who writes the feed is in no hurry.
    lazy: bool,
    stop: bool,
}

struct Written {
    /// The feed, to be added to.
    feed: AppendFile,
    len: u64,
    /// The position that `.catalog` is true of.
    catalog: u64,
    failed: bool,
}

impl CatalogFile {
    /// Reads what is there; starts with nothing where there is nothing to read.
    pub(crate) fn open(disk: Arc<dyn Disk>, root: &Path) -> io::Result<Self> {
        let loaded = load::load(disk.as_ref(), root)?;
        let running = |(id, row, _): (ConversationId, Compact, rows::Place)| {
            (row.status() == ExecutionStatus::Running).then_some(id)
        };
        let work = Arc::new(Work {
            disk,
            root: root.to_owned(),
            feed_id: loaded.feed_id,
            feed: loaded.feed.file(),
            closed_in_order: loaded.closed_in_order,
            closed_at: loaded.closed_at,
            running_at_start: loaded.rows.all().filter_map(running).collect(),
            memory: Mutex::new(Memory {
                rows: loaded.rows,
                pending: Vec::new(),
                len: loaded.len,
                infos: loaded.infos,
                looked_at: None,
                lazy: false,
                stop: false,
            }),
            io: Mutex::new(Written {
                feed: loaded.feed,
                len: loaded.len,
                catalog: loaded.catalog,
                failed: false,
            }),
            durable: watch::Sender::new(loaded.len),
            wake: Condvar::new(),
            followers: AtomicUsize::new(0),
            opened: AtomicBool::new(!loaded.closed_in_order),
            unnoted: AtomicBool::new(false),
            lacks_rows: AtomicBool::new(loaded.lacks_rows),
            infos_changed: AtomicBool::new(loaded.catalog != loaded.len),
            making_infos: Mutex::default(),
            fault: Mutex::default(),
        });
        let keeper = Arc::clone(&work);
        let thread = thread::Builder::new()
            .name("store-catalog".to_owned())
            .spawn(move || keeper.keep())?;
        Ok(Self {
            work,
            thread: Some(thread),
        })
    }
}

impl std::ops::Deref for CatalogFile {
    type Target = Work;

    fn deref(&self) -> &Work {
        &self.work
    }
}

impl Drop for CatalogFile {
    fn drop(&mut self) {
        lock(&self.work.memory).stop = true;
        self.work.wake.notify_all();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
        if let Err(error) = self.work.close() {
            tracing::warn!(%error, "the list of conversations was not stored; the next start looks through all");
        }
    }
}

impl Work {
    pub(crate) fn list(&self, query: &ListQuery) -> ListPage {
        lock(&self.memory).rows.list(query)
    }

    pub(crate) fn count(&self, status: Option<ExecutionStatus>) -> u64 {
        lock(&self.memory).rows.count(status)
    }

    pub(crate) fn row(&self, id: ConversationId) -> Option<Row> {
        Some(lock(&self.memory).rows.get(id)?.row(id))
    }

    pub(crate) fn ids(&self) -> Vec<ConversationId> {
        lock(&self.memory).rows.all().map(|(id, _, _)| id).collect()
    }

    /// Whether changes can be put down, or why not.
    pub(crate) fn ready(&self) -> Result<(), String> {
        match &*lock(&self.fault) {
            None => Ok(()),
            Some(fault) => Err(format!(
                "the list of conversations cannot be written: {fault}"
            )),
        }
    }

    /// Puts down a row. A row whose log did not grow keeps followers asleep.
    pub(crate) fn note(&self, row: &Row) {
        self.put(row, |_| true);
    }

    /// Moves the row of a conversation that is written. Where it has none, it gets one only if it `stays`:
    /// what comes late must not bring back what was deleted.
    pub(crate) fn move_row(&self, row: &Row, stays: bool) {
        let created = Compact::from(row).created;
        self.put(row, |old| old.map_or(stays, |old| old.created == created));
    }

    /// Puts down a row that was read from a conversation's metadata, where there is none. With `whole`,
    /// when it is true of the whole log, also in place of one of a shorter log; what was noted meanwhile
    /// stays.
    pub(crate) fn found(&self, row: &Row, whole: bool) {
        self.put(row, |old| {
            old.is_none_or(|old| whole && old.len <= row.extent.len.0)
        });
    }

    fn put(&self, row: &Row, takes: impl FnOnce(Option<Compact>) -> bool) -> bool {
        let compact = Compact::from(row);
        let mut memory = lock(&self.memory);
        let old = memory.rows.get(row.id);
        if !takes(old) {
            return false;
        }
        if old == Some(compact) {
            return true;
        }
        let from = old.map_or(0, |old| old.len);
        let what = match old {
            None if compact.len == 0 => What::Created,
            _ if compact.len > from => What::Grown,
            _ => What::Noted,
        };
        memory.rows.put(row.id, compact);
        self.push(memory, row.id, what, from, compact);
        true
    }

    pub(crate) fn gone(&self, id: ConversationId) {
        let mut memory = lock(&self.memory);
        let info = memory.rows.info(id).zip(memory.infos.clone());
        if let Some(old) = memory.rows.remove(id) {
            self.push(memory, id, What::Deleted, old.len, old);
        }
        if let Some((place, infos)) = info {
            infos.wipe(place);
        }
    }

    fn push(
        &self,
        mut memory: std::sync::MutexGuard<'_, Memory>,
        id: ConversationId,
        what: What,
        from: u64,
        row: Compact,
    ) {
        memory.pending.push(Entry {
            id,
            what,
            from,
            row,
        });
        memory.len += 1;
        let first = memory.pending.len() == 1;
        let followed = memory.lazy && self.is_followed(&memory);
        let soon = memory.pending.len() == MANY || followed;
        drop(memory);
        if first || soon {
            self.wake.notify_all();
        }
    }

    fn is_followed(&self, memory: &Memory) -> bool {
        let looked_at = memory.looked_at;
        looked_at.is_some_and(|time| time.elapsed() < FOLLOWED)
            || self.followers.load(Ordering::Acquire) > 0
    }

    /// To be called before anything is changed: from here on the last close counts no more.
    pub(crate) fn reopen(&self) -> io::Result<()> {
        if self.opened.load(Ordering::Acquire) {
            return Ok(());
        }
        // Under the lock, so that whoever comes second waits until it is done.
        let _io = lock(&self.io);
        if !self.opened.load(Ordering::Acquire) {
            match self.disk.remove_file(&layout::closed_file(&self.root)) {
                // Removed by hand, or before, when the sync failed.
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
            self.disk.sync_dir(&self.root)?;
            self.opened.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Notes that a log is longer than its row says, and nobody will tell.
    pub(crate) fn leaves_unnoted(&self) {
        self.unnoted.store(true, Ordering::Release);
    }

    /// Notes that no row is missing.
    pub(crate) fn is_whole(&self) {
        self.lacks_rows.store(false, Ordering::Release);
    }

    pub(crate) fn feed_id(&self) -> Uuid {
        self.feed_id
    }

    /// The feed's length, everything noted so far included and on disk.
    pub(crate) fn feed_len(&self) -> u64 {
        lock(&self.memory).looked_at = Some(Instant::now());
        self.flush();
        *self.durable.borrow()
    }

    pub(crate) fn feed_entries(
        &self,
        mut from: u64,
        limit: usize,
        wait: Wait,
    ) -> io::Result<Vec<FeedEntry>> {
        lock(&self.memory).looked_at = Some(Instant::now());
        let len = *self.durable.borrow();
        let mut found = Vec::new();
        // On past entries that are for the catalog alone, so that none means the end.
        while found.is_empty() && from < len {
            let count = (len - from).min(limit.max(1) as u64);
            let mut bytes = vec![0; count as usize * ENTRY];
            read_exact(self.feed.as_ref(), &mut bytes, place(from), wait)?;
            let entries = (from..).zip(bytes.chunks_exact(ENTRY));
            found.extend(entries.filter_map(|(at, bytes)| Entry::decode(bytes)?.at(at)));
            from += count;
        }
        Ok(found)
    }

    pub(crate) async fn feed_grown(&self, len: u64) -> u64 {
        let mut durable = self.durable.subscribe();
        let _here = Following::new(self);
        // It cannot close: this holds the sender.
        let grown = durable.wait_for(|durable| *durable > len).await;
        grown.map_or(len, |durable| *durable)
    }
}

/// Somebody who waits for the feed to grow.
struct Following<'a>(&'a Work);

impl<'a> Following<'a> {
    fn new(work: &'a Work) -> Self {
        work.followers.fetch_add(1, Ordering::AcqRel);
        if !lock(&work.memory).pending.is_empty() {
            work.wake.notify_all();
        }
        Self(work)
    }
}

impl Drop for Following<'_> {
    fn drop(&mut self) {
        self.0.followers.fetch_sub(1, Ordering::AcqRel);
    }
}

fn place(position: u64) -> u64 {
    HEADER as u64 + position * ENTRY as u64
}
