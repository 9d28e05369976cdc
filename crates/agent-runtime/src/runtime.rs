use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use core_model::{
    ConversationId, ExecutionStatus,
    port::{Digest, Notice, Receipt},
};

use crate::{
    AllFilter, AllFollower, AllStart, Conversation, RuntimeError,
    residency::{
        Residency, catch_up::catch_up, live_conversation::LiveConversation,
        runtime_state::RuntimeState,
    },
};

/// All conversations of one server. Cheap to clone. Its tasks live on the tokio runtime it was
/// started on, whichever thread asks.
#[derive(Clone)]
pub struct Runtime {
    pub(crate) residency: Arc<Residency>,
}

impl Runtime {
    pub(crate) fn new(residency: Arc<Residency>) -> Self {
        Self { residency }
    }

    /// Whether all stored conversations are listed and recovered. [`Self::search`] and [`Self::count`]
    /// wait until the store has them listed, all else waits for nothing; one that is listed and yet to be
    /// recovered shows there with its stored state.
    #[must_use]
    pub fn is_recovered(&self) -> bool {
        self.state().recovery.is_recovered()
    }

    /// Waits until all stored conversations are listed and recovered.
    pub async fn until_recovered(&self) {
        self.state().recovery.until_recovered().await;
    }

    /// A conversation to talk to.
    ///
    /// # Errors
    /// [`RuntimeError::NotFound`], or a store error.
    pub async fn open(&self, id: ConversationId) -> Result<Conversation, RuntimeError> {
        Ok(self.conversation(self.recovered(id).await?))
    }

    /// Follows all conversations.
    ///
    /// # Errors
    /// [`RuntimeError::CursorExpired`] for a cursor of a feed that no longer exists.
    pub async fn follow_all(
        &self,
        start: AllStart,
        filter: AllFilter,
    ) -> Result<AllFollower, RuntimeError> {
        AllFollower::new(Arc::clone(&self.residency), start, filter).await
    }

    /// Carries out `work` on this runtime's threads, even when its caller goes away.
    ///
    /// # Errors
    /// Those of `work`; [`RuntimeError::Internal`] when it panics.
    ///
    /// # Cancel safety
    /// A dropped call is carried out all the same.
    pub async fn run_detached<T, E>(
        &self,
        work: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<RuntimeError> + Send + 'static,
    {
        let done = self.state().tokio.spawn(work).await;
        done.map_err(|error| RuntimeError::Internal(error.to_string()))?
    }

    /// What is known of a request that may come again; a new one is recorded as begun.
    ///
    /// # Errors
    /// When that cannot be made durable, or too many are remembered.
    pub async fn begin_request(&self, key: Digest, body: Digest) -> Result<Receipt, RuntimeError> {
        Ok(self.state().store.begin(key, body).await?)
    }

    /// Records what a request that may come again was answered.
    ///
    /// # Errors
    /// When that cannot be made durable.
    pub async fn finish_request(&self, key: Digest, answer: Bytes) -> Result<(), RuntimeError> {
        Ok(self.state().store.finish(key, answer).await?)
    }

    /// Forgets a request that was refused and had no effect.
    ///
    /// # Errors
    /// When that cannot be written.
    pub async fn forget_request(&self, key: Digest) -> Result<(), RuntimeError> {
        Ok(self.state().store.forget(key).await?)
    }

    /// Whether events can be made durable now, or why not.
    ///
    /// # Errors
    /// The reason in words.
    pub fn ready(&self) -> Result<(), String> {
        if self.state().is_stopping() {
            return Err("the server is stopping".to_owned());
        }
        self.state().store.health().ready
    }

    /// What the store found and repaired, or left as it was, since the start; the newest last.
    #[must_use]
    pub fn notices(&self) -> Vec<Notice> {
        self.state().store.health().notices
    }

    /// Seconds since a client last asked for something to be done.
    #[must_use]
    pub fn idle_seconds(&self) -> f64 {
        self.state().idle().as_secs_f64()
    }

    /// How long a call of the terminal waits at most, where an agent says nothing else.
    #[must_use]
    pub fn max_foreground_terminal_timeout(&self) -> Duration {
        self.state().config.max_foreground_terminal_timeout
    }

    pub(crate) fn state(&self) -> &Arc<RuntimeState> {
        &self.residency.runtime
    }

    pub(crate) fn conversation(&self, live: Arc<LiveConversation>) -> Conversation {
        Conversation::new(live, &self.residency)
    }

    /// A conversation in memory, with what another server appended to it. One whose log says that it is
    /// running, though nobody runs it, is recovered first: an append that failed left it so.
    pub(crate) async fn recovered(
        &self,
        id: ConversationId,
    ) -> Result<Arc<LiveConversation>, RuntimeError> {
        let known = self.residency.cache.get(id);
        let is_new = known.is_none();
        let live = match known {
            Some(live) => live,
            None => self.residency.load(id).await?,
        };
        if is_new && self.state().is_stopping() {
            // Put there too late for the stop to find it.
            return Err(RuntimeError::Stopping);
        }
        if !is_new && live.has_no_actor() {
            catch_up(&live, live.log.visible()).await?;
        }
        self.recover_lost_run(&live).await;
        Ok(live)
    }

    pub(crate) async fn recover_lost_run(&self, live: &Arc<LiveConversation>) {
        let says_running = live.now().state.execution_status == ExecutionStatus::Running;
        let is_lost = || live.has_no_actor() || self.state().recovery.awaits(live.id);
        if says_running
            && is_lost()
            && let Err(error) = self.recover_if_unheld(live).await
        {
            tracing::error!(conversation.id = %live.id, %error, "a lost run was not recovered");
        }
    }

    /// A run that another server carries out is none of ours.
    async fn recover_if_unheld(&self, live: &Arc<LiveConversation>) -> Result<(), RuntimeError> {
        if live.has_no_actor() && self.state().store.holder(live.id).await?.is_some() {
            return Ok(());
        }
        self.conversation(Arc::clone(live)).recover().await
    }
}
