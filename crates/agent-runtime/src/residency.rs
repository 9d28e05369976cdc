//! What is in memory, and for how long.

pub(crate) mod catch_up;
pub(crate) mod conversation_cache;
pub(crate) mod idle;
pub(crate) mod idle_tools;
pub(crate) mod live_conversation;
pub(crate) mod open_tools;
pub(crate) mod published;
pub(crate) mod runtime_state;
pub(crate) mod startup_recovery;
pub(crate) mod transients;

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use core_model::{ConversationId, Store};

use self::{
    conversation_cache::ConversationCache, idle_tools::IdleTools,
    live_conversation::LiveConversation, runtime_state::RuntimeState,
};
use crate::{RuntimeConfig, RuntimeError};

/// The conversations in memory, and what they share.
pub(crate) struct Residency {
    pub(crate) runtime: Arc<RuntimeState>,
    pub(crate) cache: ConversationCache,
    pub(crate) idle_tools: IdleTools,
}

impl Residency {
    /// With no conversations yet. Its tasks live on the tokio runtime that calls this.
    pub(crate) fn new(config: RuntimeConfig, store: Arc<dyn Store>) -> Arc<Self> {
        let residency = Arc::new(Self {
            cache: ConversationCache::new(config.max_idle_conversations),
            idle_tools: IdleTools::new(config.max_idle_shells),
            runtime: Arc::new(RuntimeState::new(config, store)),
        });
        let ttl = residency.runtime.config.idle_ttl;
        let forgetting = forget_unused(Arc::downgrade(&residency), ttl);
        residency.runtime.tokio.spawn(forgetting);
        residency
    }

    /// A conversation in memory; read from the store if it is not there yet.
    ///
    /// # Errors
    /// [`RuntimeError::NotFound`], or a store error.
    pub(crate) async fn load(
        &self,
        id: ConversationId,
    ) -> Result<Arc<LiveConversation>, RuntimeError> {
        loop {
            if let Some(live) = self.cache.get(id) {
                return Ok(live);
            }
            // Whether one that is being deleted exists shows only then.
            self.cache.until_no_removal(id).await;
            let removals = self.cache.removals();
            let store = &self.runtime.store;
            // Opened first, because that may change the metadata.
            let log = store.open(id).await?;
            let metadata = store.metadata(id).await?;
            let extent = log.visible();
            let state = catch_up::fold(log.as_ref(), extent, &metadata).await?;
            let runtime = Arc::clone(&self.runtime);
            let live = LiveConversation::new(runtime, log, extent, metadata, state);
            if let Some(live) = self.cache.put(live, removals) {
                return Ok(live);
            }
        }
    }
}

async fn forget_unused(residency: Weak<Residency>, ttl: Duration) {
    loop {
        tokio::time::sleep((ttl / 4).max(Duration::from_millis(50))).await;
        let Some(residency) = residency.upgrade() else {
            return;
        };
        residency.cache.forget_unused(ttl);
    }
}
