use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use core_model::{
    ConversationId, ConversationInfo, ConversationState, ExecutionStatus, Metadata, Store,
    info::RuntimeInfo,
    port::{Digest, ListQuery, Notice, Receipt},
};
use tokio::{sync::oneshot, time::timeout};

use crate::{
    AllFilter, AllFollower, AllStart, Conversation, ConversationPage, ConversationQuery, Created,
    End, Listed, NewConversation, RuntimeConfig, RuntimeError,
    command::{Command, StopReason},
    create,
    residency::{
        live_conversation::{LiveConversation, Mailbox},
        runtime_state::RuntimeState,
    },
    startup_recovery,
};

/// All conversations of one server. Cheap to clone. Its tasks live on the tokio runtime it was
/// started on, whichever thread asks.
#[derive(Clone)]
pub struct Runtime(Arc<RuntimeState>);

impl From<Arc<RuntimeState>> for Runtime {
    fn from(state: Arc<RuntimeState>) -> Self {
        Self(state)
    }
}

impl Runtime {
    /// Takes charge of a store's conversations. Those that a stop left running are recovered in the
    /// background; see [`Self::is_recovered`]. Call it on the tokio runtime that is to run the agents.
    #[must_use]
    pub fn start(config: RuntimeConfig, store: Arc<dyn Store>) -> Self {
        let runtime = Self(Arc::new(RuntimeState::new(config, store)));
        startup_recovery::spawn(&runtime);
        runtime.0.cache.spawn_reaper(&runtime.0);
        runtime
    }

    /// Whether all stored conversations are listed and recovered. [`Self::search`] and [`Self::count`]
    /// wait until they are listed, all else waits for nothing; one that is listed and yet to be recovered
    /// shows there as its stored state has it.
    #[must_use]
    pub fn is_recovered(&self) -> bool {
        self.0.recovery.is_recovered()
    }

    /// Waits until all stored conversations are listed and recovered.
    pub async fn until_recovered(&self) {
        self.0.recovery.until_recovered().await;
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
        self.run_detached(async move { create::create(&runtime, new).await })
            .await
    }

    /// A conversation to talk to.
    ///
    /// # Errors
    /// [`RuntimeError::NotFound`], or a store error.
    pub async fn open(&self, id: ConversationId) -> Result<Conversation, RuntimeError> {
        self.live(id).await.map(Conversation)
    }

    /// A conversation's details, without bringing it into memory where its stored state will do.
    ///
    /// # Errors
    /// [`RuntimeError::NotFound`], or a store error.
    pub async fn info(&self, id: ConversationId) -> Result<ConversationInfo, RuntimeError> {
        let mut info = match self.0.cache.get(id) {
            Some(live) => self.recovered(live).await.info(),
            None => {
                let metadata = self.0.store.metadata(id).await?;
                match self.stored_info(&metadata) {
                    Some(info) => info,
                    None => self.live(id).await?.info(),
                }
            }
        };
        info.runtime_info = Some(RuntimeInfo::available());
        Ok(info)
    }

