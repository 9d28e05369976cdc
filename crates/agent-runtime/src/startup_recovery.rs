//! Takes over what the last stop left: the list is completed and lost runs are recovered, while the
//! server already answers.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use core_model::{ConversationId, ConversationOrder, ExecutionStatus, port::ListQuery};
use futures_util::{StreamExt, stream};
use tokio::sync::watch;

use crate::{
    Conversation, Runtime, RuntimeError,
    command::Command,
    residency::{
        live_conversation::{LiveConversation, Mailbox},
        runtime_state::lock,
    },
};

/// Conversations looked into at a time.
const TOGETHER: usize = 8;
/// Metadata in memory at a time.
const CHUNK: usize = 256;

/// How far a runtime has taken charge of what is stored.
pub(crate) struct StartupRecovery {
    stage: watch::Sender<Stage>,
    /// Listed as their stored state has it, and yet to be looked into; in the end, those that could not
    /// be.
    waiting: Mutex<HashSet<ConversationId>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// The list may lack conversations.
    Begun,
    /// The list is whole.
    Listed,
    /// And no conversation waits to be recovered any more.
    Recovered,
}

impl StartupRecovery {
    /// `known`: the list was whole from the start, and nothing was left to be recovered.
    pub(crate) fn new(known: bool) -> Self {
        let stage = if known {
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

    /// Whether the conversation is listed before it was looked into.
    pub(crate) fn postpones(&self, id: ConversationId) -> bool {
        let listed = *self.stage.borrow() == Stage::Listed;
        listed && self.awaits(id)
    }

    /// Whether the conversation is yet to be looked into.
    pub(crate) fn awaits(&self, id: ConversationId) -> bool {
        lock(&self.waiting).contains(&id)
    }

    async fn until(&self, stage: Stage) {
        let mut reached = self.stage.subscribe();
        // It cannot close: this holds the sender.
        reached.wait_for(|reached| *reached >= stage).await.ok();
    }

    /// The list is whole; these are yet to be looked into.
    fn listed(&self, waiting: &[ConversationId]) {
        lock(&self.waiting).extend(waiting);
        self.reach(Stage::Listed);
    }

    fn looked_into(&self, id: ConversationId) {
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
        take_charge(&runtime).await;
        runtime.state().recovery.reach(Stage::Recovered);
        if runtime.state().config.resume_runs {
            resume_runs(&runtime).await;
        }
    });
}

async fn take_charge(runtime: &Runtime) {
    let unfit = match runtime.state().store.check().await {
        Ok(unfit) => unfit,
        Err(error) => {
            tracing::error!(%error, "the store cannot be looked through; its list may lack conversations");
            return;
        }
    };
    runtime.state().recovery.listed(&unfit);
    stream::iter(unfit)
        .for_each_concurrent(TOGETHER, |id| async move {
            match bring_up_to_date(runtime, id).await {
                // The second was deleted since.
                Ok(()) | Err(RuntimeError::NotFound(_)) => runtime.state().recovery.looked_into(id),
                Err(error) => {
                    tracing::error!(conversation.id = %id, %error, "a conversation cannot be read and is left out");
                }
            }
        })
        .await;
}

/// Brings the stored state up to its log and answers what a stop left open.
async fn bring_up_to_date(runtime: &Runtime, id: ConversationId) -> Result<(), RuntimeError> {
    if runtime.state().is_stopping() {
        return Err(RuntimeError::Stopping);
    }
    let wanted = runtime.state().cache.peek(id).is_some();
    let live = runtime.load(id).await?;
    match is_in_order(&live) {
        true => live.list(),
        false => recover(&live).await?,
    }
    if !wanted {
        runtime.state().cache.let_go(id);
    }
    Ok(())
}

/// Whether nothing runs that nobody carries out, and the stored state is that of the whole log.
fn is_in_order(live: &LiveConversation) -> bool {
    // Whoever has an actor is being written to, and recovered.
    let rests = matches!(*live.lock_mailbox(), Mailbox::NoActor);
    let now = live.now();
    let snapshot = now.metadata.snapshot.as_ref();
    rests
        && now.state.execution_status != ExecutionStatus::Running
        && snapshot.is_some_and(|of| of.as_of == now.len && of.bytes == live.log.size())
}

/// Has the stored state brought up to its log, and what a stop left open answered.
pub(crate) async fn recover(live: &Arc<LiveConversation>) -> Result<(), RuntimeError> {
    Conversation(Arc::clone(live))
        .ask(|answer| Command::Recover { answer })
        .await
}

/// Starts the runs again that the last stop paused.
async fn resume_runs(runtime: &Runtime) {
    let store = &runtime.state().store;
    let paused = store.list(&ListQuery {
        status: Some(ExecutionStatus::Paused),
        first: None,
        limit: usize::MAX,
        order: ConversationOrder::Updated,
    });
    let ids: Vec<ConversationId> = paused.rows.iter().map(|row| row.id).collect();
    for ids in ids.chunks(CHUNK) {
        let stored = match store.metadata_of(ids).await {
            Ok(stored) => stored,
            Err(error) => {
                tracing::error!(%error, "the runs that the last stop paused are not resumed");
                return;
            }
        };
        let resumable = stored.into_iter().flatten();
        for metadata in resumable.filter(|metadata| metadata.resume) {
            resume(runtime, metadata.id).await;
        }
    }
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
