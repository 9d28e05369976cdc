//! Keeping the list true to what is stored: each conversation in its turn.

use std::{
    io,
    sync::{PoisonError, TryLockError},
};

use bytes::Bytes;
use core_model::{ConversationId, Row, StoreError};

use crate::{
    at_rest::at_rest,
    error::{io_at, lock},
    group_sync::Before,
    layout,
    store::Store,
    stored_row::stored_row,
};

impl Store {
    /// How long a conversation's log is, as its folder says.
    pub(crate) fn log_size(&self, id: ConversationId) -> io::Result<u64> {
        let path = self.folder(id).join(layout::EVENTS);
        self.context.disk.size(&path)
    }

    /// Makes the name of a conversation that was made, and its row, durable, if an earlier attempt
    /// failed; nobody may be told of it before. Callers hold its turn.
    pub(crate) fn sync_name(&self, id: ConversationId, before: Before) -> Result<(), StoreError> {
        let Some(row) = lock(&self.unsynced_names).get(&id).copied() else {
            return Ok(());
        };
        self.sync_root(before)?;
        // Nothing can have been appended since.
        self.context.catalog.made(&row);
        lock(&self.unsynced_names).remove(&id);
        Ok(())
    }

    /// Puts a conversation on the list before the look through all comes to it.
    pub(crate) fn list_if_unlisted(&self, id: ConversationId) {
        let row = self.context.catalog.row(id);
        let size = self.log_size(id);
        if size.is_ok_and(|size| row.is_none_or(|row| row.bytes != size)) {
            self.list_as_stored(id);
        }
    }

    /// Puts a conversation whose row is missing or does not fit its log on the list, as far as its metadata
    /// goes; whether it is to be looked into.
    pub(crate) fn list_as_stored(&self, id: ConversationId) -> bool {
        !self.list_by_metadata(id) && self.list_for_now(id)
    }

    /// Puts a conversation that rests on the list as its metadata says, if that fits its log.
    fn list_by_metadata(&self, id: ConversationId) -> bool {
        let slot = self.slot(id);
        let known = lock(&slot);
        let before = self.root_sync.begin();
        // A holder of its open log knows better, and may be about to say so.
        if known.upgrade().is_some()
            || self.reopen().is_err()
            || self.sync_name(id, before).is_err()
        {
            return false;
        }
        let found = self.metadata(id).ok();
        let found = found.and_then(|metadata| at_rest(&metadata, &self.folder(id)));
        let fits = |row: &Row| self.log_size(id).is_ok_and(|size| size == row.bytes);
        let Some((row, shown)) = found.filter(|(row, _)| fits(row)) else {
            return false;
        };
        self.context.catalog.note(&row);
        self.context.catalog.show(&shown);
        true
    }

    /// Puts a conversation whose log goes beyond its metadata on the list as far as that goes; whether it
    /// is to be looked into.
    fn list_for_now(&self, id: ConversationId) -> bool {
        let catalog = &self.context.catalog;
        match stored_row(self, id) {
            Ok(stored) => {
                catalog.found(&stored.row, stored.fits);
                if !self.context.disk.exists(&self.folder(id)) {
                    // Deleted meanwhile, maybe before its row was there to go with it.
                    catalog.gone(id);
                    return false;
                }
                let listed = catalog.row(id);
                let listed = listed.is_some_and(|row| row.bytes == stored.row.bytes);
                !(stored.fits && listed)
            }
            Err(error) => {
                tracing::warn!(conversation.id = %id, %error, "it cannot be read and is not listed");
                false
            }
        }
    }

    /// What lists show of a conversation that rests, from its metadata, and kept from here on.
    pub(crate) fn show_by_metadata(&self, id: ConversationId) -> Option<Bytes> {
        let slot = self.slot(id);
        let _turn = match slot.try_lock() {
            Ok(turn) => turn,
            Err(TryLockError::Poisoned(poisoned)) => PoisonError::into_inner(poisoned),
            // Somebody is changing it.
            Err(TryLockError::WouldBlock) => return None,
        };
        if self.start_scan.is_unfit(id) {
            // Its log goes beyond both.
            return None;
        }
        let row = self.context.catalog.row(id)?;
        let metadata = self.metadata(id).ok()?;
        let (found, shown) = at_rest(&metadata, &self.folder(id))?;
        let fits = (found.bytes, found.status) == (row.bytes, row.status);
        fits.then(|| self.context.catalog.show(&shown))?;
        Some(shown.json)
    }

    /// Has what lists show of a conversation rebuilt if its metadata was changed by another hand while
    /// the store was closed.
    pub(crate) fn doubt_info(&self, id: ConversationId) {
        let catalog = &self.context.catalog;
        let path = self.folder(id).join(layout::METADATA);
        if let Some(closed_at) = catalog.closed_at
            && catalog.has_info(id)
            && !(self.context.disk.changed_at(&path)).is_ok_and(|changed| changed <= closed_at)
        {
            catalog.forget_info(id, None);
        }
    }

    /// Takes a conversation off the list if its folder is gone.
    pub(crate) fn unlist_if_gone(&self, id: ConversationId) -> Result<(), StoreError> {
        let folder = self.folder(id);
        if self.context.disk.exists(&folder) {
            return Ok(());
        }
        let catalog = &self.context.catalog;
        let reopened = catalog.reopen();
        reopened.map_err(io_at(&self.root))?;
        let slot = self.slot(id);
        let _turn = lock(&slot);
        if !self.context.disk.exists(&folder) && catalog.row(id).is_some() {
            if catalog.closed_at.is_some() {
                tracing::warn!(conversation.id = %id, "its folder is gone, and so it is from the list");
            } else {
                tracing::info!(
                    conversation.id = %id,
                    "its folder is gone after a crash, which may have cut its deletion short; it leaves the list"
                );
            }
            catalog.gone(id);
        }
        Ok(())
    }
}
