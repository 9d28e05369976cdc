use std::sync::Arc;

use core_model::{
    Seq,
    port::{Claim, Claimed},
};
use tokio::sync::watch;

use crate::{RuntimeError, conversation::recover, residency::live_conversation::LiveConversation};

/// Takes the right to write a conversation, and reads what another server made of it meanwhile.
pub(crate) async fn take(live: &Arc<LiveConversation>) -> Result<Claim, RuntimeError> {
    match live.runtime.store.claim(live.id).await? {
        Claimed::Mine(claim) => {
            catch_up(live, claim.log.extent()).await?;
            Ok(claim)
        }
        Claimed::Theirs(holder) => Err(RuntimeError::OwnedElsewhere {
            holder: Some(holder),
        }),
    }
}

/// Brings what is published up to `extent`, if it is not there.
pub(crate) async fn catch_up(
    live: &LiveConversation,
    extent: core_model::Extent,
) -> Result<(), RuntimeError> {
    if live.published.borrow().extent == extent {
        return Ok(());
    }
    if extent.len > Seq(0) {
        // A reader may hear of it later than the one who claims.
        live.log.grown(Seq(extent.len.0 - 1)).await?;
    }
    let metadata = live.runtime.store.metadata(live.id).await?;
    let state = recover::fold(live.log.as_ref(), extent, &metadata).await?;
    live.published
        .send_modify(|now| *now = now.replaced(extent, state, metadata));
    Ok(())
}

/// Waits until a claim is lost.
///
/// # Cancel safety
/// Loses nothing.
pub(crate) async fn lost(lost: &mut watch::Receiver<bool>) {
    if lost.wait_for(|lost| *lost).await.is_err() {
        // The store says no more about it; writes are fenced all the same.
        std::future::pending::<()>().await;
    }
}
