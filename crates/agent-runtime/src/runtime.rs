use std::{sync::Arc, time::Duration};

use core_model::{
    Catalog, ConversationId, ConversationInfo, ExecutionStatus, Metadata, Snapshot, StoreError,
    info::RuntimeInfo,
};
use tokio::{sync::oneshot, time::timeout};

use crate::{
    Conversation, ConversationPage, ConversationQuery, Created, End, NewConversation,
    RuntimeConfig, RuntimeError,
    command::{Command, Farewell},
    common::Core,
    create, restart,
    shared::{Mailbox, Shared},
};

/// All conversations of one server. Cheap to clone. Its tasks live on the tokio runtime it was
/// started on, whichever thread asks.
#[derive(Clone)]
pub struct Runtime(Arc<Core>);

impl Runtime {
    /// Takes charge of a store's conversations; mends those that a stop left running. Call it on
    /// the tokio runtime that is to run the agents.
    ///
    /// # Errors
    /// When the store cannot be listed.
    pub async fn start(
        config: RuntimeConfig,
        catalog: Arc<dyn Catalog>,
    ) -> Result<Self, RuntimeError> {
        let core = Arc::new(Core::new(config, catalog));
        let runtime = Self(core);
        for (metadata, size) in runtime.0.catalog.list().await? {
            runtime.take_charge(metadata, size).await;
        }
        runtime.0.shelf.spawn_reaper(&runtime.0);
        Ok(runtime)
    }

    /// Makes a conversation, or finds the one that has the id already.
    ///
    /// # Errors
    /// [`RuntimeError::Invalid`] when the workspace cannot be made, [`RuntimeError::RunLimit`] when
    /// an initial message finds no run slot (then nothing was made), or a store error.
    ///
    /// # Cancel safety
    /// A dropped call is carried out all the same.
    pub async fn create(&self, new: NewConversation) -> Result<Created, RuntimeError> {
        if self.0.is_stopping() {
            return Err(RuntimeError::Stopping);
        }
        self.0.touch();
        let runtime = self.clone();
        self.see_through(async move { create::create(&runtime, new).await })
            .await
    }

    /// A conversation to talk to.
    ///
    /// # Errors
    /// [`RuntimeError::NotFound`], or a store error.
    pub async fn open(&self, id: ConversationId) -> Result<Conversation, RuntimeError> {
        self.shared(id).await.map(Conversation)
    }

    /// A conversation's details, without bringing it into memory.
    ///
    /// # Errors
    /// [`RuntimeError::NotFound`], or a store error.
    pub async fn info(&self, id: ConversationId) -> Result<ConversationInfo, RuntimeError> {
        let mut info = match self.0.shelf.get(id) {
            Some(shared) => shared.info(),
            None => {
                let metadata = self.0.catalog.metadata(id).await?;
                match &metadata.snapshot {
                    // A run that no actor knows of is mended on the way into memory.
                    Some(snapshot)
                        if snapshot.state.execution_status != ExecutionStatus::Running =>
                    {
                        let folder = self.0.catalog.folder(id);
                        ConversationInfo::new(&metadata, &snapshot.state, &folder)
                    }
                    Some(_) | None => self.shared(id).await?.info(),
                }
            }
        };
        info.runtime_info = Some(RuntimeInfo::available());
        Ok(info)
    }

