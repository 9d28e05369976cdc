use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;
use core_model::{
    ConversationId, ConversationInfo, ConversationState, Extent, LogReader, Metadata,
};
use tokio::{
    sync::{broadcast, mpsc, watch},
    time::Instant,
};

use crate::{
    RuntimeError,
    command::{Command, CommandRequest, StopReason},
    lock::lock,
    residency::{
        open_tools::OpenTools,
        published::{End, Published},
        runtime_state::RuntimeState,
        transients::{TransientDelta, Transients},
    },
};

/// One conversation in memory: what its actor, its followers and its readers have in common.
pub(crate) struct LiveConversation {
    pub(crate) id: ConversationId,
    pub(crate) runtime: Arc<RuntimeState>,
    pub(crate) log: Arc<dyn LogReader>,
    /// With what its tools keep.
    pub(crate) folder: PathBuf,
    /// What is true and durable; followers wait here.
    pub(crate) published: watch::Sender<Published>,
    pub(crate) tools: OpenTools,
    transients: Transients,
    mailbox: Mutex<Mailbox>,
    /// When a client last read, or stopped following.
    last_read: Mutex<Instant>,
    /// Codes of the notices on its model that the user was given.
    notices: Mutex<BTreeSet<&'static str>>,
}

/// Who reads a conversation's commands.
enum Mailbox {
    /// The next command starts the actor.
    NoActor,
    Open(mpsc::Sender<Command>),
    Closed(End),
}

impl LiveConversation {
    pub(crate) fn new(
        runtime: Arc<RuntimeState>,
        log: Arc<dyn LogReader>,
        extent: Extent,
        metadata: Metadata,
        state: ConversationState,
    ) -> Arc<Self> {
        let id = metadata.id;
        let published = Published::new(extent, state, metadata);
        Arc::new(Self {
            id,
            folder: runtime.config.folder(id),
            runtime,
            log,
            published: watch::Sender::new(published),
            tools: OpenTools::default(),
            transients: Transients::default(),
            mailbox: Mutex::new(Mailbox::NoActor),
            last_read: Mutex::new(Instant::now()),
            notices: Mutex::default(),
        })
    }

    /// Whether the user was not yet given a notice of this code; now it counts as given.
    pub(crate) fn is_first_notice(&self, code: &'static str) -> bool {
        lock(&self.notices).insert(code)
    }

    /// What holds now.
    pub(crate) fn now(&self) -> Published {
        self.published.borrow().clone()
    }

    /// Waits until no goal is active.
    ///
    /// # Cancel safety
    /// Loses nothing.
    pub(crate) async fn until_goal_ends(&self) {
        let mut published = self.published.subscribe();
        let has_ended = |now: &Published| !now.state.goal.as_ref().is_some_and(|goal| goal.active);
        // The sender is ours.
        published.wait_for(has_ended).await.ok();
    }

    pub(crate) fn info(&self) -> ConversationInfo {
        self.now().info(&self.folder)
    }

    /// The snapshot frame for this moment, encoded once for all followers.
    pub(crate) fn snapshot_frame(&self, moment: &Published) -> Bytes {
        moment.snapshot_frame(&self.folder)
    }

    /// Receives transients from now on.
    pub(crate) fn listen(&self) -> broadcast::Receiver<TransientDelta> {
        self.transients.listen()
    }

    /// Sends a piece of a reply to those who listen now.
    pub(crate) fn send_piece(&self, piece: impl FnOnce() -> Bytes) {
        let at = self.published.borrow().extent.len;
        self.transients.send_piece(at, piece);
    }

    /// Tells those who listen now that the pieces of a reply are void.
    pub(crate) fn discard_reply(&self) {
        let at = self.published.borrow().extent.len;
        self.transients.discard_reply(at);
    }

    /// Stands in for deltas that were skipped: as many replies are discarded by now.
    pub(crate) fn no_delta(&self) -> TransientDelta {
        TransientDelta {
            at: self.published.borrow().extent.len,
            discards: self.transients.discards(),
            piece: None,
        }
    }

    /// Notes that a client reads it.
    pub(crate) fn note_read(&self) {
        *lock(&self.last_read) = Instant::now();
    }

    pub(crate) fn last_read(&self) -> Instant {
        *lock(&self.last_read)
    }

    pub(crate) fn is_followed(&self) -> bool {
        self.published.receiver_count() > 0
    }

    /// Publishes that the run is over although the log does not take that. What the log says stays as it
    /// is, to be recovered when it is next opened.
    pub(crate) fn lose_run(&self) {
        self.published.send_modify(|now| {
            let mut moment = now.advanced(now.extent, Arc::clone(&now.state), true);
            moment.run_lost = true;
            *now = moment;
        });
    }

