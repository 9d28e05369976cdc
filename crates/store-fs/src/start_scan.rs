//! How far the look through the folder after a start is.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use core_model::ConversationId;
use tokio::sync::watch;

use crate::error::lock;

/// How far it is, and what it found.
pub(crate) struct StartScan {
    pub(crate) stage: Arc<watch::Sender<Stage>>,
    /// What nobody has claimed or deleted yet: was running when the store was opened, or its list entry goes not
    /// as far as its log.
    pub(crate) unfit: Mutex<BTreeSet<ConversationId>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nobody asked for it yet.
    Waiting,
    Running,
    Failed(String),
    Done,
}

impl StartScan {
    pub(crate) fn new(running: &[ConversationId]) -> Self {
        Self {
            stage: Arc::new(watch::Sender::new(Stage::Waiting)),
            unfit: Mutex::new(running.iter().copied().collect()),
        }
    }

    pub(crate) fn unfit(&self) -> BTreeSet<ConversationId> {
        lock(&self.unfit).clone()
    }

    /// Whether its log goes beyond its row and its metadata, and nobody has claimed it since.
    pub(crate) fn is_unfit(&self, id: ConversationId) -> bool {
        lock(&self.unfit).contains(&id)
    }

    /// It is claimed or deleted.
    pub(crate) fn no_longer_unfit(&self, id: ConversationId) {
        lock(&self.unfit).remove(&id);
    }

    pub(crate) fn is_done(&self) -> bool {
        *self.stage.borrow() == Stage::Done
    }

    /// Whether the caller is the one to begin.
    pub(crate) fn begins(&self) -> bool {
        self.stage.send_if_modified(|stage| {
            let begins = matches!(stage, Stage::Waiting | Stage::Failed(_));
            if begins {
                *stage = Stage::Running;
            }
            begins
        })
    }
}
