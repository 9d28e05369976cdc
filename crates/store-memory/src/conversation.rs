use std::sync::Arc;

use core_model::{Metadata, Row};
use tokio::sync::watch;

use crate::log::Log;

/// One conversation, and who writes it.
pub(crate) struct Conversation {
    /// Shared, so that it is copied outside of the lock.
    pub(crate) metadata: Arc<Metadata>,
    pub(crate) row: Row,
    pub(crate) log: Arc<Log>,
    pub(crate) held: Option<Held>,
}

/// A claim, as the store knows it. Dropping it tells the writer.
pub(crate) struct Held {
    pub(crate) server: u64,
    pub(crate) epoch: u64,
    pub(crate) lost: watch::Sender<bool>,
}

impl Conversation {
    /// Whether the latest claim is the one of this epoch.
    pub(crate) fn is_held_under(&self, epoch: u64) -> bool {
        self.held.as_ref().is_some_and(|held| held.epoch == epoch)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.lost.send_replace(true);
    }
}
