use std::{sync::Arc, time::Duration};

use core_model::ConversationId;
use tokio::time::timeout;

use crate::{
    End, Runtime, RuntimeError, command::StopReason, residency::live_conversation::LiveConversation,
};

/// Deletions, and the stop of the server.
impl Runtime {
    /// Ends a conversation's run, removes its folder, then ends its followers; leaves the agent's
    /// workspace.
    ///
    /// # Errors
    /// [`RuntimeError::NotFound`], or a store error: then it still exists and continues.
    ///
    /// # Cancel safety
    /// A dropped call is carried out all the same.
    pub async fn delete(&self, id: ConversationId) -> Result<(), RuntimeError> {
        self.state().touch();
        let runtime = self.clone();
        self.run_detached(async move { runtime.remove(id).await })
            .await
    }

    /// Does not read the conversation, which may be damaged.
    async fn remove(&self, id: ConversationId) -> Result<(), RuntimeError> {
        if self.state().is_stopping() {
            return Err(RuntimeError::Stopping);
        }
        if !self.residency.cache.begin_removal(id) {
            return Err(RuntimeError::NotFound(id));
        }
        let known = self.residency.cache.peek(id);
        let result = async {
            if let Some(live) = &known {
                live.stop_actor(StopReason::Deleted).await?;
            }
            Ok(self.state().store.delete(id).await?)
        }
        .await;
        if let Some(live) = &known {
            match &result {
                Ok(()) => live.end(End::Deleted),
                Err(error) => {
                    tracing::error!(conversation.id = %id, %error, "a conversation was not deleted");
                    live.reopen();
                    // Its run was ended, and nothing was logged.
                    self.conversation(Arc::clone(live)).recover().await.ok();
                }
            }
        }
        // Only now: a caller that looked meanwhile found what was being deleted, and no other.
        self.residency.cache.end_removal(id, result.is_ok());
        result
    }

    /// Pauses every run and ends every follower, for at most `deadline`, then closes the store; what was
    /// acknowledged is on disk.
    pub async fn shut_down(&self, deadline: Duration) {
        let ended = self.wind_down(deadline).await;
        self.close(ended).await;
    }

    /// The first part of [`Self::shut_down`], for a caller that has something left to do with the store before
    /// [`Self::close`]. Whether everything ended in time.
    pub async fn wind_down(&self, deadline: Duration) -> bool {
        self.state().begin_to_stop();
        let stops = self.residency.cache.all().into_iter().map(|live| async move {
            if let Err(error) = stop(&live).await {
                tracing::warn!(conversation.id = %live.id, %error, "a conversation did not stop cleanly");
            }
        });
        let all = async {
            futures_util::future::join_all(stops).await;
            self.state().actors.close();
            self.state().actors.wait().await;
            self.state().spending.flush().await;
            self.residency.cache.clear();
        };
        let ended = timeout(deadline, all).await.is_ok();
        if !ended {
            tracing::warn!("some runs did not end in time; they are recovered at the next start");
        }
        ended
    }

    /// Closes the store, cleanly if everything `ended`.
    pub async fn close(&self, ended: bool) {
        if !ended {
            return;
        }
        if let Err(error) = self.state().store.close().await {
            tracing::warn!(%error, "the list of conversations was not stored; the next start looks through all");
        }
    }
}

/// Ends a conversation's actor and its followers.
async fn stop(live: &Arc<LiveConversation>) -> Result<(), RuntimeError> {
    let result = live.stop_actor(StopReason::ServerStopping).await;
    live.end(End::ServerStopping);
    result
}
