//! Takes over what the last stop left: the list is completed and lost runs are mended, while the
//! server already answers.

use std::sync::Arc;

use core_model::{ConversationId, ConversationOrder, ExecutionStatus, port::ListQuery};
use futures_util::{StreamExt, stream};

use crate::{Conversation, Runtime, RuntimeError, command::Command, shared::Shared};

/// Conversations looked into at a time.
const TOGETHER: usize = 8;

/// Begins with it in the background.
pub(crate) fn spawn(runtime: &Runtime) {
    let core = runtime.core();
    // Weak, so that a runtime that is given up does not live on in here.
    let weak = Arc::downgrade(core);
    core.tokio.spawn(async move {
        let Some(core) = weak.upgrade() else { return };
        let runtime = Runtime::from(core);
        take_charge(&runtime).await;
        runtime.core().settled.send_replace(true);
        if runtime.core().config.resume_runs {
            resume_runs(&runtime).await;
        }
    });
}

async fn take_charge(runtime: &Runtime) {
    let unfit = match runtime.core().store.check().await {
        Ok(unfit) => unfit,
        Err(error) => {
            tracing::error!(%error, "the store cannot be looked through; its list may lack conversations");
            return;
        }
    };
    stream::iter(unfit)
        .for_each_concurrent(TOGETHER, |id| async move {
            match bring_up_to_date(runtime, id).await {
                // Deleted since.
                Ok(()) | Err(RuntimeError::NotFound(_)) => {}
                Err(error) => {
                    tracing::error!(conversation.id = %id, %error, "a conversation cannot be read and is left out");
                }
            }
        })
        .await;
}

/// Brings the stored state up to its log and answers what a stop left open.
async fn bring_up_to_date(runtime: &Runtime, id: ConversationId) -> Result<(), RuntimeError> {
    if runtime.core().is_stopping() {
        return Err(RuntimeError::Stopping);
    }
    let wanted = runtime.core().shelf.peek(id).is_some();
    let shared = runtime.load(id).await?;
    mend(&shared).await?;
    if !wanted {
        runtime.core().shelf.let_go(id);
    }
    Ok(())
}

/// Has the stored state brought up to its log, and what a stop left open answered.
pub(crate) async fn mend(shared: &Arc<Shared>) -> Result<(), RuntimeError> {
    Conversation(Arc::clone(shared))
        .ask(|answer| Command::Mend { answer })
        .await
}

/// Starts the runs again that the last stop paused.
async fn resume_runs(runtime: &Runtime) {
    let store = &runtime.core().store;
    let paused = store.list(&ListQuery {
        status: Some(ExecutionStatus::Paused),
        first: None,
        limit: usize::MAX,
        order: ConversationOrder::Updated,
    });
    let ids: Vec<ConversationId> = paused.rows.iter().map(|row| row.id).collect();
    let stored = match store.metadata_of(&ids).await {
        Ok(stored) => stored,
        Err(error) => {
            tracing::error!(%error, "the runs that the last stop paused are not resumed");
            return;
        }
    };
    for metadata in stored
        .into_iter()
        .flatten()
        .filter(|metadata| metadata.resume)
    {
        resume(runtime, metadata.id).await;
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
