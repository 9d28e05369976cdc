//! Recovers what the last stop left: conversations that nobody holds although they run, or whose stored
//! state goes not as far as their log; while the server already answers.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use core_model::{ConversationId, ConversationOrder, ExecutionStatus, StoreError, port::ListQuery};
use futures_util::{StreamExt, stream};
use tokio::sync::watch;

use crate::{
    Conversation, Runtime, RuntimeError,
    command::Command,
    residency::{live_conversation::LiveConversation, runtime_state::lock},
};

/// Conversations looked into at a time.
const TOGETHER: usize = 8;
/// Metadata in memory at a time.
const CHUNK: usize = 256;

/// How far a runtime has recovered what the last stop left.
#[derive(Default)]
pub(crate) struct StartupRecovery {
    stage: watch::Sender<Stage>,
    /// Orphans that are yet to be recovered; in the end, those that could not be.
    waiting: Mutex<HashSet<ConversationId>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// The store has yet to tell which are orphans.
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

    /// Waits until all stored conversations are listed and recovered.
    pub(crate) async fn until_recovered(&self) {
        let mut reached = self.stage.subscribe();
        // It cannot close: this holds the sender.
        let recovered = |reached: &Stage| *reached == Stage::Recovered;
        reached.wait_for(recovered).await.ok();
    }

    /// Whether the conversation is known to be no orphan, or no more.
    pub(crate) fn knows(&self, id: ConversationId) -> bool {
        *self.stage.borrow() > Stage::Begun && !self.awaits(id)
    }

    /// Whether the conversation may be an orphan that is recovered later.
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

    fn known(&self, orphans: &[ConversationId]) {
        lock(&self.waiting).extend(orphans);
        self.reach(Stage::Known);
    }

    fn recovered(&self, id: ConversationId) {
        lock(&self.waiting).remove(&id);
    }

    fn reach(&self, stage: Stage) {
        self.stage
            .send_modify(|reached| *reached = stage.max(*reached));
    }
}

/// Begins with it in the background.
pub(crate) fn spawn(runtime: &Runtime) {
    let state = runtime.state();
    // Weak, so that a runtime that is given up does not live on in here.
    let weak = Arc::downgrade(state);
    state.tokio.spawn(async move {
        let Some(state) = weak.upgrade() else { return };
        let runtime = Runtime::from(state);
        recover_orphans(&runtime).await;
        runtime.state().recovery.reach(Stage::Recovered);
        if runtime.state().config.resume_runs
            && let Err(error) = resume_runs(&runtime).await
        {
            tracing::error!(%error, "the runs that the last stop paused are not resumed");
        }
    });
}

async fn recover_orphans(runtime: &Runtime) {
    let orphans = match runtime.state().store.orphans(usize::MAX).await {
        Ok(orphans) => orphans,
        Err(error) => {
            tracing::error!(%error, "the store cannot tell which conversations the last stop left open");
            return;
        }
    };
    runtime.state().recovery.known(&orphans);
    stream::iter(orphans)
        .for_each_concurrent(TOGETHER, |id| async move {
            match recover_orphan(runtime, id).await {
                // The others were deleted since, or another server has them.
                Ok(()) | Err(RuntimeError::NotFound(_) | RuntimeError::OwnedElsewhere { .. }) => {
                    runtime.state().recovery.recovered(id);
                }
                Err(error) => {
                    tracing::error!(conversation.id = %id, %error, "a conversation cannot be read and is left out");
                }
            }
        })
        .await;
}

/// Brings the stored state up to its log and answers what a stop left open.
async fn recover_orphan(runtime: &Runtime, id: ConversationId) -> Result<(), RuntimeError> {
    if runtime.state().is_stopping() {
        return Err(RuntimeError::Stopping);
    }
    let wanted = runtime.state().cache.peek(id).is_some();
    let live = runtime.load(id).await?;
    recover(&live).await?;
    if !wanted {
        runtime.state().cache.let_go(id);
    }
    Ok(())
}

/// Has the stored state brought up to its log, and what a stop left open answered.
pub(crate) async fn recover(live: &Arc<LiveConversation>) -> Result<(), RuntimeError> {
    Conversation(Arc::clone(live))
        .ask(|answer| Command::Recover { answer })
        .await
}

/// Starts the runs again that the last stop paused.
async fn resume_runs(runtime: &Runtime) -> Result<(), StoreError> {
    let store = &runtime.state().store;
    let paused = ListQuery {
        status: Some(ExecutionStatus::Paused),
        first: None,
        limit: usize::MAX,
        order: ConversationOrder::Updated,
    };
    let paused = store.list(&paused).await?.rows;
    let ids: Vec<ConversationId> = paused.iter().map(|row| row.id).collect();
    for ids in ids.chunks(CHUNK) {
        let resumable = store.metadata_of(ids).await?.into_iter().flatten();
        for metadata in resumable.filter(|metadata| metadata.resume) {
            resume(runtime, metadata.id).await;
        }
    }
    Ok(())
}

async fn resume(runtime: &Runtime, id: ConversationId) {
    let resumed = match runtime.open(id).await {
        Ok(conversation) => conversation.run().await,
        Err(error) => Err(error),
    };
    match resumed {
        Ok(()) => {
            tracing::info!(conversation.id = %id, "resumed the run that the last stop paused");
        }
        Err(error) => tracing::warn!(conversation.id = %id, %error, "could not resume a run"),
    }
}