    /// Why a command got no answer.
    pub(crate) fn unanswered_error(&self) -> RuntimeError {
        match *self.lock_mailbox() {
            Mailbox::Closed(End::Deleted | End::Failed) => RuntimeError::NotFound(self.id),
            Mailbox::Closed(End::ServerStopping) | Mailbox::Open(_) | Mailbox::NoActor => {
                RuntimeError::Stopping
            }
        }
    }

    /// Hands a command to the actor; when there is none, `start_actor` starts one that reads from the
    /// mailbox it is given. Never waits.
    ///
    /// # Errors
    /// When the conversation takes no commands any more, or has too many waiting.
    pub(crate) fn send(
        &self,
        command: Command,
        start_actor: impl FnOnce(mpsc::Receiver<Command>),
    ) -> Result<(), RuntimeError> {
        self.runtime.touch();
        let mut mailbox = self.lock_mailbox();
        if self.runtime.is_stopping() {
            return Err(RuntimeError::Stopping);
        }
        let sender = match &*mailbox {
            Mailbox::Open(sender) => sender.clone(),
            Mailbox::Closed(End::Deleted | End::Failed) => {
                return Err(RuntimeError::NotFound(self.id));
            }
            Mailbox::Closed(End::ServerStopping) => return Err(RuntimeError::Stopping),
            Mailbox::NoActor => {
                let (sender, receiver) = mpsc::channel(self.runtime.config.mailbox);
                *mailbox = Mailbox::Open(sender.clone());
                start_actor(receiver);
                sender
            }
        };
        sender.try_send(command).map_err(|_full| RuntimeError::Busy)
    }

    /// Hands a request to the actor if there is one that has room for it. Its answer is dropped.
    pub(crate) fn suggest(&self, request: CommandRequest) {
        if let Mailbox::Open(sender) = &*self.lock_mailbox() {
            let (command, _answered) = Command::new(request);
            sender.try_send(command).ok();
        }
    }

    /// Ends the actor, if there is one; no command is taken any more.
    ///
    /// # Errors
    /// [`RuntimeError::NotFound`] when the conversation is being deleted, or the actor's own.
    pub(crate) async fn stop_actor(&self, reason: StopReason) -> Result<(), RuntimeError> {
        let end = match reason {
            StopReason::Deleted => End::Deleted,
            StopReason::ServerStopping => End::ServerStopping,
        };
        let before = std::mem::replace(&mut *self.lock_mailbox(), Mailbox::Closed(end));
        let actor = match before {
            Mailbox::Open(sender) => sender,
            Mailbox::Closed(End::Deleted) => return Err(RuntimeError::NotFound(self.id)),
            Mailbox::NoActor | Mailbox::Closed(End::ServerStopping | End::Failed) => return Ok(()),
        };
        let (command, answered) = Command::new(CommandRequest::Stop(reason));
        match actor.send(command).await {
            Ok(()) => answered.await.unwrap_or(Ok(())),
            Err(_ended) => Ok(()),
        }
    }

    /// Has the next command start another actor, unless one waits in the mailbox or no more are taken.
    pub(crate) fn detach_actor(&self, actors_end: &mpsc::Receiver<Command>) -> bool {
        let mut mailbox = self.lock_mailbox();
        let detaches = actors_end.is_empty() && matches!(*mailbox, Mailbox::Open(_));
        if detaches {
            *mailbox = Mailbox::NoActor;
        }
        detaches
    }

    /// Ends without an actor: what waits for one is refused, and the next command starts another.
    pub(crate) fn refuse_waiting(
        &self,
        actors_end: &mut mpsc::Receiver<Command>,
        error: &RuntimeError,
    ) {
        let mut mailbox = self.lock_mailbox();
        if matches!(*mailbox, Mailbox::Open(_)) {
            *mailbox = Mailbox::NoActor;
        }
        while let Ok(command) = actors_end.try_recv() {
            command.refuse(error.again());
        }
    }

    /// Tells followers that nothing more comes.
    pub(crate) fn end(&self, end: End) {
        self.published.send_modify(|now| now.end = Some(end));
    }

    /// Takes commands again after a deletion that failed.
    pub(crate) fn reopen(&self) {
        let mut mailbox = self.lock_mailbox();
        if matches!(*mailbox, Mailbox::Closed(End::Deleted)) {
            *mailbox = Mailbox::NoActor;
        }
    }

    pub(crate) fn has_no_actor(&self) -> bool {
        matches!(*self.lock_mailbox(), Mailbox::NoActor)
    }

    fn lock_mailbox(&self) -> MutexGuard<'_, Mailbox> {
        lock(&self.mailbox)
    }
}
