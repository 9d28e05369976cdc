use std::{
    collections::HashMap,
    fs::{self, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use core_model::{
    Catalog, ConversationId, EventLog, ExecutionStatus, Feed, Metadata, Row, Seq, StoreError,
    port::{Digest, FeedEntry, ListPage, ListQuery, Notice, Receipt, Receipts},
};

use crate::{
    Durability, FsLog, OpenError,
    committer::Committer,
    disk::RealDisk,
    error::{blocking, io_at, lock},
    flusher::Flusher,
    layout,
    lock::FolderLock,
    log::{LogContext, WeakLog},
    meta::{create_folders, create_private_folder, read_metadata, sync_folder, write_metadata},
};

/// How a store behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    pub durability: Durability,
}

/// The conversations in one folder, which this process alone may change while the store, or a log
/// it opened, lives. Clones are the same store.
///
/// The async methods need a tokio runtime.
#[derive(Clone)]
pub struct FsStore(Arc<Store>);

struct Store {
    root: PathBuf,
    /// One slot a conversation touched so far, never taken away: changes to a conversation take
    /// turns on it, and it leads to the one open log.
    slots: Mutex<HashMap<ConversationId, Slot>>,
    context: LogContext,
    interim: crate::interim::Interim,
}

type Slot = Arc<Mutex<WeakLog>>;

impl FsStore {
    /// Opens the conversations folder `root`: makes it when it is missing, locks it, checks that it
    /// can be written to, and clears away what a crash left half made or half removed. Blocks.
    ///
    /// # Errors
    /// [`OpenError::Unusable`] names the folder and the operating system's user;
    /// [`OpenError::Locked`] the server that holds the folder.
    pub fn open(root: &Path, options: Options) -> Result<Self, OpenError> {
        create_folders(root).map_err(|source| OpenError::unusable(root, source))?;
        let at_root = |source| OpenError::Io {
            path: root.to_owned(),
            source,
        };
        // Absolute, so that the folder stays the same if the working directory changes.
        let root = fs::canonicalize(root).map_err(at_root)?;
        let lock = FolderLock::take(&root)?;
        probe(&root).map_err(|source| OpenError::unusable(&root, source))?;
        clear_leftovers(&root).map_err(at_root)?;
        let flusher = match options.durability {
            Durability::Interval(interval) => {
                Some(Arc::new(Flusher::start(interval).map_err(at_root)?))
            }
            Durability::Always | Durability::Os => None,
        };
        Ok(Self(Arc::new(Store {
            root,
            slots: Mutex::default(),
            interim: crate::interim::Interim::default(),
            context: LogContext {
                durability: options.durability,
                flusher,
                health: Arc::default(),
                disk: Arc::new(RealDisk),
                committer: Arc::new(Committer::new()),
                notices: Arc::default(),
                _lock: Some(Arc::new(lock)),
            },
        })))
    }

    /// [`Catalog::open`] with the concrete type.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Damaged`] when the conversation has no log file, or its
    /// metadata cannot be read. A torn last line is mended and damaged lines are passed over, see
    /// [`FsLog`].
    pub async fn open_log(&self, id: ConversationId) -> Result<FsLog, StoreError> {
        self.run(move |store| store.open_log(id)).await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = self.0.clone();
        blocking(&self.0.root, move || work(&store)).await
    }
}

#[async_trait]
impl Catalog for FsStore {
    async fn create(&self, metadata: &Metadata) -> Result<(), StoreError> {
        let row = Row {
            id: metadata.id,
            created_at: metadata.created_at,
            updated_at: metadata.created_at,
            status: ExecutionStatus::Idle,
            len: Seq(0),
            bytes: 0,
        };
        let metadata = metadata.clone();
        self.run(move |store| store.create(&metadata)).await?;
        self.0.interim.note(row);
        Ok(())
    }

    fn list(&self, query: &ListQuery) -> ListPage {
        self.0.interim.list(query)
    }

    fn count(&self, status: Option<ExecutionStatus>) -> u64 {
        self.0.interim.count(status)
    }

    fn row(&self, id: ConversationId) -> Option<Row> {
        self.0.interim.row(id)
    }

    fn note(&self, row: Row) {
        self.0.interim.note(row);
    }

    fn closed_in_order(&self) -> bool {
        false
    }

    async fn check(&self) -> Result<Vec<ConversationId>, StoreError> {
        let all = self.run(Store::list).await?;
        let unfit = |(metadata, bytes): &(Metadata, u64)| {
            self.row(metadata.id).is_none_or(|row| row.bytes != *bytes)
        };
        Ok(all
            .iter()
            .filter(|one| unfit(one))
            .map(|(metadata, _)| metadata.id)
            .collect())
    }

    async fn metadata_of(
        &self,
        ids: &[ConversationId],
    ) -> Result<Vec<Option<Metadata>>, StoreError> {
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            found.push(self.metadata(*id).await.ok());
        }
        Ok(found)
    }

    fn notices(&self) -> Vec<Notice> {
        self.0.context.notices.all()
    }

    async fn metadata(&self, id: ConversationId) -> Result<Metadata, StoreError> {
        self.run(move |store| read_metadata(&store.folder(id), id))
            .await
    }

    async fn set_metadata(&self, metadata: &Metadata) -> Result<(), StoreError> {
        let metadata = metadata.clone();
        self.run(move |store| store.set_metadata(&metadata)).await
    }

    async fn open(&self, id: ConversationId) -> Result<Arc<dyn EventLog>, StoreError> {
        Ok(Arc::new(self.open_log(id).await?))
    }

    async fn delete(&self, id: ConversationId) -> Result<(), StoreError> {
        self.run(move |store| store.delete(id)).await?;
        self.0.interim.gone(id);
        Ok(())
    }

    fn folder(&self, id: ConversationId) -> PathBuf {
        self.0.folder(id)
    }

    fn ready(&self) -> Result<(), String> {
        self.0.context.health.check()
    }
}

