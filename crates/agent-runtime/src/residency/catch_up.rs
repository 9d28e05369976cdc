use core_model::{ConversationState, Extent, LogReader, Metadata, Seq, StoreError};

use crate::residency::live_conversation::LiveConversation;

/// Brings what is published of a conversation that nobody here writes up to `extent`, if it is not there.
pub(crate) async fn catch_up(live: &LiveConversation, extent: Extent) -> Result<(), StoreError> {
    if live.published.borrow().extent == extent {
        return Ok(());
    }
    if extent.len > Seq(0) {
        // A reader may know of it later than a writer.
        live.log.grown(Seq(extent.len.0 - 1)).await?;
    }
    let metadata = live.runtime.store.metadata(live.id).await?;
    let state = fold(live.log.as_ref(), extent, &metadata).await?;
    live.published
        .send_modify(|now| *now = now.replaced(extent, state, metadata));
    Ok(())
}

/// The state that a log leads to, as far as `extent`.
pub(super) async fn fold(
    log: &dyn LogReader,
    extent: Extent,
    metadata: &Metadata,
) -> Result<ConversationState, StoreError> {
    core_model::fold(log, extent, metadata, |record, error| {
        tracing::warn!(
            conversation.id = %metadata.id, seq = %record.seq, %error,
            "an event cannot be read and is left out of the state"
        );
    })
    .await
}
