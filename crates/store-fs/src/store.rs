//! The folder of all conversations: making, changing and opening them, one at a time each.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use core_model::{
    ConversationId, ExecutionStatus, Extent, Metadata, Row, StoreError, port::RECEIPTS,
};
use uuid::Uuid;

use crate::{
    Durability, FsLog, Options,
    at_rest::at_rest,
    catalog::CatalogFile,
    committer::Committer,
    deliveries::DeliveryFolder,
    disk::{Disk, Open},
    error::{io_at, lock},
    flusher::Flusher,
    group_sync::{Before, GroupSync},
    layout,
    lock::FolderLock,
    meta::{read_metadata, write_metadata, write_new},
    open_log::{LogContext, OpenLog},
    receipts::ReceiptFiles,
    spending::SpendingFile,
    start_scan::StartScan,
};

/// Slots beyond which those that nobody uses are forgotten.
const SLOTS: usize = 1024;

pub(crate) struct Store {
    pub(crate) root: PathBuf,
    /// Tells what this store has half made from what an earlier one left.
    pub(crate) run: Uuid,
    /// One slot a conversation that is in use: changes to it take turns on it, and it leads to the
    /// one open log.
    slots: Mutex<HashMap<ConversationId, Slot>>,
    pub(crate) root_sync: GroupSync,
    /// Whether names in the store's folder may not be durable since a sync failed.
    root_unsure: Mutex<bool>,
    /// Conversations that were made but whose names may not be durable, as they were made.
    pub(crate) unsynced_names: Mutex<HashMap<ConversationId, Row>>,
    pub(crate) receipts: ReceiptFiles,
    pub(crate) spending: SpendingFile,
    pub(crate) start_scan: StartScan,
    /// The latest claim's, of whichever conversation.
    epoch: AtomicU64,
    /// Where deleted conversations wait, if they do.
    pub(crate) deliveries: OnceLock<DeliveryFolder>,
    pub(crate) context: LogContext,
}

/// The open log, which lives only as long as someone uses it.
pub(crate) type Slot = Arc<Mutex<Weak<OpenLog>>>;

impl Drop for Store {
    fn drop(&mut self) {
        // They hold what this holds.
        self.context.health.clear();
    }
}

