//! Recovers what the last stop left, while the server already answers: conversations that nobody holds
//! although they run, or whose stored state is not of their whole log.

use std::sync::Arc;

use core_model::{
    ConversationId, ConversationOrder, ExecutionStatus, Store, StoreError, port::ListQuery,
};
use futures_util::{StreamExt, stream};

use crate::{Runtime, RuntimeConfig, RuntimeError, residency::Residency};

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
    if runtime.state().config.resume_runs
        && let Err(error) = resume_runs(runtime).await
    {
        tracing::error!(%error, "the runs that the last stop paused are not resumed");
    }
}

async fn recover_all(runtime: &Runtime) {
    let orphans = match runtime.state().store.orphans(usize::MAX).await {
        Ok(orphans) => orphans,
        Err(error) => {
            tracing::error!(%error, "the store cannot tell what the last stop left open");
            return;
        }
    };
    runtime.state().recovery.orphans(&orphans);
    stream::iter(orphans)
        .for_each_concurrent(TOGETHER, |id| async move {
            match recover_one(runtime, id).await {
                // The others were deleted since, or another server has them.
                Ok(()) | Err(RuntimeError::NotFound(_) | RuntimeError::OwnedElsewhere { .. }) => {
                    runtime.state().recovery.done(id);
                }
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
    runtime.conversation(live).recover().await?;
    if !wanted {
        runtime.residency.cache.keep_no_longer(id);
    }
    Ok(())
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
