use std::{collections::HashSet, sync::Mutex};

use core_model::ConversationId;
use tokio::sync::watch;

use crate::lock::lock;

/// How far the recovery after a start has come.
pub(crate) struct StartupRecovery {
    stage: watch::Sender<Stage>,
    /// Listed with their stored state, and yet to be recovered; in the end, those that could not be.
    waiting: Mutex<HashSet<ConversationId>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// The list may lack conversations.
    Begun,
    /// The list is complete.
    Listed,
    /// And no conversation waits to be recovered any more.
    Recovered,
}

impl StartupRecovery {
    /// `clean`: the list is complete, and nothing was left to be recovered.
    pub(crate) fn new(clean: bool) -> Self {
        let stage = if clean {
            Stage::Recovered
        } else {
            Stage::Begun
        };
        Self {
            stage: watch::Sender::new(stage),
            waiting: Mutex::default(),
        }
    }

    pub(crate) fn is_recovered(&self) -> bool {
        *self.stage.borrow() == Stage::Recovered
    }

    /// Waits until all stored conversations are listed and recovered.
    pub(crate) async fn until_recovered(&self) {
        self.until(Stage::Recovered).await;
    }

    /// Waits until all stored conversations are listed.
    pub(crate) async fn until_listed(&self) {
        self.until(Stage::Listed).await;
    }

    /// Whether the conversation's row is known to fit its log.
    pub(crate) fn knows(&self, id: ConversationId) -> bool {
        let listed = *self.stage.borrow() >= Stage::Listed;
        listed && !self.awaits(id)
    }

    /// Whether the conversation is listed before it was recovered.
    pub(crate) fn postpones(&self, id: ConversationId) -> bool {
        let listed = *self.stage.borrow() == Stage::Listed;
        listed && self.awaits(id)
    }

    /// Whether the conversation is yet to be recovered.
    pub(crate) fn awaits(&self, id: ConversationId) -> bool {
        lock(&self.waiting).contains(&id)
    }

    async fn until(&self, stage: Stage) {
        let mut reached = self.stage.subscribe();
        // It cannot close: this holds the sender.
        reached.wait_for(|reached| *reached >= stage).await.ok();
    }

    /// The list is complete; these are yet to be recovered.
    pub(crate) fn listed(&self, waiting: &[ConversationId]) {
        lock(&self.waiting).extend(waiting);
        self.reach(Stage::Listed);
    }

    pub(crate) fn done(&self, id: ConversationId) {
        lock(&self.waiting).remove(&id);
    }

    /// Nothing waits to be recovered any more.
    pub(crate) fn finish(&self) {
        self.reach(Stage::Recovered);
    }

    fn reach(&self, stage: Stage) {
        self.stage
            .send_modify(|reached| *reached = stage.max(*reached));
    }
}