#[async_trait]
impl Feed for FsStore {
    fn feed_id(&self) -> uuid::Uuid {
        self.0.interim.id
    }

    fn feed_len(&self) -> u64 {
        self.0.interim.feed_len()
    }

    async fn feed_entries(&self, from: u64, limit: usize) -> Result<Vec<FeedEntry>, StoreError> {
        Ok(self.0.interim.feed_entries(from, limit))
    }

    async fn feed_grown(&self, len: u64) {
        loop {
            let grown = self.0.interim.grown.notified();
            tokio::pin!(grown);
            grown.as_mut().enable();
            if self.feed_len() > len {
                return;
            }
            grown.await;
        }
    }
}

#[async_trait]
impl Receipts for FsStore {
    async fn begin(&self, key: Digest, request: Digest) -> Result<Option<Receipt>, StoreError> {
        Ok(self.0.interim.begin(key, request))
    }

    async fn finish(&self, key: Digest, answer: Bytes) -> Result<(), StoreError> {
        self.0.interim.finish(key, answer);
        Ok(())
    }
}

impl Store {
    fn create(&self, metadata: &Metadata) -> Result<(), StoreError> {
        let id = metadata.id;
        let slot = self.slot(id);
        let _turn = lock(&slot);
        let folder = self.folder(id);
        if folder.exists() {
            return Err(StoreError::Exists(id));
        }
        let making = layout::making(&self.root, id);
        let made = fill(&making, metadata)
            .and_then(|()| fs::rename(&making, &folder).map_err(io_at(&folder)));
        if made.is_err() {
            fs::remove_dir_all(&making).ok();
            return made;
        }
        sync_folder(&self.root).map_err(io_at(&self.root))
    }

    fn list(&self) -> Result<Vec<(Metadata, u64)>, StoreError> {
        let at_root = |error| io_at(&self.root)(error);
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(at_root)? {
            let name = entry.map_err(at_root)?.file_name();
            let Some(id) = name.to_str().and_then(layout::conversation) else {
                continue;
            };
            match self.summary(id) {
                Ok(summary) => found.push(summary),
                // Removed since its name was read.
                Err(StoreError::NotFound(_)) => {}
                Err(error) => {
                    tracing::warn!(conversation.id = %id, %error, "left out of the list");
                }
            }
        }
        Ok(found)
    }

