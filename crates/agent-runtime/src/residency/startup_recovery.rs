use std::{collections::HashSet, sync::Mutex};

use core_model::ConversationId;
use tokio::sync::watch;

use crate::lock::lock;

/// How far the recovery after a start has come.
#[derive(Default)]
pub(crate) struct StartupRecovery {
    stage: watch::Sender<Stage>,
    /// Orphans that are yet to be recovered; in the end, those that could not be.
    waiting: Mutex<HashSet<ConversationId>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// The store has yet to say which conversations are orphans.
    #[default]
    Begun,
    /// All orphans are known.
    Known,
    /// And none waits to be recovered any more.
    Recovered,
}

impl StartupRecovery {
    pub(crate) fn is_recovered(&self) -> bool {
        *self.stage.borrow() == Stage::Recovered
    }

    /// Waits until all orphans are recovered.
    pub(crate) async fn until_recovered(&self) {
        let mut stage = self.stage.subscribe();
        // It cannot close: this holds the sender.
        let recovered = |stage: &Stage| *stage == Stage::Recovered;
        stage.wait_for(recovered).await.ok();
    }

    /// Whether the conversation is known to be no orphan, or none any more.
    pub(crate) fn knows(&self, id: ConversationId) -> bool {
        *self.stage.borrow() > Stage::Begun && !self.awaits(id)
    }

    /// Whether the conversation may be an orphan that is yet to be recovered.
    pub(crate) fn postpones(&self, id: ConversationId) -> bool {
        match *self.stage.borrow() {
            Stage::Begun => true,
            Stage::Known => self.awaits(id),
            Stage::Recovered => false,
        }
    }

    /// Whether the conversation is an orphan that is yet to be recovered.
    pub(crate) fn awaits(&self, id: ConversationId) -> bool {
        lock(&self.waiting).contains(&id)
    }

    /// These are all orphans.
    pub(crate) fn orphans(&self, orphans: &[ConversationId]) {
        lock(&self.waiting).extend(orphans);
        self.reach(Stage::Known);
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
