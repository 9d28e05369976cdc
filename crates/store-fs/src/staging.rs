//! A conversation that is made with a log. It is put together in a folder of its own, which gets the conversation's
//! name when all of it is durable. What a crash leaves of it goes at the next start.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use core_model::{
    ConversationId, LogReader as _, Metadata, NewRecord, Row, Seq, StoreError, Summary,
    port::{Prefix, StagedConversation},
};

use crate::{
    disk::{Disk, DiskFile, Open, Wait, write_all},
    entry::Entry,
    error::{blocking, io_at, lock},
    extent::Extent,
    index::Index,
    layout,
    meta::write_new,
    queue::Lines,
    store::Store,
};

/// Entries of an index that are copied at a time.
const STRIDE: u64 = 4096;

/// The port [`StagedConversation`] on files.
pub(crate) struct Staged {
    files: Arc<Mutex<Files>>,
    /// Of the store's folder.
    root: PathBuf,
    extent: Extent,
    /// An append failed, or was dropped.
    is_broken: bool,
}

/// The folder that is being filled. Removed when it is dropped, unless it was published.
struct Files {
    store: Arc<Store>,
    id: ConversationId,
    folder: PathBuf,
    log: Arc<dyn DiskFile>,
    /// None where it could not be made: the conversation's first opening does.
    index: Option<Index>,
    is_published: bool,
}

impl Staged {
    /// Blocks.
    pub(crate) fn begin(
        store: Arc<Store>,
        id: ConversationId,
        prefix: Option<Prefix>,
    ) -> Result<Self, StoreError> {
        store.reopen()?;
        store.refuse_taken(id)?;
        let folder = layout::making(&store.root, store.run);
        let disk = Arc::clone(&store.context.disk);
        disk.create_dir(&folder).map_err(io_at(&folder))?;
        let made = fill(&store, id, prefix, &folder);
        let (log, index, extent) = match made {
            Ok(made) => made,
            Err(error) => {
                disk.remove_dir_all(&folder).ok();
                return Err(error);
            }
        };
        Ok(Self {
            root: store.root.clone(),
            files: Arc::new(Mutex::new(Files {
                store,
                id,
                folder,
                log,
                index,
                is_published: false,
            })),
            extent,
            is_broken: false,
        })
    }

    fn refuse_broken(&self) -> Result<(), StoreError> {
        if self.is_broken {
            let reason = "an earlier write to the new conversation failed";
            return Err(StoreError::Unavailable(reason.to_owned()));
        }
        Ok(())
    }
}

#[async_trait]
impl StagedConversation for Staged {
    fn extent(&self) -> core_model::Extent {
        self.extent.into()
    }

    async fn append(&mut self, records: Vec<NewRecord>) -> Result<(), StoreError> {
        self.refuse_broken()?;
        self.is_broken = true;
        let (files, at) = (Arc::clone(&self.files), self.extent);
        let appended = blocking(&self.root, move || lock(&files).append(&records, at));
        self.extent = appended.await?;
        self.is_broken = false;
        Ok(())
    }

    async fn publish(
        self: Box<Self>,
        metadata: &Metadata,
        summary: Summary,
    ) -> Result<(), StoreError> {
        self.refuse_broken()?;
        let Self {
            files,
            root,
            extent,
            ..
        } = *self;
        let metadata = metadata.clone();
        blocking(&root, move || {
            lock(&files).publish(&metadata, summary, extent)
        })
        .await
    }
}

/// A log, its index, and how far it is.
type Begun = (Arc<dyn DiskFile>, Option<Index>, Extent);

/// Makes the log, with its first lines, and an index of it.
fn fill(
    store: &Store,
    id: ConversationId,
    prefix: Option<Prefix>,
    folder: &Path,
) -> Result<Begun, StoreError> {
    let disk = store.context.disk.as_ref();
    let path = folder.join(layout::EVENTS);
    let made = Index::create(disk, &folder.join(layout::INDEX), id).ok();
    let Some(prefix) = prefix else {
        let log = disk.open(&path, Open::MakeNew).map_err(io_at(&path))?;
        return Ok((log, made, Extent::default()));
    };
    let of = prefix.of.id;
    let original = store.open_log(of)?;
    let created = store.context.catalog.row(of).map(|row| row.created_at);
    let created = created.map_or_else(|| store.metadata(of).map(|found| found.created_at), Ok)?;
    let is_another = created.0.timestamp_micros() != prefix.of.created_at.0.timestamp_micros();
    if is_another || !original.had(prefix.extent) {
        return Err(StoreError::NotFound(of));
    }
    let extent = Extent {
        len: prefix.extent.len,
        bytes: prefix.extent.version,
    };
    match disk.copy(&original.0.path, extent.bytes, &path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(StoreError::NotFound(of));
        }
        copied => copied.map_err(io_at(&path))?,
    }
    let log = disk.open(&path, Open::Write).map_err(io_at(&path))?;
    let index = made.filter(|made| copy_index(&original.0.index(), extent, made));
    if index.is_none() {
        drop_index(disk, folder);
    }
    Ok((log, index, extent))
}

