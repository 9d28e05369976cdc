//! Deleting conversations. Where followers keep cursors, one that is deleted waits in their outbox.

use std::{
    io,
    path::Path,
    sync::{Weak, atomic::Ordering},
};

use core_model::{ConversationId, ExecutionStatus, Extent, Row, StoreError, UtcTime};

use crate::{
    FsLog,
    deliveries::Outbox,
    error::{io_at, lock},
    layout,
    open_log::OpenLog,
    store::Store,
};

/// Tells whether a deletion that gets its turn late is about the conversation that has the id by then.
#[derive(Default)]
pub(crate) struct Deletion {
    /// When the conversation was made, where that was known.
    pub(crate) made: Option<UtcTime>,
    /// Gone once nobody waits for the deletion any more; none where its caller blocks.
    pub(crate) caller: Option<Weak<()>>,
}

impl Deletion {
    fn is_about(&self, row: Option<Row>) -> bool {
        let made = self.made.zip(row);
        let is_another = made.is_some_and(|(made, row)| row.created_at != made);
        let dropped = self.caller.as_ref();
        let dropped = dropped.is_some_and(|caller| caller.strong_count() == 0);
        !is_another && !dropped
    }
}

impl Store {
    /// Deletes a conversation.
    pub(crate) fn delete(&self, id: ConversationId, request: &Deletion) -> Result<(), StoreError> {
        self.reopen()?;
        let slot = self.slot(id);
        let mut known = lock(&slot);
        if !request.is_about(self.context.catalog.row(id)) {
            return Err(StoreError::NotFound(id));
        }
        let outbox = self.outbox();
        outbox.map_or(Ok(()), Outbox::sync_if_unsure)?;
        let row = outbox.and_then(|_| self.row_of(id));
        let log = match row {
            Some(_) => self.open_to_delete(id, &mut known),
            None => known.upgrade().map(FsLog),
        };
        let removing = layout::removing(&self.root, self.run);
        let before = self.root_sync.begin();
        let take = || match outbox.zip(row) {
            Some((outbox, row)) => self.move_out(outbox, row, log.as_ref(), &removing),
            None => self.hide(id, &removing),
        };
        let taken = match &log {
            Some(log) => log.0.delete(take),
            None => take(),
        };
        match taken {
            // An earlier attempt took it away, and failed to make that durable.
            Err(StoreError::NotFound(_)) if self.context.catalog.row(id).is_some() => {}
            taken => taken?,
        }
        *known = Weak::new();
        lock(&self.unsynced_names).remove(&id);
        // Told only when a power cut cannot bring it back, nor take it from the outbox; in this turn, so
        // that one that is made under its name follows.
        outbox.map_or(Ok(()), Outbox::sync)?;
        self.sync_root(before)?;
        self.tell_gone(id)?;
        self.start_scan.no_longer_unfit(id);
        drop(known);
        match self.context.disk.remove_dir_all(&removing) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => tracing::warn!(
                conversation.id = %id,
                %error,
                "the conversation is deleted, but some of its files remain until the next start"
            ),
            Ok(()) | Err(_) => {}
        }
        Ok(())
    }

    /// Tells that a conversation is gone, if there is a row of it. With an outbox that is on disk when
    /// this returns: else a start could take one that is made under its name for the same.
    ///
    /// # Errors
    /// When it is not sure to be in the outbox.
    pub(crate) fn tell_gone(&self, id: ConversationId) -> Result<(), StoreError> {
        let catalog = &self.context.catalog;
        if catalog.row(id).is_none() {
            return Ok(());
        }
        let outbox = self.outbox();
        outbox.map_or(Ok(()), Outbox::sync_if_unsure)?;
        catalog.gone(id);
        if outbox.is_some() {
            catalog.flush();
        }
        Ok(())
    }

    fn outbox(&self) -> Option<&Outbox> {
        let kept = self.deliveries.get();
        kept.filter(|kept| kept.keeps_deleted.load(Ordering::Acquire))
            .map(|kept| &kept.outbox)
    }

    /// A conversation's row; where it has none, what its metadata says. None when that cannot be read.
    fn row_of(&self, id: ConversationId) -> Option<Row> {
        self.context.catalog.row(id).or_else(|| {
            let metadata = self.metadata(id).ok()?;
            Some(Row {
                id,
                created_at: metadata.created_at,
                updated_at: metadata.created_at,
                status: ExecutionStatus::Idle,
                extent: Extent::default(),
                bytes: 0,
            })
        })
    }

    fn open_to_delete(&self, id: ConversationId, known: &mut Weak<OpenLog>) -> Option<FsLog> {
        match self.open_in_turn(id, known) {
            Ok(log) => Some(log),
            Err(StoreError::NotFound(_)) => None,
            Err(error) => {
                tracing::warn!(
                    conversation.id = %id, %error,
                    "deleted without a look at its log: events that its row does not tell of are not delivered"
                );
                None
            }
        }
    }

    /// Puts a conversation into the outbox, after its row tells of all its events.
    fn move_out(
        &self,
        outbox: &Outbox,
        mut row: Row,
        log: Option<&FsLog>,
        removing: &Path,
    ) -> Result<(), StoreError> {
        let folder = self.folder(row.id);
        if let Some(log) = log {
            if !log.0.rest() {
                tracing::warn!(conversation.id = %row.id, "deleted while a write to its log has not ended");
            }
            let extent = log.0.extent();
            (row.extent, row.bytes) = (extent.into(), extent.bytes);
        }
        let catalog = &self.context.catalog;
        catalog.note(&row);
        // On disk before the conversation goes: a start that misses it then tells of its end. Where the
        // feed cannot be written, it goes all the same; the outbox has it.
        catalog.flush();
        let conversation = row.key();
        match outbox.take_in(&folder, conversation) {
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound && outbox.is_there() => {
                return Err(StoreError::NotFound(row.id));
            }
            moved => return moved.map_err(io_at(&outbox.path(conversation))),
        }
        outbox.copy_in(&folder, conversation)?;
        let hidden = self.hide(row.id, removing);
        if hidden.is_err()
            && let Err(error) = outbox.discard(conversation)
        {
            tracing::warn!(
                conversation.id = %row.id, %error,
                "not deleted, but a copy of it stays in the outbox until the next start"
            );
        }
        hidden
    }

    fn hide(&self, id: ConversationId, removing: &Path) -> Result<(), StoreError> {
        let folder = self.folder(id);
        match self.context.disk.rename(&folder, removing) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StoreError::NotFound(id)),
            renamed => renamed.map_err(io_at(&folder)),
        }
    }
}
