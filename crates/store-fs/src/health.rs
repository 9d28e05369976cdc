use std::{
    collections::VecDeque,
    sync::{Mutex, Weak},
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

/// The poisoned logs of a store. A fault counts as long as its log is open.
#[derive(Default)]
pub(crate) struct Health(Mutex<Vec<Weak<Inner>>>);

impl Health {
    /// Looks whether what failed works again, in the background.
    ///
    /// # Errors
    /// The first poisoned log that is still open, and why it is.
    pub(crate) fn check(&self) -> Result<(), String> {
        let mut faulty = lock(&self.0).clone();
        faulty.retain(|log| log.strong_count() > 0);
        let mut found = Ok(());
        for log in faulty.iter().filter_map(Weak::upgrade) {
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
        lock(&self.0).retain(|log| log.upgrade().is_some_and(|log| log.is_poisoned()));
        found
    }

    pub(crate) fn report(&self, log: Weak<Inner>) {
        lock(&self.0).push(log);
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
