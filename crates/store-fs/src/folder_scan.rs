//! The one look through the folder after a start.

use std::{sync::Arc, thread};

use core_model::StoreError;
use tokio::sync::watch;

use crate::{FsStore, check, error::lock, start_scan::Stage, store::Store};

impl FsStore {
    /// Whether the list is whole.
    pub(crate) fn is_listed(&self) -> bool {
        self.0.context.catalog.closed_cleanly || self.0.start_scan.is_done()
    }

    /// Waits until the list is whole.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(crate) async fn listed(&self) -> Result<(), StoreError> {
        if self.is_listed() {
            return Ok(());
        }
        self.scanned().await
    }

    /// Waits until the folder was looked through since the start; begins with it when nobody has.
    ///
    /// # Errors
    /// When the folder cannot be read.
    ///
    /// # Cancel safety
    /// A dropped call loses nothing.
    pub(crate) async fn scanned(&self) -> Result<(), StoreError> {
        let scan = &self.0.start_scan;
        let mut stage = scan.stage.subscribe();
        if scan.begins() {
            self.scan();
        }
        // It cannot close: the store holds the sender.
        let ended = stage.wait_for(|stage| *stage != Stage::Running).await;
        match ended.as_deref() {
            Ok(Stage::Failed(reason)) => Err(StoreError::Unavailable(reason.clone())),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// A thread of its own, so that it outlives a runtime that ends and keeps none from ending.
    fn scan(&self) {
        let (store, stage) = (Arc::clone(&self.0), Arc::clone(&self.0.start_scan.stage));
        let scan = move || {
            let mut ending = Ending {
                stage,
                ended: Stage::Failed("the look through all conversations broke off".to_owned()),
            };
            ending.ended = match store.look_through() {
                Ok(()) => Stage::Done,
                Err(error) => Stage::Failed(error.to_string()),
            };
            // Before anybody hears of it, so that who then drops the store has it dropped.
            drop(store);
        };
        let started = thread::Builder::new()
            .name("store-scan".to_owned())
            .spawn(scan);
        if let Err(error) = started {
            let failed = Stage::Failed(format!("no thread to look through it: {error}"));
            self.0.start_scan.stage.send_replace(failed);
        }
    }
}

/// Says how the look ended when it has.
struct Ending {
    stage: Arc<watch::Sender<Stage>>,
    ended: Stage,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let ended = std::mem::replace(&mut self.ended, Stage::Done);
        self.stage.send_replace(ended);
    }
}

impl Store {
    fn look_through(&self) -> Result<(), StoreError> {
        let unfit = check::check(self)?;
        lock(&self.start_scan.unfit).extend(unfit);
        self.context.catalog.is_whole();
        // Otherwise the first keyed request would have to wait for it.
        if let Err(error) = self.receipts.load() {
            tracing::warn!(%error, "what became of keyed requests cannot be read");
        }
        Ok(())
    }
}