/// Copies the entries of the first lines; whether that is an index of them.
fn copy_index(from: &Index, extent: Extent, to: &Index) -> bool {
    let (mut next, mut end) = (0, 0);
    while next < extent.len.0 {
        let count = (extent.len.0 - next).min(STRIDE);
        let Ok(entries) = from.read(next, count as usize, Wait::Yes) else {
            return false;
        };
        if entries.iter().any(Entry::is_damaged) {
            to.begin_damage();
        }
        to.write(next, &entries);
        end = entries.last().map_or(end, Entry::end);
        next += count;
    }
    end == extent.bytes && to.damaged(Wait::Yes).is_ok() && to.is_whole_on_disk()
}

/// One that does not fit would be noticed, and rebuilt; this saves the attempt.
fn drop_index(disk: &dyn Disk, folder: &Path) {
    disk.remove_file(&folder.join(layout::INDEX)).ok();
}

impl Files {
    fn append(&mut self, records: &[NewRecord], at: Extent) -> Result<Extent, StoreError> {
        let path = self.folder.join(layout::EVENTS);
        let lines = Lines::of(records, &path)?;
        write_all(self.log.as_ref(), &lines.bytes, at.bytes).map_err(io_at(&path))?;
        let entries: Vec<Entry> = lines
            .entries
            .iter()
            .map(|one| one.moved(at.bytes))
            .collect();
        if let Some(index) = &self.index {
            index.write(at.len.0, &entries);
        }
        Ok(Extent {
            len: Seq(at.len.0 + entries.len() as u64),
            bytes: at.bytes + lines.size(),
        })
    }

    fn publish(
        &mut self,
        metadata: &Metadata,
        summary: Summary,
        extent: Extent,
    ) -> Result<(), StoreError> {
        let (store, id) = (Arc::clone(&self.store), self.id);
        if metadata.id != id {
            return Err(StoreError::NotFound(metadata.id));
        }
        let disk = store.context.disk.as_ref();
        if self
            .index
            .take()
            .is_some_and(|index| !index.is_whole_on_disk())
        {
            drop_index(disk, &self.folder);
        }
        self.log.sync().map_err(io_at(&self.folder))?;
        let path = self.folder.join(layout::METADATA);
        let text = serde_json::to_vec(metadata).map_err(|error| io_at(&path)(error.into()))?;
        write_new(disk, &path, &text).map_err(io_at(&path))?;
        disk.sync_dir(&self.folder).map_err(io_at(&self.folder))?;
        store.reopen()?;
        let slot = store.slot(id);
        // Held to the end: others that want this conversation wait until it is durable and listed.
        let _turn = lock(&slot);
        let before = store.root_sync.begin();
        let folder = store.folder(id);
        if disk.exists(&folder) {
            store.sync_name(id, before)?;
            return Err(StoreError::Exists(id));
        }
        // The row of one that was deleted half, if there is any.
        store.tell_gone(id)?;
        disk.rename(&self.folder, &folder).map_err(io_at(&folder))?;
        self.is_published = true;
        let row = Row {
            id,
            created_at: metadata.created_at,
            updated_at: summary.updated_at,
            status: summary.status,
            extent: extent.into(),
            bytes: extent.bytes,
        };
        lock(&store.unsynced_names).insert(id, row);
        if let Err(error) = store.sync_name(id, before) {
            // Nobody was told of it yet. If it cannot be taken back it stays, as a whole.
            if disk.rename(&folder, &self.folder).is_ok() {
                self.is_published = false;
                lock(&store.unsynced_names).remove(&id);
            }
            return Err(error);
        }
        store.show(metadata);
        Ok(())
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        if self.is_published {
            return;
        }
        let disk = &self.store.context.disk;
        if let Err(error) = disk.remove_dir_all(&self.folder) {
            tracing::warn!(
                conversation.id = %self.id, %error,
                "what was made of a conversation that is not to be stays until the next start"
            );
        }
    }
}

impl Store {
    /// Refuses an id that a conversation has.
    fn refuse_taken(&self, id: ConversationId) -> Result<(), StoreError> {
        let slot = self.slot(id);
        let _turn = lock(&slot);
        let before = self.root_sync.begin();
        if self.context.disk.exists(&self.folder(id)) {
            // The caller that made it may still wait for this, or have failed at it.
            self.sync_name(id, before)?;
            return Err(StoreError::Exists(id));
        }
        Ok(())
    }
}
