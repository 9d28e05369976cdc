//! `webhooks/`: how far followers outside this process got, and the deleted conversations that wait for
//! them.

mod fold;
mod note_files;
mod outbox;
#[cfg(test)]
mod tests;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock, atomic::AtomicBool},
};

use crate::{disk::Disk, layout, lock::FolderLock, meta::parent};

pub(crate) use fold::fold;
pub(crate) use note_files::NoteFiles;
pub(crate) use outbox::Outbox;

pub(crate) struct DeliveryFolder {
    pub(crate) folder: PathBuf,
    pub(crate) notes: NoteFiles,
    pub(crate) outbox: Outbox,
    pub(crate) keeps_deleted: AtomicBool,
    /// Stores of other folders may keep their records here too: one at a time does.
    pub(crate) lock: OnceLock<FolderLock>,
}

impl DeliveryFolder {
    pub(crate) fn open(folder: &Path, disk: &Arc<dyn Disk>) -> io::Result<Self> {
        let outbox = layout::outbox(folder);
        for one in [folder, &outbox] {
            if !disk.exists(one) {
                disk.create_dir(one)?;
            }
            // Also one that is there: the process that made it may have ended before this.
            disk.sync_dir(parent(one))?;
        }
        Ok(Self {
            notes: NoteFiles::new(Arc::clone(disk), folder.to_owned()),
            outbox: Outbox::new(Arc::clone(disk), outbox),
            keeps_deleted: AtomicBool::new(true),
            lock: OnceLock::new(),
            folder: folder.to_owned(),
        })
    }
}
