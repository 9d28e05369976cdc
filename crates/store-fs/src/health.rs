use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, Weak},
    time::{Duration, Instant},
};

use core_model::{
    ConversationId, StoreError, UtcTime,
    port::{self, Notice},
};

use crate::{error::lock, log::Inner};

/// Notices kept; older ones are in the server's log.
const NOTICES: usize = 100;

/// Why a log takes no more events.
#[derive(Debug)]
pub(crate) enum Closed {
    /// An earlier write or sync failed, so what is on disk is uncertain.
    Poisoned(Fault),
    Deleted,
    /// It was deleted before it was opened, and waits to be read to its end.
    Departed,
}

/// What failed, and when to look again.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) cause: port::Fault,
    /// The log was opened like this, with an unfinished last line that could not be moved aside.
    pub(crate) torn: bool,
    next_look: Instant,
}

impl Fault {
    pub(crate) fn new(cause: port::Fault, pause: Duration) -> Self {
        Self {
            cause,
            torn: false,
            next_look: Instant::now() + pause,
        }
    }

    /// Whether it is time to look again; the next time comes after a pause.
    pub(crate) fn is_due(&mut self, pause: Duration) -> bool {
        let now = Instant::now();
        let due = now >= self.next_look;
        if due {
            self.next_look = now + pause;
        }
        due
    }
}

impl Closed {
    pub(crate) fn error(&self, id: ConversationId) -> StoreError {
        match self {
            Self::Poisoned(fault) => StoreError::Poisoned(fault.cause.clone()),
            Self::Deleted | Self::Departed => StoreError::NotFound(id),
        }
    }
}

/// The poisoned logs of a store. They stay open until they are well, deleted, or the store is dropped: opened
/// anew, one would show what it never acknowledged.
#[derive(Default)]
pub(crate) struct Health(Mutex<Vec<Arc<Inner>>>);

impl Health {
    /// Looks whether what failed works again, in the background.
    ///
    /// # Errors
    /// The first poisoned log, and why it is.
    pub(crate) fn check(&self) -> Result<(), String> {
        let faulty = lock(&self.0).clone();
        let mut found = Ok(());
        for log in faulty {
            if log.wants_healing() {
                log.context.committer.heal(log.clone());
            }
            let reason = match &lock(&log.queue).closed {
                Some(Closed::Poisoned(fault)) => fault.cause.clone(),
                Some(Closed::Deleted | Closed::Departed) | None => continue,
            };
            let words = || format!("conversation {} takes no more events: {reason}", log.id);
            found = found.and_then(|()| Err(words()));
        }
        self.drop_well();
        found
    }

    pub(crate) fn report(&self, log: &Weak<Inner>) {
        self.drop_well();
        if let Some(log) = log.upgrade() {
            lock(&self.0).push(log);
        }
    }

    /// Lets go of all, at the end.
    pub(crate) fn clear(&self) {
        let all = std::mem::take(&mut *lock(&self.0));
        drop(all);
    }

    fn drop_well(&self) {
        // Dropped outside the lock, for that may do something.
        let mut well = Vec::new();
        lock(&self.0).retain(|log| {
            let poisoned = log.is_poisoned();
            if !poisoned {
                well.push(Arc::clone(log));
            }
            poisoned
        });
    }
}

/// What the store found since it was opened.
#[derive(Default)]
pub(crate) struct Notices(Mutex<VecDeque<Notice>>);

impl Notices {
    pub(crate) fn add(&self, conversation_id: ConversationId, text: String) {
        let mut notices = lock(&self.0);
        if notices.len() == NOTICES {
            notices.pop_front();
        }
        notices.push_back(Notice {
            conversation_id,
            found_at: UtcTime::now(),
            text,
        });
    }

    pub(crate) fn all(&self) -> Vec<Notice> {
        lock(&self.0).iter().cloned().collect()
    }
}