    fn summary(&self, id: ConversationId) -> Result<(Metadata, u64), StoreError> {
        let folder = self.folder(id);
        let metadata = read_metadata(&folder, id)?;
        let events = folder.join(layout::EVENTS);
        match fs::metadata(&events) {
            Ok(file) => Ok((metadata, file.len())),
            Err(_) if !folder.exists() => Err(StoreError::NotFound(id)),
            Err(error) => Err(io_at(&events)(error)),
        }
    }

    fn set_metadata(&self, metadata: &Metadata) -> Result<(), StoreError> {
        let slot = self.slot(metadata.id);
        let _turn = lock(&slot);
        let folder = self.folder(metadata.id);
        if !folder.exists() {
            return Err(StoreError::NotFound(metadata.id));
        }
        write_metadata(&folder, metadata)
    }

    fn open_log(&self, id: ConversationId) -> Result<FsLog, StoreError> {
        let slot = self.slot(id);
        let mut known = lock(&slot);
        if let Some(log) = known.upgrade() {
            return Ok(log);
        }
        let folder = self.folder(id);
        // Only to refuse a folder of a newer format before its log is touched.
        read_metadata(&folder, id)?;
        let (log, torn) = FsLog::load(id, &folder, self.context.clone())?;
        if let Some(torn) = torn {
            let mut metadata = read_metadata(&folder, id)?;
            metadata.torn.push(torn);
            write_metadata(&folder, &metadata)?;
        }
        *known = log.downgrade();
        Ok(log)
    }

    fn delete(&self, id: ConversationId) -> Result<(), StoreError> {
        let slot = self.slot(id);
        let mut known = lock(&slot);
        let removing = layout::removing(&self.root, id);
        let hide = || {
            let folder = self.folder(id);
            match fs::rename(&folder, &removing) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    Err(StoreError::NotFound(id))
                }
                renamed => renamed.map_err(io_at(&folder)),
            }
        };
        match known.upgrade() {
            Some(log) => log.0.delete(hide)?,
            None => hide()?,
        }
        *known = WeakLog::default();
        sync_folder(&self.root).map_err(io_at(&self.root))?;
        if let Err(error) = fs::remove_dir_all(&removing) {
            tracing::warn!(
                conversation.id = %id,
                %error,
                "the conversation is deleted, but some of its files remain until the next start"
            );
        }
        Ok(())
    }

    fn folder(&self, id: ConversationId) -> PathBuf {
        layout::folder(&self.root, id)
    }

    fn slot(&self, id: ConversationId) -> Slot {
        lock(&self.slots).entry(id).or_default().clone()
    }
}

/// Makes a conversation's folder with its files, durably but for its own name.
fn fill(folder: &Path, metadata: &Metadata) -> Result<(), StoreError> {
    create_private_folder(folder).map_err(io_at(folder))?;
    let events = folder.join(layout::EVENTS);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&events)
        .and_then(|file| file.sync_all())
        .map_err(io_at(&events))?;
    // Last, since it also syncs the folder.
    write_metadata(folder, metadata)
}

/// Whether files can be made here: a folder's mode does not tell on a read-only or foreign disk.
fn probe(root: &Path) -> io::Result<()> {
    let path = layout::probe(root);
    fs::write(&path, b"")?;
    fs::remove_file(&path)
}

fn clear_leftovers(root: &Path) -> io::Result<()> {
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let name = entry.file_name();
        if !name.to_str().is_some_and(layout::is_leftover) {
            continue;
        }
        let removed = if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())
        } else {
            fs::remove_file(entry.path())
        };
        match removed {
            Ok(()) => tracing::info!(name = %name.display(), "removed what a crash left behind"),
            Err(error) => {
                tracing::warn!(name = %name.display(), %error, "could not remove a leftover");
            }
        }
    }
    Ok(())
}