impl Store {
    /// Reads the list of the conversations in `root`, which is there.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        root: &Path,
        options: Options,
        restore_pause: Duration,
        lock: Option<FolderLock>,
    ) -> io::Result<Self> {
        let flusher = match options.durability {
            Durability::Interval(interval) => Some(Arc::new(Flusher::start(interval)?)),
            Durability::Always | Durability::Os => None,
        };
        let catalog = Arc::new(CatalogFile::open(Arc::clone(&disk), root)?);
        Ok(Self {
            root: root.to_owned(),
            start_scan: StartScan::new(&catalog.running_at_start),
            epoch: AtomicU64::default(),
            run: Uuid::new_v4(),
            slots: Mutex::default(),
            root_sync: GroupSync::default(),
            root_unsure: Mutex::default(),
            unsynced_names: Mutex::default(),
            receipts: ReceiptFiles::new(
                Arc::clone(&disk),
                root.to_owned(),
                layout::receipts(root),
                RECEIPTS,
            ),
            spending: SpendingFile::new(Arc::clone(&disk), layout::spending_file(root)),
            deliveries: OnceLock::new(),
            context: LogContext {
                durability: options.durability,
                restore_pause,
                committer: Arc::new(Committer::new()),
                flusher,
                health: Arc::default(),
                notices: Arc::default(),
                catalog,
                disk,
                _lock: lock.map(Arc::new),
            },
        })
    }

    pub(crate) fn create(&self, metadata: &Metadata) -> Result<(), StoreError> {
        let id = metadata.id;
        self.reopen()?;
        let slot = self.slot(id);
        // Held to the end: others that want this conversation wait until it is durable and listed.
        let _turn = lock(&slot);
        let disk = self.context.disk.as_ref();
        let folder = self.folder(id);
        let before = self.root_sync.begin();
        if disk.exists(&folder) {
            // The caller that made it may still wait for this, or have failed at it.
            self.sync_name(id, before)?;
            return Err(StoreError::Exists(id));
        }
        // The row of one that was deleted half, if there is any.
        self.tell_gone(id)?;
        let making = layout::making(&self.root, self.run);
        let made = fill(disk, &making, metadata)
            .and_then(|()| disk.rename(&making, &folder).map_err(io_at(&folder)));
        if made.is_err() {
            disk.remove_dir_all(&making).ok();
            return made;
        }
        let row = Row {
            id,
            created_at: metadata.created_at,
            updated_at: metadata.created_at,
            status: ExecutionStatus::Idle,
            extent: Extent::default(),
            bytes: 0,
        };
        lock(&self.unsynced_names).insert(id, row);
        self.sync_name(id, before)?;
        self.show(metadata);
        Ok(())
    }

    pub(crate) fn metadata(&self, id: ConversationId) -> Result<Metadata, StoreError> {
        read_metadata(self.context.disk.as_ref(), &self.folder(id), id)
    }

    /// Replaces metadata, if that is still allowed when its turn comes.
    pub(crate) fn set_metadata_if(
        &self,
        metadata: &Metadata,
        allowed: impl FnOnce() -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.reopen()?;
        let slot = self.slot(metadata.id);
        let _turn = lock(&slot);
        allowed()?;
        let folder = self.folder(metadata.id);
        if !self.context.disk.exists(&folder) {
            return Err(StoreError::NotFound(metadata.id));
        }
        self.context.catalog.forget_info(metadata.id, None);
        write_metadata(self.context.disk.as_ref(), &folder, metadata)?;
        self.show(metadata);
        Ok(())
    }

    /// Keeps what lists show of a conversation, in whose turn its metadata was stored.
    pub(crate) fn show(&self, metadata: &Metadata) {
        if let Some((_, shown)) = at_rest(metadata, &self.folder(metadata.id)) {
            self.context.catalog.show(&shown);
        }
    }

    pub(crate) fn open_log(&self, id: ConversationId) -> Result<FsLog, StoreError> {
        self.reopen_to_read(id);
        let slot = self.slot(id);
        self.open_in_turn(id, &mut lock(&slot))
    }

    /// The log, if it is open.
    pub(crate) fn open_already(&self, id: ConversationId) -> Option<FsLog> {
        let slot = self.slot_in_use(id)?;
        let known = lock(&slot);
        known.upgrade().map(FsLog)
    }

    /// The slot of a conversation that is in use.
    pub(crate) fn slot_in_use(&self, id: ConversationId) -> Option<Slot> {
        lock(&self.slots).get(&id).cloned()
    }

    /// A new claim's epoch.
    pub(crate) fn next_epoch(&self) -> u64 {
        self.epoch.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Gives back all claims.
    pub(crate) fn give_back_claims(&self) {
        let slots: Vec<Slot> = lock(&self.slots).values().cloned().collect();
        for slot in slots {
            let log = lock(&slot).upgrade();
            if let Some(log) = log {
                lock(&log.queue).held = None;
            }
        }
    }

    /// Opening a log may repair something. A disk that refuses this refuses that too, and can be read.
    pub(crate) fn reopen_to_read(&self, id: ConversationId) {
        if let Err(error) = self.reopen() {
            tracing::warn!(conversation.id = %id, %error, "opened on a disk that takes no writes");
        }
    }

    /// [`Self::open_log`] for who holds its turn.
    pub(crate) fn open_in_turn(
        &self,
        id: ConversationId,
        known: &mut Weak<OpenLog>,
    ) -> Result<FsLog, StoreError> {
        if let Some(log) = known.upgrade() {
            return Ok(FsLog(log));
        }
        self.sync_name(id, self.root_sync.begin())?;
        let folder = self.folder(id);
        // Also to refuse a folder of a newer format before its log is touched.
        let mut metadata = self.metadata(id)?;
        let (log, torn) = FsLog::load(id, &folder, self.context.clone())?;
        if let Some(torn) = torn {
            metadata.torn.push(torn);
            let disk = self.context.disk.as_ref();
            if let Err(error) = write_metadata(disk, &folder, &metadata) {
                // The file that was moved aside is there all the same.
                tracing::warn!(conversation.id = %id, %error, "the metadata does not tell of an unfinished line");
            }
        }
        *known = Arc::downgrade(&log.0);
        Ok(log)
    }

    pub(crate) fn folder(&self, id: ConversationId) -> PathBuf {
        layout::folder(&self.root, id)
    }

    /// Before anything changes: the list is then not whole any more without looking. Nothing is built
    /// on names that a power cut could take.
    pub(crate) fn reopen(&self) -> Result<(), StoreError> {
        let reopened = self.context.catalog.reopen();
        reopened.map_err(io_at(&self.root))?;
        let mut unsure = lock(&self.root_unsure);
        if *unsure {
            let synced = self.context.disk.sync_dir(&self.root);
            synced.map_err(io_at(&self.root))?;
            *unsure = false;
        }
        Ok(())
    }

    /// Makes names in the store's folder durable, for all who wait for that at once.
    pub(crate) fn sync_root(&self, before: Before) -> Result<(), StoreError> {
        let disk = &self.context.disk;
        let synced = self.root_sync.run(before, || disk.sync_dir(&self.root));
        if synced.is_err() {
            *lock(&self.root_unsure) = true;
        }
        synced.map_err(io_at(&self.root))
    }

    pub(crate) fn slot(&self, id: ConversationId) -> Slot {
        let mut slots = lock(&self.slots);
        if slots.len() >= SLOTS && slots.len() == slots.capacity() {
            slots.retain(|_, slot| Arc::strong_count(slot) > 1 || lock(slot).strong_count() > 0);
        }
        slots.entry(id).or_default().clone()
    }
}

/// Makes a conversation's folder with its files, durably but for its own name.
fn fill(disk: &dyn Disk, folder: &Path, metadata: &Metadata) -> Result<(), StoreError> {
    disk.create_dir(folder).map_err(io_at(folder))?;
    let events = folder.join(layout::EVENTS);
    disk.open(&events, Open::MakeNew).map_err(io_at(&events))?;
    let path = folder.join(layout::METADATA);
    let text = serde_json::to_vec(metadata).map_err(|error| io_at(&path)(error.into()))?;
    // The folder gets its name as a whole, so that its files need no names before.
    write_new(disk, &path, &text).map_err(io_at(&path))?;
    disk.sync_dir(folder).map_err(io_at(folder))
}
