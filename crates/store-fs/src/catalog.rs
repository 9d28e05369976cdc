//! The list of all conversations, and the feed of what happens in them.
//!
//! Rows live in memory. Each change of a row is an entry of the file `.feed`, which one thread
//! writes and syncs a moment later: while somebody follows at once, but at most a hundred times a
//! second; else once a second. What a crash takes of it is found again by comparing rows with logs.
//! `.catalog` is all rows at some position of the feed, so that a start reads that and the feed's tail.
//! `.closed` tells that no change came after the last ones that were written. Rows lead to what lists
//! show of their conversations, in `.infos`.

mod feed_writer;
mod files;
mod info_file;
mod infos;
mod load;
mod order;
mod row;
mod rows;
mod state;
#[cfg(test)]
mod tests;

use std::{
    io,
    path::Path,
    sync::Arc,
    thread::{self, JoinHandle},
};

use self::state::CatalogState;
use crate::{disk::Disk, error::lock};

pub(crate) use info_file::Shown;

/// The rows and the feed of a store. Dropping it writes what is left to be written.
pub(crate) struct CatalogFile {
    work: Arc<CatalogState>,
    thread: Option<JoinHandle<()>>,
}

impl CatalogFile {
    /// Reads what is there; starts with nothing where there is nothing to read.
    pub(crate) fn open(disk: Arc<dyn Disk>, root: &Path) -> io::Result<Self> {
        let loaded = load::load(disk.as_ref(), root)?;
        let work = Arc::new(CatalogState::new(disk, root, loaded));
        let writer = Arc::clone(&work);
        let thread = thread::Builder::new()
            .name("store-catalog".to_owned())
            .spawn(move || writer.run())?;
        Ok(Self {
            work,
            thread: Some(thread),
        })
    }
}

impl std::ops::Deref for CatalogFile {
    type Target = CatalogState;

    fn deref(&self) -> &CatalogState {
        &self.work
    }
}

impl Drop for CatalogFile {
    fn drop(&mut self) {
        lock(&self.work.memory).stop = true;
        self.work.wake.notify_all();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
        if let Err(error) = self.work.close() {
            tracing::warn!(%error, "the list of conversations was not stored; the next start looks through all");
        }
    }
}
