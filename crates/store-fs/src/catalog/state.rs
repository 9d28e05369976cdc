//! The rows in memory, and what of their changes is yet to be written.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use core_model::{
    ConversationId, ExecutionStatus, Row,
    port::{FeedEntry, ListPage, ListQuery},
};
use tokio::sync::watch;
use uuid::Uuid;

use super::{
    files::{ENTRY, Entry, What, place},
    info_file::InfoFile,
    load::Loaded,
    row::{Compact, Place},
    rows::Rows,
};
use crate::{
    append_file::AppendFile,
    disk::{Disk, DiskFile, Wait, read_exact},
    error::lock,
    layout,
};

/// How long after the last look at the feed it counts as followed.
const FOLLOWED: Duration = Duration::from_secs(10);
/// Entries that may wait to be written, even if nobody follows.
pub(super) const MAX_PENDING: usize = 4096;

pub(crate) struct CatalogState {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) root: PathBuf,
    pub(super) feed_id: Uuid,
    /// The feed, to be read.
    pub(super) feed: Arc<dyn DiskFile>,
    pub(super) memory: Mutex<Memory>,
    /// Held while entries are written, so that they keep their order in the file.
    pub(super) io: Mutex<Written>,
    /// Entries that are on disk.
    pub(super) durable: watch::Sender<u64>,
    pub(super) wake: Condvar,
    pub(super) followers: AtomicUsize,
    /// Whether `.closed` is gone.
    pub(super) opened: AtomicBool,
    /// Whether something changed that no row tells.
    pub(super) unnoted: AtomicBool,
    /// Whether rows may be missing since a crash.
    pub(super) lacks_rows: AtomicBool,
    /// Whether `.catalog` leads into `.infos` otherwise than the rows do.
    pub(super) infos_changed: AtomicBool,
    /// Held while another `.infos` is made.
    pub(super) making_infos: Mutex<()>,
    /// Why the feed cannot be written.
    pub(super) fault: Mutex<Option<String>>,
    pub(crate) closed_cleanly: bool,
    /// When the store was closed, by the file system's clock; none where nothing depends on it.
    pub(crate) closed_at: Option<i128>,
    pub(crate) running_at_start: Vec<ConversationId>,
}

pub(super) struct Memory {
    pub(super) rows: Rows,
    /// Entries yet to be written, and the position after them.
    pub(super) pending: Vec<Entry>,
    pub(super) len: u64,
    /// None until there is something to put in.
    pub(super) infos: Option<InfoFile>,
    pub(super) looked_at: Option<Instant>,
    /// Who writes the feed is in no hurry.
    pub(super) lazy: bool,
    pub(super) stop: bool,
}

pub(super) struct Written {
    /// The feed, to be added to.
    pub(super) feed: AppendFile,
    pub(super) len: u64,
    /// The position that `.catalog` is true of.
    pub(super) catalog: u64,
    pub(super) failed: bool,
}

impl CatalogState {
    pub(super) fn new(disk: Arc<dyn Disk>, root: &Path, loaded: Loaded) -> Self {
        let running = |(id, row, _): (ConversationId, Compact, Place)| {
            (row.status() == ExecutionStatus::Running).then_some(id)
        };
        Self {
            disk,
            root: root.to_owned(),
            feed_id: loaded.feed_id,
            feed: loaded.feed.file(),
            closed_cleanly: loaded.closed_cleanly,
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
            opened: AtomicBool::new(!loaded.closed_cleanly),
            unnoted: AtomicBool::new(false),
            lacks_rows: AtomicBool::new(loaded.lacks_rows),
            infos_changed: AtomicBool::new(loaded.catalog != loaded.len),
            making_infos: Mutex::default(),
            fault: Mutex::default(),
        }
    }

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

    /// Whether changes can be recorded, or why not.
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

    /// Records the row of a conversation that was made, maybe with a log: lists have it at once as it is, and
    /// followers are told that it was created and then that it has grown.
    pub(crate) fn made(&self, row: &Row) {
        let whole = Compact::from(row);
        if whole.len == 0 {
            return self.note(row);
        }
        let empty = Compact {
            len: 0,
            bytes: 0,
            ..whole
        };
        let mut memory = lock(&self.memory);
        memory.rows.put(row.id, whole);
        memory.pending.push(Entry {
            id: row.id,
            what: What::Created,
            from: 0,
            row: empty,
        });
        memory.len += 1;
        self.push(memory, row.id, What::Grown, 0, whole);
    }

    /// Moves the row of a conversation that is written. Where it has none, it gets one only if it `stays`:
    /// what comes late must not bring back what was deleted.
    pub(crate) fn move_row(&self, row: &Row, stays: bool) {
        let created = Compact::from(row).created;
        self.put(row, |old| old.map_or(stays, |old| old.created == created));
    }

    /// Records a row that was read from a conversation's metadata, where there is none. With `whole`,
    /// when it is true of the whole log, also in place of one of a shorter log; what was noted meanwhile
    /// stays.
    pub(crate) fn found(&self, row: &Row, whole: bool) {
        self.put(row, |old| {
            old.is_none_or(|old| whole && old.len <= row.extent.len.0)
        });
    }

    fn put(&self, row: &Row, takes: impl FnOnce(Option<Compact>) -> bool) {
        let compact = Compact::from(row);
        let mut memory = lock(&self.memory);
        let old = memory.rows.get(row.id);
        if !takes(old) || old == Some(compact) {
            return;
        }
        let from = old.map_or(0, |old| old.len);
        let what = match old {
            None if compact.len == 0 => What::Created,
            _ if compact.len > from => What::Grown,
            _ => What::Noted,
        };
        memory.rows.put(row.id, compact);
        self.push(memory, row.id, what, from, compact);
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
        // One that was made with a log has two.
        let first = memory.pending.len() <= 2;
        let followed = memory.lazy && self.is_followed(&memory);
        let soon = memory.pending.len() >= MAX_PENDING || followed;
        drop(memory);
        if first || soon {
            self.wake.notify_all();
        }
    }

    pub(super) fn is_followed(&self, memory: &Memory) -> bool {
        let looked_at = memory.looked_at;
        looked_at.is_some_and(|time| time.elapsed() < FOLLOWED)
            || self.followers.load(Ordering::Acquire) > 0
    }

    /// To be called before anything is changed: from here on the last close counts no more.
    pub(crate) fn reopen(&self) -> io::Result<()> {
        if self.opened.load(Ordering::Acquire) {
            return Ok(());
        }
        // Under the lock, so that a second caller waits until it is done.
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
struct Following<'a>(&'a CatalogState);

impl<'a> Following<'a> {
    fn new(work: &'a CatalogState) -> Self {
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
