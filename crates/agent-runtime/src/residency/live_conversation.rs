use std::{
    borrow::Cow,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use core_model::{
    ConversationId, ConversationInfo, ConversationState, Draft, EventLog, EventTime,
    ExecutionStatus, Metadata, Row, Seq, UtcTime, info::full_state,
};
use tokio::{
    sync::{broadcast, mpsc, watch},
    time::Instant,
};

use crate::{
    End, RuntimeError,
    command::Command,
    residency::runtime_state::{RuntimeState, lock},
};

/// Token deltas that a listener may fall behind before it skips some.
const DELTA_RING: usize = 128;

/// One conversation in memory: what its actor, its followers and its readers have in common.
pub(crate) struct LiveConversation {
    pub(crate) id: ConversationId,
    pub(crate) runtime: Arc<RuntimeState>,
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) folder: PathBuf,
    /// What is true and durable; followers wait here.
    pub(crate) published: watch::Sender<Published>,
    /// Transients for whoever listens now; made for the first who does, for it has its full size at
    /// once.
    deltas: OnceLock<broadcast::Sender<Delta>>,
    /// Replies whose pieces were told and then discarded.
    discards: AtomicU64,
    mailbox: Mutex<Mailbox>,
    /// When a client last read, or stopped following.
    last_read: Mutex<Instant>,
}

/// One consistent moment: the visible length, and what holds at exactly that length.
#[derive(Clone)]
pub(crate) struct Published {
    pub(crate) len: Seq,
    /// Moves when followers are to be sent a snapshot.
    pub(crate) epoch: u64,
    pub(crate) state: Arc<ConversationState>,
    pub(crate) metadata: Arc<Metadata>,
    pub(crate) end: Option<End>,
    /// The log says that a run goes on, and does not take its end.
    run_lost: bool,
    frame: Arc<OnceLock<Bytes>>,
}

/// A piece of a reply that is being written, or that the pieces so far are void.
#[derive(Clone)]
pub(crate) struct Delta {
    /// The length of the log when it came: it belongs behind the events before that.
    pub(crate) at: Seq,
    /// How many replies had been discarded by then.
    pub(crate) discards: u64,
    /// None: the last of those was discarded just now.
    pub(crate) piece: Option<Bytes>,
}

/// Who reads a conversation's commands.
pub(crate) enum Mailbox {
    /// Nobody yet: the next command brings the actor up.
    NoActor,
    Open(mpsc::Sender<Command>),
    Closed(End),
}

impl LiveConversation {
    pub(crate) fn new(
        runtime: Arc<RuntimeState>,
        log: Arc<dyn EventLog>,
        metadata: Metadata,
        state: ConversationState,
    ) -> Arc<Self> {
        let id = metadata.id;
        let published = Published {
            len: log.len(),
            epoch: 0,
            state: Arc::new(state),
            metadata: Arc::new(metadata),
            end: None,
            run_lost: false,
            frame: Arc::default(),
        };
        Arc::new(Self {
            id,
            folder: runtime.store.folder(id),
            runtime,
            log,
            published: watch::Sender::new(published),
            deltas: OnceLock::new(),
            discards: AtomicU64::new(0),
            mailbox: Mutex::new(Mailbox::NoActor),
            last_read: Mutex::new(Instant::now()),
        })
    }

    /// What holds now.
    pub(crate) fn now(&self) -> Published {
        self.published.borrow().clone()
    }

    pub(crate) fn info(&self) -> ConversationInfo {
        let now = self.now();
        ConversationInfo::new(&now.metadata, &now.shown_state(), &self.folder)
    }

    /// The snapshot frame for this moment, encoded once for all followers.
    pub(crate) fn snapshot_frame(&self, moment: &Published) -> Bytes {
        let encode = || {
            let value = full_state(&moment.metadata, &moment.shown_state(), &self.folder);
            let event = Draft::state("full_state", value).at(EventTime::now(), None);
            event.to_vec().unwrap_or_default().into()
        };
        moment.frame.get_or_init(encode).clone()
    }

    /// Hears of transients from now on.
    pub(crate) fn listen(&self) -> broadcast::Receiver<Delta> {
        let deltas = || broadcast::Sender::new(DELTA_RING);
        self.deltas.get_or_init(deltas).subscribe()
    }

