//! The records of followers, for a store that keeps them.

use std::{
    io,
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use async_trait::async_trait;
use core_model::{
    ConversationKey, LogReader, Metadata, StoreError,
    port::{DeletedConversation, DeliveryRecords, FollowerChange, FollowerRecords},
};

use crate::{
    FsLog, FsStore, OpenError,
    deliveries::{DeliveryFolder, fold},
    lock::FolderLock,
    meta::{create_folders, parent, read_metadata},
    store::Store,
};

impl FsStore {
    /// Keeps records of followers in `folder`, which is made when it is missing (0700). From now on a
    /// conversation that is deleted waits there, in `outbox/`, until it is discarded; without this call
    /// it goes at once. Clears away what a crash left half copied or half removed. Blocks.
    ///
    /// A second call with the same folder changes nothing.
    ///
    /// # Errors
    /// [`OpenError::DeliveriesLocked`] when another store keeps its records there; [`OpenError::Io`] when the
    /// folder cannot be made or read, or when this store keeps another one.
    ///
    /// ```
    #[doc = include_str!("example.txt")]
    /// use core_model::{Catalog, port::DeliveryRecords};
    /// use store_fs::{FsStore, Options};
    ///
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let store = FsStore::open(&root, Options::default())?;
    /// store.keep_deliveries(&root.join(".webhooks"))?;
    /// store.delete(id).await?;
    /// let waits = store.deleted().await?[0].conversation;
    /// let (_metadata, log) = store.open_deleted(waits).await?;
    /// assert_eq!(log.visible().len, core_model::Seq(3));
    /// store.discard(waits).await?;
    /// assert!(store.deleted().await?.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn keep_deliveries(&self, folder: &Path) -> Result<(), OpenError> {
        let at = |source| OpenError::Io {
            path: folder.to_owned(),
            source,
        };
        let absolute = || {
            create_folders(parent(folder))?;
            // So that it stays the same if the working directory changes.
            let name = folder.file_name().ok_or(io::ErrorKind::InvalidInput)?;
            let path = parent(folder).canonicalize()?.join(name);
            let disk = &self.0.context.disk;
            if !disk.exists(&path) {
                disk.create_dir(&path)?;
            }
            Ok(path)
        };
        let path = absolute().map_err(at)?;
        let lock = match self.0.deliveries.get() {
            None => Some(FolderLock::take(&path).map_err(OpenError::of_deliveries)?),
            Some(_) => None,
        };
        let kept = self.keep_deliveries_in(&path).map_err(at)?;
        if let Some(lock) = lock {
            kept.lock.get_or_init(|| lock);
        }
        Ok(())
    }

    /// Whether a conversation that is deleted from now on waits for followers; without
    /// [`Self::keep_deliveries`] none does.
    pub fn keep_deleted(&self, keep: bool) {
        if let Some(kept) = self.0.deliveries.get() {
            kept.keeps_deleted.store(keep, Ordering::Release);
        }
    }

    /// [`Self::keep_deliveries`] below a folder that is there.
    pub(crate) fn keep_deliveries_in(&self, folder: &Path) -> io::Result<&DeliveryFolder> {
        let kept = match self.0.deliveries.get() {
            Some(kept) => kept,
            None => {
                let made = DeliveryFolder::open(folder, &self.0.context.disk)?;
                made.outbox.clear(&self.0.root)?;
                self.0.deliveries.get_or_init(|| made)
            }
        };
        if kept.folder != folder {
            let elsewhere = format!("deliveries are kept in {}", kept.folder.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, elsewhere));
        }
        Ok(kept)
    }
}

impl Store {
    /// As the port's method. Blocks.
    pub(crate) fn open_deleted(
        &self,
        conversation: ConversationKey,
    ) -> Result<(Metadata, FsLog), StoreError> {
        let (id, folder) = (conversation.id, self.kept()?.outbox.path(conversation));
        let metadata = read_metadata(self.context.disk.as_ref(), &folder, id)?;
        let log = FsLog::load_deleted(id, &folder, self.context.clone())?;
        Ok((metadata, log))
    }

    fn kept(&self) -> Result<&DeliveryFolder, StoreError> {
        let none = || StoreError::Unavailable("no records of deliveries are kept".to_owned());
        self.deliveries.get().ok_or_else(none)
    }

    /// Whether the cursor of a conversation can still be of use.
    fn has(&self, kept: &DeliveryFolder, conversation: &ConversationKey) -> bool {
        // In this order: one that is being deleted is in the outbox before it leaves the list.
        let row = self.context.catalog.row(conversation.id);
        row.is_some_and(|row| row.created_at == conversation.created_at)
            || self.context.disk.exists(&kept.outbox.path(*conversation))
    }
}

/// [`StoreError::Unavailable`] before [`FsStore::keep_deliveries`].
#[async_trait]
impl DeliveryRecords for FsStore {
    async fn followers(&self) -> Result<Vec<String>, StoreError> {
        self.run(|store| store.kept()?.notes.followers()).await
    }

    async fn load(&self, follower: &str) -> Result<Option<FollowerRecords>, StoreError> {
        let follower = follower.to_owned();
        self.run(move |store| Ok(fold(store.kept()?.notes.read(&follower)?)))
            .await
    }

    async fn change(&self, follower: &str, changes: Vec<FollowerChange>) -> Result<(), StoreError> {
        let follower = follower.to_owned();
        self.run(move |store| store.kept()?.notes.append(&follower, &changes))
            .await
    }

    async fn flush(&self, follower: &str) -> Result<(), StoreError> {
        let follower = follower.to_owned();
        self.run(move |store| {
            let kept = store.kept()?;
            kept.notes.sync(&follower, |of| store.has(kept, of))
        })
        .await
    }

    async fn forget_follower(&self, follower: &str) -> Result<(), StoreError> {
        let follower = follower.to_owned();
        self.run(move |store| store.kept()?.notes.forget(&follower))
            .await
    }

    async fn deleted(&self) -> Result<Vec<DeletedConversation>, StoreError> {
        self.run(|store| store.kept()?.outbox.list()).await
    }

    async fn open_deleted(
        &self,
        conversation: ConversationKey,
    ) -> Result<(Metadata, Arc<dyn LogReader>), StoreError> {
        let (metadata, log) = self
            .run(move |store| store.open_deleted(conversation))
            .await?;
        Ok((metadata, Arc::new(log)))
    }

    async fn discard(&self, conversation: ConversationKey) -> Result<(), StoreError> {
        self.run(move |store| store.kept()?.outbox.discard(conversation))
            .await
    }
}
