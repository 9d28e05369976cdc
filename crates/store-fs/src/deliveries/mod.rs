//! `webhooks/`: how far followers outside this process got, and the deleted conversations that wait for
//! them.

mod notes;
mod outbox;
#[cfg(test)]
mod tests;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use core_model::{
    LogReader, Metadata, StoreError,
    port::{Cursors, Departed, Incarnation, Note},
};

use crate::{
    FsLog, FsStore, OpenError,
    error::blocking,
    layout,
    log::LogContext,
    meta::{create_folders, parent, read_metadata},
};

pub(crate) use notes::NoteFiles;
pub(crate) use outbox::Outbox;

/// The port [`Cursors`] on files, made by [`FsStore::keep_deliveries`]. Clones are the same. While one
/// lives, the store's folder stays locked. Its async methods need a tokio runtime.
#[derive(Clone)]
pub struct FsCursors(pub(crate) Arc<Kept>);

pub(crate) struct Kept {
    folder: PathBuf,
    pub(crate) notes: NoteFiles,
    pub(crate) outbox: Outbox,
    pub(crate) keeps_deleted: AtomicBool,
    context: LogContext,
}

impl FsStore {
    /// Keeps cursors of followers in `folder`, which is made when it is missing (0700). From now on a
    /// conversation that is deleted waits there, in `outbox/`, until it is discarded; without this call
    /// it goes at once. Clears away what a crash left half copied or half removed. Blocks.
    ///
    /// A second call with the same folder gives the same as the first.
    ///
    /// # Errors
    /// [`OpenError::Io`] when the folder cannot be made or read, or when this store keeps another one.
    ///
    /// ```
    #[doc = include_str!("../example.txt")]
    /// use core_model::{Catalog, port::Cursors};
    /// use store_fs::{FsStore, Options};
    ///
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let store = FsStore::open(&root, Options::default())?;
    /// let cursors = store.keep_deliveries(&root.join(".webhooks"))?;
    /// store.delete(id).await?;
    /// let waits = cursors.departed().await?[0].conversation;
    /// let (_metadata, log) = cursors.open_departed(waits).await?;
    /// assert_eq!(log.visible().len, core_model::Seq(3));
    /// cursors.discard(waits).await?;
    /// assert!(cursors.departed().await?.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn keep_deliveries(&self, folder: &Path) -> Result<FsCursors, OpenError> {
        let kept = || {
            create_folders(parent(folder))?;
            // Absolute, so that it stays the same if the working directory changes.
            let name = folder.file_name().ok_or(io::ErrorKind::InvalidInput)?;
            self.keep_deliveries_in(&parent(folder).canonicalize()?.join(name))
        };
        kept().map_err(|source| OpenError::Io {
            path: folder.to_owned(),
            source,
        })
    }

    /// [`Self::keep_deliveries`] below a folder that is there.
    pub(crate) fn keep_deliveries_in(&self, folder: &Path) -> io::Result<FsCursors> {
        let kept = self.0.cursors.get();
        let kept = match kept {
            Some(kept) => kept,
            None => {
                let made = FsCursors::open(folder, self.0.context.clone())?;
                made.0.outbox.clear(&self.0.root)?;
                self.0.cursors.get_or_init(|| made)
            }
        };
        if kept.0.folder != folder {
            let elsewhere = format!("cursors are kept in {}", kept.0.folder.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, elsewhere));
        }
        Ok(kept.clone())
    }
}

impl FsCursors {
    /// From now on a conversation that is deleted goes at once, as nobody will hear of it.
    pub fn let_deleted_go(&self) {
        self.0.keeps_deleted.store(false, Ordering::Release);
    }

    fn open(folder: &Path, context: LogContext) -> io::Result<Self> {
        let outbox = layout::outbox(folder);
        for one in [folder, &outbox] {
            if !context.disk.exists(one) {
                context.disk.create_dir(one)?;
            }
            // Also one that is there: whoever made it may not have come to this.
            context.disk.sync_dir(parent(one))?;
        }
        Ok(Self(Arc::new(Kept {
            notes: NoteFiles::new(Arc::clone(&context.disk), folder.to_owned()),
            outbox: Outbox::new(Arc::clone(&context.disk), outbox),
            keeps_deleted: AtomicBool::new(true),
            folder: folder.to_owned(),
            context,
        })))
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Kept) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let kept = Arc::clone(&self.0);
        blocking(&self.0.folder, move || work(&kept)).await
    }
}

impl Kept {
    /// As the port's method. Blocks.
    pub(crate) fn open_departed(
        &self,
        conversation: Incarnation,
    ) -> Result<(Metadata, FsLog), StoreError> {
        let (id, folder) = (conversation.id, self.outbox.path(conversation));
        let metadata = read_metadata(self.context.disk.as_ref(), &folder, id)?;
        let log = FsLog::load_departed(id, &folder, self.context.clone())?;
        Ok((metadata, log))
    }
}

#[async_trait]
impl Cursors for FsCursors {
    async fn followers(&self) -> Result<Vec<String>, StoreError> {
        self.run(|kept| kept.notes.followers()).await
    }

    async fn notes(&self, follower: &str) -> Result<Vec<Note>, StoreError> {
        let follower = follower.to_owned();
        self.run(move |kept| kept.notes.read(&follower)).await
    }

    async fn append(&self, follower: &str, notes: Vec<Note>) -> Result<(), StoreError> {
        let follower = follower.to_owned();
        self.run(move |kept| kept.notes.append(&follower, &notes))
            .await
    }

    async fn sync(&self, follower: &str) -> Result<(), StoreError> {
        let follower = follower.to_owned();
        self.run(move |kept| kept.notes.sync(&follower)).await
    }

    async fn replace(&self, follower: &str, notes: Vec<Note>) -> Result<(), StoreError> {
        let follower = follower.to_owned();
        self.run(move |kept| kept.notes.replace(&follower, &notes))
            .await
    }

    async fn forget(&self, follower: &str) -> Result<(), StoreError> {
        let follower = follower.to_owned();
        self.run(move |kept| kept.notes.forget(&follower)).await
    }

    async fn departed(&self) -> Result<Vec<Departed>, StoreError> {
        self.run(|kept| kept.outbox.list()).await
    }

    async fn open_departed(
        &self,
        conversation: Incarnation,
    ) -> Result<(Metadata, Arc<dyn LogReader>), StoreError> {
        self.run(move |kept| {
            let (metadata, log) = kept.open_departed(conversation)?;
            Ok((metadata, Arc::new(log) as Arc<dyn LogReader>))
        })
        .await
    }

    async fn discard(&self, conversation: Incarnation) -> Result<(), StoreError> {
        self.run(move |kept| kept.outbox.discard(conversation))
            .await
    }
}