    /// One page of the list of conversations.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn search(
        &self,
        query: &ConversationQuery,
    ) -> Result<ConversationPage, RuntimeError> {
        let (ids, next_page_id) = self.0.listing.page(query);
        let mut items = Vec::with_capacity(ids.len());
        for id in ids {
            match self.info(id).await {
                Ok(info) => items.push(info),
                // Deleted since the page was made.
                Err(RuntimeError::NotFound(_)) => {}
                Err(RuntimeError::Store(error @ StoreError::Damaged { .. })) => {
                    tracing::warn!(conversation.id = %id, %error, "left out of a page");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(ConversationPage {
            items,
            next_page_id,
        })
    }

    /// How many conversations there are, of one status or in all.
    #[must_use]
    pub fn count(&self, status: Option<ExecutionStatus>) -> u64 {
        self.0.listing.count(status)
    }

    /// Ends a conversation's run and its followers, removes its folder, leaves the agent's
    /// workspace.
    ///
    /// # Errors
    /// [`RuntimeError::NotFound`], or a store error: then it is still there.
    ///
    /// # Cancel safety
    /// A dropped call is carried out all the same.
    pub async fn delete(&self, id: ConversationId) -> Result<(), RuntimeError> {
        self.0.touch();
        let runtime = self.clone();
        self.see_through(async move { runtime.remove(id).await })
            .await
    }

    async fn remove(&self, id: ConversationId) -> Result<(), RuntimeError> {
        let shared = self.shared(id).await?;
        dismiss(&shared, Farewell::Deleted).await?;
        let deleted = self.0.catalog.delete(id).await;
        if matches!(deleted, Ok(()) | Err(StoreError::NotFound(_))) {
            self.0.listing.remove(id);
        }
        // Only now: whoever looked in the meantime found what was being deleted, and no other.
        self.0.shelf.remove(id);
        Ok(deleted?)
    }

    /// Carries out `work` even if whoever waits for it goes away.
    async fn see_through<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, RuntimeError>> + Send + 'static,
    ) -> Result<T, RuntimeError> {
        let done = self.0.tokio.spawn(work).await;
        done.map_err(|error| RuntimeError::Internal(error.to_string()))?
    }

    /// Whether events can be made durable now, or why not.
    ///
    /// # Errors
    /// The reason in words.
    pub fn ready(&self) -> Result<(), String> {
        if self.0.is_stopping() {
            return Err("the server is stopping".to_owned());
        }
        self.0.catalog.ready()
    }

    /// Seconds since a client last asked for something to be done.
    #[must_use]
    pub fn idle_seconds(&self) -> f64 {
        self.0.idle().as_secs_f64()
    }

    /// Pauses every run and ends every follower; what was acknowledged is on disk. Waits for at
    /// most `deadline`.
    pub async fn shut_down(&self, deadline: Duration) {
        self.0.begin_to_stop();
        let farewells = self.0.shelf.all().into_iter().map(|shared| async move {
            if let Err(error) = dismiss(&shared, Farewell::ServerStopping).await {
                tracing::warn!(conversation.id = %shared.id, %error, "a conversation did not stop in order");
            }
        });
        let all = async {
            futures_util::future::join_all(farewells).await;
            self.0.actors.close();
            self.0.actors.wait().await;
            self.0.shelf.clear();
        };
        if timeout(deadline, all).await.is_err() {
            tracing::warn!("some runs did not end in time; they are mended at the next start");
        }
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.0
    }

    /// A conversation in memory. One that its log says is running, though nobody runs it, is mended
    /// first: an append that failed left it so.
    pub(crate) async fn shared(&self, id: ConversationId) -> Result<Arc<Shared>, RuntimeError> {
        if let Some(shared) = self.0.shelf.get(id) {
            return Ok(shared);
        }
        let shared = self.load(id).await?;
        if self.0.is_stopping() {
            // Put there too late for the stop to find it.
            return Err(RuntimeError::Stopping);
        }
        if shared.now().state.execution_status == ExecutionStatus::Running
            && let Err(error) = mend(&shared).await
        {
            tracing::error!(conversation.id = %id, %error, "a lost run was not mended");
        }
        Ok(shared)
    }

    async fn load(&self, id: ConversationId) -> Result<Arc<Shared>, RuntimeError> {
        loop {
            if let Some(shared) = self.0.shelf.get(id) {
                return Ok(shared);
            }
            let removals = self.0.shelf.removals();
            let metadata = self.0.catalog.metadata(id).await?;
            let log = self.0.catalog.open(id).await?;
            let state = restart::fold(log.as_ref(), &metadata).await?;
            let shared = Shared::new(Arc::clone(&self.0), log, metadata, state);
            if let Some(shared) = self.0.shelf.put(shared, removals) {
                return Ok(shared);
            }
        }
    }

    /// Puts a stored conversation on the list, mended if it needs it.
    async fn take_charge(&self, metadata: Metadata, size: u64) {
        let id = metadata.id;
        let fresh = |snapshot: &&Snapshot| {
            snapshot.bytes == size && snapshot.state.execution_status != ExecutionStatus::Running
        };
        let untouched = metadata.snapshot.is_none() && size == 0;
        if let Some(snapshot) = metadata.snapshot.as_ref().filter(fresh) {
            self.0.listing.put(&metadata, &snapshot.state);
        } else if untouched {
            self.0
                .listing
                .put(&metadata, &core_model::ConversationState::new(&metadata));
        } else if let Err(error) = self.bring_up_to_date(id).await {
            tracing::error!(conversation.id = %id, %error, "a conversation cannot be read and is left out");
            return;
        }
        if self.0.config.resume_runs && metadata.resume {
            self.resume(id).await;
        }
    }

    /// Brings the stored state up to its log and answers what a stop left open.
    async fn bring_up_to_date(&self, id: ConversationId) -> Result<(), RuntimeError> {
        let shared = self.load(id).await?;
        mend(&shared).await
    }

    async fn resume(&self, id: ConversationId) {
        let resumed = match self.open(id).await {
            Ok(conversation) => conversation.run().await,
            Err(error) => Err(error),
        };
        match resumed {
            Ok(()) => {
                tracing::info!(conversation.id = %id, "resumed the run that the last stop paused")
            }
            Err(error) => tracing::warn!(conversation.id = %id, %error, "could not resume a run"),
        }
    }
}

/// Has the stored state brought up to its log, and what a stop left open answered.
async fn mend(shared: &Arc<Shared>) -> Result<(), RuntimeError> {
    Conversation(Arc::clone(shared))
        .ask(|answer| Command::Mend { answer })
        .await
}

/// Ends a conversation's actor, if it has one, and tells its followers.
async fn dismiss(shared: &Arc<Shared>, farewell: Farewell) -> Result<(), RuntimeError> {
    let end = match farewell {
        Farewell::Deleted => End::Deleted,
        Farewell::ServerStopping => End::ServerStopping,
    };
    let actor = match std::mem::replace(&mut *shared.lock_mailbox(), Mailbox::Closed(end)) {
        Mailbox::Open(sender) => Some(sender),
        Mailbox::Resting => None,
        Mailbox::Closed(End::Deleted) => {
            return Err(RuntimeError::NotFound(shared.id));
        }
        Mailbox::Closed(_) => None,
    };
    let result = match actor {
        Some(actor) => {
            let (answer, answered) = oneshot::channel();
            match actor.send(Command::Stop { farewell, answer }).await {
                Ok(()) => answered.await.unwrap_or(Ok(())),
                Err(_ended) => Ok(()),
            }
        }
        None => Ok(()),
    };
    shared.published.send_modify(|now| now.end = Some(end));
    result
}