    /// The details of several conversations, in their order; none where there is no such
    /// conversation, or it cannot be read.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn infos(
        &self,
        ids: &[ConversationId],
    ) -> Result<Vec<Option<ConversationInfo>>, RuntimeError> {
        let mut infos: Vec<Option<ConversationInfo>> = ids
            .iter()
            .map(|id| self.0.cache.peek(*id).map(|live| live.info()))
            .collect();
        let resting = |(at, info): (usize, &Option<_>)| info.is_none().then_some(at);
        let places: Vec<usize> = infos.iter().enumerate().filter_map(resting).collect();
        let wanted: Vec<ConversationId> = places.iter().map(|at| ids[*at]).collect();
        let stored = match wanted.is_empty() {
            true => Vec::new(),
            false => self.0.store.metadata_of(&wanted).await?,
        };
        for (at, metadata) in places.into_iter().zip(stored) {
            let Some(metadata) = metadata else { continue };
            let stored = self.stored_info(&metadata);
            infos[at] = match stored.or_else(|| self.postponed_info(&metadata)) {
                Some(info) => Some(info),
                None => match self.info(metadata.id).await {
                    Ok(info) => Some(info),
                    // Deleted since.
                    Err(RuntimeError::NotFound(_)) => None,
                    Err(RuntimeError::Stopping) => return Err(RuntimeError::Stopping),
                    Err(error) => {
                        tracing::warn!(conversation.id = %metadata.id, %error, "left out");
                        None
                    }
                },
            };
        }
        for info in infos.iter_mut().flatten() {
            info.runtime_info = Some(RuntimeInfo::available());
        }
        Ok(infos)
    }

    /// Several conversations as lists show them, in their order; none where there is no such
    /// conversation, or it cannot be read. What the store has ready is not read again.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn listed(
        &self,
        ids: &[ConversationId],
        include_skills: bool,
    ) -> Result<Vec<Option<Listed>>, RuntimeError> {
        let mut listed: Vec<Option<Listed>> = vec![None; ids.len()];
        if !include_skills && self.0.recovery.is_recovered() {
            let rests = |at: &usize| {
                self.0.cache.peek(ids[*at]).is_none() && self.0.recovery.knows(ids[*at])
            };
            let places: Vec<usize> = (0..ids.len()).filter(rests).collect();
            let wanted: Vec<ConversationId> = places.iter().map(|at| ids[*at]).collect();
            let ready = self.0.store.infos(&wanted).await?;
            for (at, json) in places.into_iter().zip(ready) {
                listed[at] = json.map(Listed::Json);
            }
        }
        let places: Vec<usize> = (0..ids.len()).filter(|at| listed[*at].is_none()).collect();
        let wanted: Vec<ConversationId> = places.iter().map(|at| ids[*at]).collect();
        for (at, info) in places.into_iter().zip(self.infos(&wanted).await?) {
            let shown = |info: ConversationInfo| match include_skills {
                true => info,
                false => info.listed(),
            };
            listed[at] = info.map(|info| Listed::Info(Box::new(shown(info))));
        }
        Ok(listed)
    }

    /// What the stored state says, if that is all there is: a log that may go beyond it, or a run
    /// that no actor knows of, is looked into on the way into memory.
    fn stored_info(&self, metadata: &Metadata) -> Option<ConversationInfo> {
        let row = self.0.store.row(metadata.id)?;
        let snapshot = metadata.snapshot.as_ref()?;
        let fits = self.0.recovery.knows(metadata.id) && row.bytes == snapshot.bytes;
        let folder = self.0.store.folder(metadata.id);
        ConversationInfo::at_rest(metadata, &folder).filter(|_| fits)
    }

    /// What the stored state says of a conversation that is yet to be looked into, under the status it
    /// is listed with.
    fn postponed_info(&self, metadata: &Metadata) -> Option<ConversationInfo> {
        let row = self.0.store.row(metadata.id)?;
        if !self.0.recovery.postpones(metadata.id) {
            return None;
        }
        let fresh = || ConversationState::new(metadata);
        let snapshot = metadata.snapshot.as_ref();
        let mut state = snapshot.map_or_else(fresh, |snapshot| snapshot.state.clone());
        state.execution_status = row.status;
        let folder = self.0.store.folder(metadata.id);
        Some(ConversationInfo::new(metadata, &state, &folder))
    }

    /// One page of the list of conversations. Waits until the list is whole.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn search(
        &self,
        query: &ConversationQuery,
    ) -> Result<ConversationPage, RuntimeError> {
        self.0.recovery.until_listed().await;
        let page = self.0.store.list(&ListQuery {
            status: query.status,
            first: query.page_id.as_ref().and_then(|id| id.parse().ok()),
            limit: query.limit,
            order: query.order,
        });
        let ids: Vec<ConversationId> = page.rows.iter().map(|row| row.id).collect();
        let items = self.listed(&ids, query.include_skills).await?;
        Ok(ConversationPage {
            items: items.into_iter().flatten().collect(),
            next_page_id: page.next.map(|id| id.hex()),
        })
    }

    /// How many conversations there are, of one status or in all. Waits until the list is whole.
    pub async fn count(&self, status: Option<ExecutionStatus>) -> u64 {
        self.0.recovery.until_listed().await;
        self.0.store.count(status)
    }

    /// Follows all conversations.
    ///
    /// # Errors
    /// [`RuntimeError::CursorExpired`] for a cursor of a feed that is no more.
    pub async fn follow_all(
        &self,
        start: AllStart,
        filter: AllFilter,
    ) -> Result<AllFollower, RuntimeError> {
        AllFollower::new(Arc::clone(&self.0), start, filter).await
    }

    /// Ends a conversation's run, removes its folder, then ends its followers; leaves the agent's
    /// workspace.
    ///
    /// # Errors
    /// [`RuntimeError::NotFound`], or a store error: then it is still there and goes on.
    ///
    /// # Cancel safety
    /// A dropped call is carried out all the same.
    pub async fn delete(&self, id: ConversationId) -> Result<(), RuntimeError> {
        self.0.touch();
        let runtime = self.clone();
        self.run_detached(async move { runtime.remove(id).await })
            .await
    }

    /// Does not read the conversation, which may be damaged.
    async fn remove(&self, id: ConversationId) -> Result<(), RuntimeError> {
        if self.0.is_stopping() {
            return Err(RuntimeError::Stopping);
        }
        if !self.0.cache.begin_removal(id) {
            return Err(RuntimeError::NotFound(id));
        }
        let known = self.0.cache.peek(id);
        let result = async {
            if let Some(live) = &known {
                stop_actor(live, StopReason::Deleted).await?;
            }
            Ok(self.0.store.delete(id).await?)
        }
        .await;
        if let Some(live) = &known {
            match &result {
                Ok(()) => live.end(End::Deleted),
                Err(error) => {
                    tracing::error!(conversation.id = %id, %error, "a conversation was not deleted");
                    live.reopen();
                    // Its run was ended without a word.
                    startup_recovery::recover(live).await.ok();
                }
            }
        }
        // Only now: whoever looked in the meantime found what was being deleted, and no other.
        self.0.cache.end_removal(id, result.is_ok());
        result
    }

    /// Carries out `work` on this runtime's threads, even if whoever waits for it goes away.
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
        let done = self.0.tokio.spawn(work).await;
        done.map_err(|error| RuntimeError::Internal(error.to_string()))?
    }

    /// What is known of a request that may come again; a new one is put down as begun.
    ///
    /// # Errors
    /// When that cannot be made durable, or too many are remembered.
    pub async fn begin_request(&self, key: Digest, body: Digest) -> Result<Receipt, RuntimeError> {
        Ok(self.0.store.begin(key, body).await?)
    }

    /// Puts down what a request that may come again was answered.
    ///
    /// # Errors
    /// When that cannot be made durable.
    pub async fn finish_request(&self, key: Digest, answer: Bytes) -> Result<(), RuntimeError> {
        Ok(self.0.store.finish(key, answer).await?)
    }

    /// Forgets a request that was refused and had no effect.
    ///
    /// # Errors
    /// When that cannot be written.
    pub async fn forget_request(&self, key: Digest) -> Result<(), RuntimeError> {
        Ok(self.0.store.forget(key).await?)
    }

    /// Whether events can be made durable now, or why not.
    ///
    /// # Errors
    /// The reason in words.
    pub fn ready(&self) -> Result<(), String> {
        if self.0.is_stopping() {
            return Err("the server is stopping".to_owned());
        }
        self.0.store.ready()
    }

    /// What the store found and recovered, or left as it was, since the start; the newest last.
    #[must_use]
    pub fn notices(&self) -> Vec<Notice> {
        self.0.store.notices()
    }

    /// Seconds since a client last asked for something to be done.
    #[must_use]
    pub fn idle_seconds(&self) -> f64 {
        self.0.idle().as_secs_f64()
    }

    /// How long a call of the terminal waits at most, where an agent says nothing else.
    #[must_use]
    pub fn max_foreground_terminal_timeout(&self) -> Duration {
        self.0.config.max_foreground_terminal_timeout
    }

    /// Pauses every run and ends every follower, for at most `deadline`, then closes the store; what was
    /// acknowledged is on disk.
    pub async fn shut_down(&self, deadline: Duration) {
        let ended = self.wind_down(deadline).await;
        self.close(ended).await;
    }

    /// The first part of [`Self::shut_down`], for whoever has something left to do with the store before
    /// [`Self::close`]. Tells whether everything ended in time.
    pub async fn wind_down(&self, deadline: Duration) -> bool {
        self.0.begin_to_stop();
        let stops = self.0.cache.all().into_iter().map(|live| async move {
            if let Err(error) = stop_and_end_followers(&live).await {
                tracing::warn!(conversation.id = %live.id, %error, "a conversation did not stop in order");
            }
        });
        let all = async {
            futures_util::future::join_all(stops).await;
            self.0.actors.close();
            self.0.actors.wait().await;
            self.0.cache.clear();
        };
        let ended = timeout(deadline, all).await.is_ok();
        if !ended {
            tracing::warn!("some runs did not end in time; they are recovered at the next start");
        }
        ended
    }

    /// Closes the store, in order if everything `ended`.
    pub async fn close(&self, ended: bool) {
        if !ended {
            return;
        }
        if let Err(error) = self.0.store.close().await {
            tracing::warn!(%error, "the list of conversations was not stored; the next start looks through all");
        }
    }

    pub(crate) fn state(&self) -> &Arc<RuntimeState> {
        &self.0
    }

    /// A conversation in memory. One that its log says is running, though nobody runs it, is recovered
    /// first: an append that failed left it so.
    pub(crate) async fn live(
        &self,
        id: ConversationId,
    ) -> Result<Arc<LiveConversation>, RuntimeError> {
        if let Some(live) = self.0.cache.get(id) {
            return Ok(self.recovered(live).await);
        }
        let live = self.load(id).await?;
        if self.0.is_stopping() {
            // Put there too late for the stop to find it.
            return Err(RuntimeError::Stopping);
        }
        Ok(self.recovered(live).await)
    }

    async fn recovered(&self, live: Arc<LiveConversation>) -> Arc<LiveConversation> {
        let nobody = matches!(*live.lock_mailbox(), Mailbox::NoActor);
        if live.now().state.execution_status == ExecutionStatus::Running
            && (nobody || self.0.recovery.awaits(live.id))
            && let Err(error) = startup_recovery::recover(&live).await
        {
            tracing::error!(conversation.id = %live.id, %error, "a lost run was not recovered");
        }
        live
    }

    pub(crate) async fn load(
        &self,
        id: ConversationId,
    ) -> Result<Arc<LiveConversation>, RuntimeError> {
        loop {
            if let Some(live) = self.0.cache.get(id) {
                return Ok(live);
            }
            // Of one that is being deleted, it shows then whether it is there.
            self.0.cache.until_no_removal(id).await;
            let removals = self.0.cache.removals();
            // Opened first, for that may put something down in the metadata.
            let log = self.0.store.open(id).await?;
            let metadata = self.0.store.metadata(id).await?;
            let state = core_model::fold(log.as_ref(), &metadata, |record, error| {
                tracing::warn!(
                    conversation.id = %id, seq = %record.seq, %error,
                    "an event cannot be read and is left out of the state"
                );
            })
            .await?;
            let live = LiveConversation::new(Arc::clone(&self.0), log, metadata, state);
            if let Some(live) = self.0.cache.put(live, removals) {
                return Ok(live);
            }
        }
    }
}

/// Ends a conversation's actor, if it has one; no command is taken any more.
async fn stop_actor(live: &Arc<LiveConversation>, reason: StopReason) -> Result<(), RuntimeError> {
    let end = match reason {
        StopReason::Deleted => End::Deleted,
        StopReason::ServerStopping => End::ServerStopping,
    };
    let actor = match std::mem::replace(&mut *live.lock_mailbox(), Mailbox::Closed(end)) {
        Mailbox::Open(sender) => Some(sender),
        Mailbox::NoActor => None,
        Mailbox::Closed(End::Deleted) => {
            return Err(RuntimeError::NotFound(live.id));
        }
        Mailbox::Closed(_) => None,
    };
    let Some(actor) = actor else { return Ok(()) };
    let (answer, answered) = oneshot::channel();
    match actor.send(Command::Stop { reason, answer }).await {
        Ok(()) => answered.await.unwrap_or(Ok(())),
        Err(_ended) => Ok(()),
    }
}

/// Ends a conversation's actor and tells its followers.
async fn stop_and_end_followers(live: &Arc<LiveConversation>) -> Result<(), RuntimeError> {
    let result = stop_actor(live, StopReason::ServerStopping).await;
    live.end(End::ServerStopping);
    result
}
