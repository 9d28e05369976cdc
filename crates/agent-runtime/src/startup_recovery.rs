//! Recovers what the last stop left, while the server already answers: the list is completed and lost runs
//! are ended.

use std::sync::Arc;

use core_model::{ConversationId, ConversationOrder, ExecutionStatus, Store, port::ListQuery};
use futures_util::{StreamExt, stream};

use crate::{
    Runtime, RuntimeConfig, RuntimeError,
    residency::{Residency, live_conversation::LiveConversation},
};

/// Conversations recovered at a time.
const TOGETHER: usize = 8;
/// Metadata in memory at a time.
const CHUNK: usize = 256;

impl Runtime {
    /// Takes over a store's conversations. Those that a stop left running are recovered in the
    /// background; see [`Self::is_recovered`]. Call it on the tokio runtime that is to run the agents.
    #[must_use]
    pub fn start(config: RuntimeConfig, store: Arc<dyn Store>) -> Self {
        let residency = Residency::new(config, store);
        // Weak, so that a runtime that is dropped does not live on in here.
        let weak = Arc::downgrade(&residency);
        residency.runtime.tokio.spawn(async move {
            if let Some(residency) = weak.upgrade() {
                recover(&Self::new(residency)).await;
            }
        });
        Self::new(residency)
    }
}

async fn recover(runtime: &Runtime) {
    recover_all(runtime).await;
    runtime.state().recovery.finish();
    if runtime.state().config.resume_runs {
        resume_runs(runtime).await;
    }
}

async fn recover_all(runtime: &Runtime) {
    let unfit = match runtime.state().store.check().await {
        Ok(unfit) => unfit,
        Err(error) => {
            tracing::error!(%error, "the store cannot be checked; its list may lack conversations");
            return;
        }
    };
    runtime.state().recovery.listed(&unfit);
    stream::iter(unfit)
        .for_each_concurrent(TOGETHER, |id| async move {
            match recover_one(runtime, id).await {
                // The second was deleted since.
                Ok(()) | Err(RuntimeError::NotFound(_)) => runtime.state().recovery.done(id),
                Err(error) => {
                    tracing::error!(conversation.id = %id, %error, "a conversation cannot be read and is left out");
                }
            }
        })
        .await;
}

/// Brings the stored state up to its log and answers what a stop left open.
async fn recover_one(runtime: &Runtime, id: ConversationId) -> Result<(), RuntimeError> {
    if runtime.state().is_stopping() {
        return Err(RuntimeError::Stopping);
    }
    let wanted = runtime.residency.cache.peek(id).is_some();
    let live = runtime.residency.load(id).await?;
    if is_recovered(&live) {
        live.list();
    } else {
        runtime.conversation(live).recover().await?;
    }
    if !wanted {
        runtime.residency.cache.keep_no_longer(id);
    }
    Ok(())
}

/// Whether nothing runs that nobody carries out, and the stored state is that of the whole log.
fn is_recovered(live: &LiveConversation) -> bool {
    // One that has an actor is being written to, and recovered.
    let is_unwritten = live.has_no_actor();
    let now = live.now();
    let snapshot = now.metadata.snapshot.as_ref();
    is_unwritten
        && now.state.execution_status != ExecutionStatus::Running
        && snapshot.is_some_and(|of| of.as_of == now.len && of.bytes == live.log.size())
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
