//! An index that turned out not to fit its log, rebuilt while the log is in use.

use std::{io, sync::PoisonError};

use core_model::StoreError;

use crate::{
    closed::Closed,
    error::{io_at, lock},
    index::Index,
    open_log::OpenLog,
    recovery,
};

impl OpenLog {
    /// Rebuilds the index, unless another caller did since it was found to be `wrong`. Appends wait only
    /// for what came meanwhile.
    pub(crate) fn rebuild_index(&self, wrong: &Index) -> Result<(), StoreError> {
        let _alone = lock(&self.rebuilding);
        if !self.index().is_same(wrong) {
            return Ok(());
        }
        if matches!(lock(&self.queue).closed, Some(Closed::Deleted)) {
            // Another conversation may have the folder's name by now.
            return Err(StoreError::NotFound(self.id));
        }
        tracing::warn!(conversation.id = %self.id, "the index does not fit its log and is rebuilt");
        let disk = self.context.disk.as_ref();
        let at_index = io_at(&self.index_path);
        let log = self.file();
        let (index, found, _) = recovery::rebuild(
            disk,
            self.id,
            &self.folder,
            log.as_ref(),
            self.extent().bytes,
            Some(wrong),
        )
        .map_err(io_at(&self.index_path))?;
        let queue = lock(&self.queue);
        let extent = self.extent();
        let found = if found.bytes < extent.bytes {
            let extended = recovery::extend(&index, log.as_ref(), found, extent.bytes);
            extended.map_err(io_at(&self.index_path))?.0
        } else {
            found
        };
        if found != extent {
            let (found, len) = (found.len, extent.len);
            let reason = format!("the log has {found} lines where {len} were written");
            return Err(at_index(io::Error::other(reason)));
        }
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = index;
        *lock(&self.ids) = None;
        drop(queue);
        Ok(())
    }
}
