use std::sync::Arc;

use core_model::port::{Claim, Claimed};
use tokio::sync::watch;

use crate::{
    RuntimeError,
    residency::{catch_up::catch_up, live_conversation::LiveConversation},
};

/// Takes the right to write a conversation, and reads what another server appended meanwhile.
pub(super) async fn take(live: &Arc<LiveConversation>) -> Result<Claim, RuntimeError> {
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

/// Waits until a claim is lost.
///
/// # Cancel safety
/// Loses nothing.
pub(super) async fn lost(lost: &mut watch::Receiver<bool>) {
    if lost.wait_for(|lost| *lost).await.is_err() {
        // The store says no more about it; writes are fenced all the same.
        std::future::pending::<()>().await;
    }
}