    /// Tells a piece of a reply to whoever listens now.
    pub(crate) fn tell(&self, piece: impl FnOnce() -> Bytes) {
        self.send_delta(|| Some(piece()));
    }

    /// Tells whoever listens now that the pieces of a reply are void.
    pub(crate) fn discard_reply(&self) {
        self.discards.fetch_add(1, Ordering::AcqRel);
        self.send_delta(|| None);
    }

    fn send_delta(&self, piece: impl FnOnce() -> Option<Bytes>) {
        let listeners = self
            .deltas
            .get()
            .filter(|deltas| deltas.receiver_count() > 0);
        if let Some(deltas) = listeners {
            let piece = piece();
            deltas
                .send(Delta {
                    piece,
                    ..self.no_delta()
                })
                .ok();
        }
    }

    /// What stands in for deltas that were skipped: as many replies are discarded by now.
    pub(crate) fn no_delta(&self) -> Delta {
        Delta {
            at: self.published.borrow().len,
            discards: self.discards.load(Ordering::Acquire),
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

    /// Brings the list of conversations up to date.
    pub(crate) fn list(&self) {
        if self.is_deleted() {
            return;
        }
        let now = self.now();
        let state = now.shown_state();
        let created_at = now.metadata.created_at;
        self.runtime.store.note(Row {
            id: self.id,
            created_at,
            updated_at: state
                .updated_at
                .map_or(created_at, |time| UtcTime(time.utc())),
            status: state.execution_status,
            len: now.len,
            bytes: self.log.size(),
        });
    }

    /// Tells everybody that the run is over although the log does not take that. What the log says
    /// stays as it is, to be recovered when it is next opened.
    pub(crate) fn lose_run(&self) {
        self.published.send_modify(|now| {
            let mut moment = now.advanced(now.len, Arc::clone(&now.state), true);
            moment.run_lost = true;
            *now = moment;
        });
        self.list();
    }

    /// Why a command got no answer.
    pub(crate) fn gone(&self) -> RuntimeError {
        match *self.lock_mailbox() {
            Mailbox::Closed(End::Deleted | End::Failed) => RuntimeError::NotFound(self.id),
            Mailbox::Closed(End::ServerStopping) | Mailbox::Open(_) | Mailbox::NoActor => {
                RuntimeError::Stopping
            }
        }
    }

    /// Hands a command to the actor, bringing it up if need be. Never waits.
    pub(crate) fn send(self: &Arc<Self>, command: Command) -> Result<(), RuntimeError> {
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
                crate::conversation::actor::spawn(Arc::clone(self), receiver);
                sender
            }
        };
        sender.try_send(command).map_err(|_full| RuntimeError::Busy)
    }

    /// Hands a command to the actor if one is up and has room for it.
    pub(crate) fn try_send(&self, command: Command) {
        if let Mailbox::Open(sender) = &*self.lock_mailbox() {
            sender.try_send(command).ok();
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

    pub(crate) fn is_deleted(&self) -> bool {
        matches!(*self.lock_mailbox(), Mailbox::Closed(End::Deleted))
    }

    pub(crate) fn lock_mailbox(&self) -> MutexGuard<'_, Mailbox> {
        self.mailbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Published {
    /// The state as readers are told it.
    fn shown_state(&self) -> Cow<'_, ConversationState> {
        if self.run_lost && self.state.execution_status == ExecutionStatus::Running {
            let mut state = (*self.state).clone();
            state.execution_status = ExecutionStatus::Error;
            return Cow::Owned(state);
        }
        Cow::Borrowed(&self.state)
    }

    /// The moment after a commit.
    pub(crate) fn advanced(&self, len: Seq, state: Arc<ConversationState>, announce: bool) -> Self {
        Self {
            len,
            epoch: self.epoch + u64::from(announce),
            state,
            metadata: Arc::clone(&self.metadata),
            end: self.end,
            run_lost: self.run_lost && len == self.len,
            frame: Arc::default(),
        }
    }

    /// The same moment with other metadata.
    pub(crate) fn described(&self, metadata: Metadata) -> Self {
        Self {
            metadata: Arc::new(metadata),
            frame: Arc::default(),
            ..self.clone()
        }
    }
}
