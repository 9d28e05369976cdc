use std::{io, path::Path};

use crate::{
    FsDeliveryRecords, FsStore, OpenError,
    lock::FolderLock,
    meta::{create_folders, parent},
};

impl FsStore {
    /// Keeps records of followers in `folder`, which is made when it is missing (0700). From now on a
    /// conversation that is deleted waits there, in `outbox/`, until it is discarded; without this call
    /// it goes at once. Clears away what a crash left half copied or half removed. Blocks.
    ///
    /// A second call with the same folder gives the same as the first.
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
    /// let records = store.keep_deliveries(&root.join(".webhooks"))?;
    /// store.delete(id).await?;
    /// let waits = records.deleted().await?[0].conversation;
    /// let (_metadata, log) = records.open_deleted(waits).await?;
    /// assert_eq!(log.visible().len, core_model::Seq(3));
    /// records.discard(waits).await?;
    /// assert!(records.deleted().await?.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn keep_deliveries(&self, folder: &Path) -> Result<FsDeliveryRecords, OpenError> {
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
            kept.0.lock.get_or_init(|| lock);
        }
        Ok(kept)
    }

    /// [`Self::keep_deliveries`] below a folder that is there.
    pub(crate) fn keep_deliveries_in(&self, folder: &Path) -> io::Result<FsDeliveryRecords> {
        let kept = self.0.deliveries.get();
        let kept = match kept {
            Some(kept) => kept,
            None => {
                let made = FsDeliveryRecords::open(folder, self.0.context.clone())?;
                made.0.outbox.clear(&self.0.root)?;
                self.0.deliveries.get_or_init(|| made)
            }
        };
        if kept.0.folder != folder {
            let elsewhere = format!("deliveries are kept in {}", kept.0.folder.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, elsewhere));
        }
        Ok(kept.clone())
    }
}
