//! One log in memory: its files, what is visible of it, and what waits to be written. What is done with
//! it is in the files that extend it: `append`, `pages/`, `rebuild`, `restore`, `claims`, `deletion`.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, PoisonError, RwLock, Weak, atomic::AtomicBool},
    time::Duration,
};

use core_model::{ConversationId, StoreError};
use tokio::sync::watch;

use crate::{
    Durability,
    catalog::CatalogFile,
    closed::Closed,
    committer::Committer,
    disk::{Disk, DiskFile},
    durable::Durable,
    error::{io_at, lock},
    extent::Extent,
    flusher::Flusher,
    health::Health,
    ids::IdTable,
    index::Index,
    large::LargeLines,
    lock::FolderLock,
    notices::Notices,
    queue::Queue,
};

/// What a store lends to its logs.
#[derive(Clone)]
pub(crate) struct LogContext {
    /// How often a poisoned log is looked at again.
    pub(crate) restore_pause: Duration,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) durability: Durability,
    pub(crate) committer: Arc<Committer>,
    pub(crate) flusher: Option<Arc<Flusher>>,
    pub(crate) health: Arc<Health>,
    pub(crate) notices: Arc<Notices>,
    pub(crate) catalog: Arc<CatalogFile>,
    /// Last, so that the folder is free only when all else is done. None where tests need none.
    pub(crate) _lock: Option<Arc<FolderLock>>,
}

pub(crate) struct OpenLog {
    pub(crate) id: ConversationId,
    pub(crate) folder: PathBuf,
    pub(crate) path: PathBuf,
    pub(crate) index_path: PathBuf,
    pub(crate) itself: Weak<OpenLog>,
    pub(crate) file: RwLock<Arc<dyn DiskFile>>,
    pub(crate) index: RwLock<Index>,
    /// What is visible.
    pub(crate) extent: watch::Sender<Extent>,
    pub(crate) queue: Mutex<Queue>,
    /// Told when nobody writes to the file any more.
    pub(crate) rested: Condvar,
    /// Written to since the last sync; only kept for [`Durability::Interval`].
    pub(crate) unsynced: Arc<AtomicBool>,
    /// Made at the first search for an id.
    pub(crate) ids: Mutex<Option<IdTable>>,
    pub(crate) durable: Arc<Durable>,
    /// Held while the log is looked at to be restored.
    pub(crate) restoring: Mutex<()>,
    /// Held while the index is rebuilt.
    pub(crate) rebuilding: Mutex<()>,
    /// Records whose line turned out to be damaged since the log was opened.
    pub(crate) suspects: Mutex<BTreeSet<u64>>,
    pub(crate) large_lines: LargeLines,
    pub(crate) context: LogContext,
}

impl Drop for OpenLog {
    fn drop(&mut self) {
        let bytes = self.extent().bytes;
        if self.is_gone() {
            return;
        }
        let row = self.context.catalog.row(self.id);
        if row.is_none_or(|row| row.bytes != bytes) {
            self.context.catalog.leaves_unnoted();
        }
    }
}

impl OpenLog {
    pub(crate) fn extent(&self) -> Extent {
        *self.extent.borrow()
    }

    pub(crate) fn file(&self) -> Arc<dyn DiskFile> {
        self.file
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn replace_file(&self, file: Arc<dyn DiskFile>) {
        *self.file.write().unwrap_or_else(PoisonError::into_inner) = file;
    }

    pub(crate) fn index(&self) -> Index {
        self.index
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether the conversation is deleted.
    pub(crate) fn is_gone(&self) -> bool {
        let closed = &lock(&self.queue).closed;
        matches!(closed, Some(Closed::Deleted | Closed::InOutbox))
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        matches!(lock(&self.queue).closed, Some(Closed::Poisoned(_)))
    }

    /// An append after a clean close takes that back.
    pub(crate) fn reopen(&self) -> Result<(), StoreError> {
        if let Some(closed @ (Closed::Deleted | Closed::InOutbox)) = &lock(&self.queue).closed {
            // It changes nothing.
            return Err(closed.error(self.id));
        }
        let reopened = self.context.catalog.reopen();
        reopened.map_err(io_at(&self.path))
    }
}
