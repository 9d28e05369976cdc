use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use core_model::{ConversationId, Metadata, StoreError};

use crate::{
    FsLog, OpenError, Options,
    disk::{Disk, RealDisk},
    error::blocking,
    layout,
    lock::FolderLock,
    meta::create_folders,
    restore::RESTORE_PAUSE,
    store::Store,
};

/// The conversations in one folder, which this process alone may change while the store, or a log
/// it opened, lives. Clones are the same store.
///
/// A server uses it by the ports of [`core_model`]: [`core_model::Catalog`] to make, list and delete
/// conversations, [`core_model::Claims`] to write them, [`core_model::Feed`] to follow all of them,
/// [`core_model::port::Receipts`], and, after [`Self::keep_deliveries`],
/// [`core_model::port::DeliveryRecords`]. Their async methods need a tokio runtime. A tool that appends
/// needs none:
///
/// ```
#[doc = include_str!("example.txt")]
/// use store_fs::{FsStore, Options};
///
/// let store = FsStore::open(&root, Options::default())?; // refused while a server runs
/// let log = store.open_log_blocking(id)?;
/// log.append_blocking(&[message("a note")], None)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// As a server does it:
///
/// ```
#[doc = include_str!("example.txt")]
/// use core_model::Catalog;
/// use store_fs::{FsStore, Options};
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let store = FsStore::open(&root, Options::default())?;
/// let metadata = metadata();
/// store.create(&metadata).await?;
/// let log = store.open_log(metadata.id).await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct FsStore(pub(crate) Arc<Store>);

impl FsStore {
    /// Opens the conversations folder `root`: makes it when it is missing, locks it, checks that it
    /// can be written to, and reads the list of conversations. After a crash the first question about the list
    /// looks through the folder, completes the list, and clears away what was left half made or half
    /// removed. Blocks.
    ///
    /// # Errors
    /// [`OpenError::Unusable`] names the folder and the operating system's user;
    /// [`OpenError::Locked`] the server that holds the folder.
    ///
    /// ```
    /// use store_fs::{FsStore, OpenError, Options};
    ///
    /// let root = tempfile::tempdir()?;
    /// let store = FsStore::open(root.path(), Options::default())?;
    /// let second = FsStore::open(root.path(), Options::default());
    /// assert!(matches!(second, Err(OpenError::Locked { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
        Self::open_on(
            Arc::new(RealDisk),
            &root,
            options,
            RESTORE_PAUSE,
            Some(lock),
        )
        .map_err(at_root)
    }

    pub(crate) fn open_on(
        disk: Arc<dyn Disk>,
        root: &Path,
        options: Options,
        restore_pause: Duration,
        lock: Option<FolderLock>,
    ) -> io::Result<Self> {
        let store = Store::open(disk, root, options, restore_pause, lock)?;
        Ok(Self(Arc::new(store)))
    }

    /// [`core_model::Catalog::open`] with the concrete type.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Damaged`] when the conversation has no log file, or its
    /// metadata cannot be read. A torn last line is moved to a file of its own and damaged lines are skipped, see
    /// [`FsLog`].
    ///
    /// ```
    #[doc = include_str!("example.txt")]
    /// use core_model::{Limit, LogReader, Seq};
    /// use store_fs::{FsStore, Options};
    ///
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let log = FsStore::open(&root, Options::default())?.open_log(id).await?;
    /// let page = log.read(Seq(1), Limit::records(100)).await?;
    /// assert_eq!((log.len(), page.len()), (Seq(3), 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn open_log(&self, id: ConversationId) -> Result<FsLog, StoreError> {
        self.run(move |store| store.open_log(id)).await
    }

    /// [`Self::open_log`] without a runtime.
    ///
    /// # Errors
    /// As [`Self::open_log`].
    ///
    /// ```
    #[doc = include_str!("example.txt")]
    /// use core_model::Seq;
    /// use store_fs::{FsStore, Options};
    ///
    /// let log = FsStore::open(&root, Options::default())?.open_log_blocking(id)?;
    /// assert_eq!(log.len(), Seq(3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open_log_blocking(&self, id: ConversationId) -> Result<FsLog, StoreError> {
        self.0.open_log(id)
    }

    /// [`core_model::Catalog::create`] without a runtime.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the id is taken.
    ///
    /// ```
    /// use core_model::{Metadata, Workspace, WorkspaceKind};
    /// use store_fs::{FsStore, Options};
    ///
    /// let root = tempfile::tempdir()?;
    /// let workspace = Workspace {
    ///     working_dir: "workspace/project".to_owned(),
    ///     kind: WorkspaceKind::LocalWorkspace,
    /// };
    /// let metadata = Metadata::new(serde_json::json!({"kind": "Agent"}), workspace);
    /// let store = FsStore::open(root.path(), Options::default())?;
    /// store.create_blocking(&metadata)?;
    /// assert_eq!(store_fs::conversations(root.path())?[0].id, metadata.id);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn create_blocking(&self, metadata: &Metadata) -> Result<(), StoreError> {
        self.0.create(metadata)
    }

    /// The conversations folder, absolute.
    ///
    /// ```
    /// use store_fs::{FsStore, Options};
    ///
    /// let root = tempfile::tempdir()?;
    /// let store = FsStore::open(root.path(), Options::default())?;
    /// assert_eq!(store.root(), root.path().canonicalize()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    /// The folder of the conversation with this id, if there is one.
    ///
    /// ```
    #[doc = include_str!("example.txt")]
    /// use store_fs::{FsStore, Options};
    ///
    /// let store = FsStore::open(&root, Options::default())?;
    /// assert!(store.folder(id).join("events.jsonl").exists());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn folder(&self, id: ConversationId) -> PathBuf {
        self.0.folder(id)
    }

    /// Whether the store was closed cleanly the last time: then the list is whole at once, and nobody waits
    /// for a look through the folder.
    ///
    /// ```
    /// use core_model::Catalog;
    /// use store_fs::{FsStore, Options};
    ///
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let root = tempfile::tempdir()?;
    /// let store = FsStore::open(root.path(), Options::default())?;
    /// assert!(!store.was_closed_cleanly(), "it is new");
    /// store.close().await?;
    /// drop(store);
    /// assert!(FsStore::open(root.path(), Options::default())?.was_closed_cleanly());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn was_closed_cleanly(&self) -> bool {
        self.0.context.catalog.closed_cleanly
    }

    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = self.0.clone();
        blocking(&self.0.root, move || work(&store)).await
    }
}

/// Whether files can be made here: a folder's mode does not tell on a read-only or foreign disk.
fn probe(root: &Path) -> io::Result<()> {
    let path = layout::probe(root);
    fs::write(&path, b"")?;
    fs::remove_file(&path)
}
