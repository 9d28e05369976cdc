//! Deleted conversations whose events followers have yet to receive.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use chrono::DateTime;
use core_model::{ConversationKey, StoreError, UtcTime, port::DeletedConversation};

use crate::{
    disk::{Disk, Open, copy_range},
    error::{io_at, lock},
    layout,
    meta::read_metadata,
};

/// A folder with a folder for each of them.
pub(crate) struct Outbox {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    /// Whether names in it may not be durable.
    unsure: Mutex<bool>,
}

impl Outbox {
    pub(super) fn new(disk: Arc<dyn Disk>, folder: PathBuf) -> Self {
        Self {
            disk,
            folder,
            // Those that an earlier process left.
            unsure: Mutex::new(true),
        }
    }

    /// Moves a conversation's folder in. It stays for sure only once [`Self::sync`] was called.
    ///
    /// # Errors
    /// `CrossesDevices` where that cannot be; then [`Self::copy_in`] can.
    pub(crate) fn take_in(&self, folder: &Path, conversation: ConversationKey) -> io::Result<()> {
        let to = self.path(conversation);
        *lock(&self.unsure) = true;
        // Where there is nothing to come, an earlier attempt took it in.
        if self.disk.exists(&to) && self.disk.exists(folder) {
            // A copy of what comes now, left by a crash.
            let discarded = layout::discarded(&self.folder);
            self.disk.rename(&to, &discarded)?;
            self.remove(&discarded);
        }
        self.disk.rename(folder, &to)
    }

    /// Copies what matters of a conversation's folder here, durably.
    ///
    /// # Errors
    /// When that fails; then nothing of it is here.
    pub(crate) fn copy_in(
        &self,
        folder: &Path,
        conversation: ConversationKey,
    ) -> Result<(), StoreError> {
        let making = layout::copying(&self.folder);
        let copied = self
            .copy(folder, &making)
            .and_then(|()| self.take_in(&making, conversation));
        if let Err(error) = copied {
            self.remove(&making);
            return Err(io_at(&self.path(conversation))(error));
        }
        let synced = self.sync();
        if synced.is_err() {
            // The conversation continues, and no copy of it may be taken for it. One that a power cut brings
            // back goes when the next start finds the conversation alive.
            let discarded = layout::discarded(&self.folder);
            if self
                .disk
                .rename(&self.path(conversation), &discarded)
                .is_ok()
            {
                self.remove(&discarded);
            }
        }
        synced
    }

    /// Makes names in it durable.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        *lock(&self.unsure) = true;
        self.sync_if_unsure()
    }

    /// [`Self::sync`], if an earlier one failed.
    pub(crate) fn sync_if_unsure(&self) -> Result<(), StoreError> {
        let mut unsure = lock(&self.unsure);
        if *unsure {
            let synced = self.disk.sync_dir(&self.folder);
            synced.map_err(io_at(&self.folder))?;
            *unsure = false;
        }
        Ok(())
    }

    /// As [`core_model::port::DeliveryRecords::deleted`], the longest deleted first.
    pub(crate) fn list(&self) -> Result<Vec<DeletedConversation>, StoreError> {
        let mut found: Vec<DeletedConversation> = self
            .waiting()
            .map_err(io_at(&self.folder))?
            .into_iter()
            .map(|conversation| DeletedConversation {
                conversation,
                deleted_at: self.deleted_at(conversation),
            })
            .collect();
        found.sort_unstable_by_key(|one| (one.deleted_at, one.conversation));
        Ok(found)
    }

    /// As [`core_model::port::DeliveryRecords::discard`].
    pub(crate) fn discard(&self, conversation: ConversationKey) -> Result<(), StoreError> {
        let discarded = layout::discarded(&self.folder);
        let path = self.path(conversation);
        match self.disk.rename(&path, &discarded) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            renamed => renamed.map_err(io_at(&path))?,
        }
        // Before its files go: half removed it is never to have its name again.
        self.sync()?;
        self.remove(&discarded);
        Ok(())
    }

    /// Removes what a crash left: what is half copied or half removed, and copies of conversations that
    /// were not deleted after all.
    pub(crate) fn clear(&self, root: &Path) -> io::Result<()> {
        let disk = self.disk.as_ref();
        let names = disk.names(&self.folder)?;
        let half = |name: &&OsString| name.to_str().is_some_and(layout::is_half);
        if names.iter().any(|name| half(&name)) {
            // What lost its name for this must not get it back without its files.
            self.sync().map_err(io::Error::other)?;
        }
        for name in names.iter().filter(half) {
            self.remove(&self.folder.join(name));
        }
        for conversation in self.waiting()? {
            let folder = layout::folder(root, conversation.id);
            let alive = read_metadata(disk, &folder, conversation.id).is_ok_and(|metadata| {
                layout::deleted_conversation(&self.folder, metadata.key())
                    == self.path(conversation)
            });
            if alive {
                tracing::info!(
                    conversation.id = %conversation.id,
                    "a crash kept it from being deleted; its copy leaves the outbox"
                );
                self.discard(conversation).map_err(io::Error::other)?;
            }
        }
        Ok(())
    }

    /// False when somebody removed the folder.
    pub(crate) fn is_there(&self) -> bool {
        self.disk.is_dir(&self.folder)
    }

    pub(crate) fn path(&self, conversation: ConversationKey) -> PathBuf {
        layout::deleted_conversation(&self.folder, conversation)
    }

    fn waiting(&self) -> io::Result<Vec<ConversationKey>> {
        let names = self.disk.names(&self.folder)?;
        let ours = names
            .iter()
            .filter(|name| self.disk.is_dir(&self.folder.join(name)));
        Ok(ours
            .filter_map(|name| layout::conversation_key(name.to_str()?))
            .collect())
    }

    fn deleted_at(&self, conversation: ConversationKey) -> UtcTime {
        let changed = self.disk.changed_at(&self.path(conversation)).ok();
        let nanos = changed.and_then(|nanos| i64::try_from(nanos).ok());
        nanos.map_or_else(UtcTime::now, |nanos| {
            UtcTime(DateTime::from_timestamp_nanos(nanos))
        })
    }

    fn copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.create_dir(to)?;
        for name in [layout::METADATA, layout::EVENTS, layout::INDEX] {
            match self.disk.open(&from.join(name), Open::Read) {
                Ok(from) => {
                    let to = self.disk.open(&to.join(name), Open::MakeNew)?;
                    copy_range(from.as_ref(), 0..from.len()?, to.as_ref())?;
                    to.sync()?;
                }
                // It was deleted as it was: damaged.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        self.disk.sync_dir(to)
    }

    fn remove(&self, path: &Path) {
        match self.disk.remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(
                    path = %path.display(), %error,
                    "could not remove it from the outbox; the next start tries again"
                );
            }
            Ok(()) | Err(_) => {}
        }
    }
}
