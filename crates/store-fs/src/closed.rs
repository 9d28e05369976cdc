use std::time::{Duration, Instant};

use core_model::{ConversationId, StoreError, port};

/// Why a log takes no more events.
#[derive(Debug)]
pub(crate) enum Closed {
    /// An earlier write or sync failed, so what is on disk is uncertain.
    Poisoned(Fault),
    Deleted,
    /// It was deleted before it was opened, and waits to be read to its end.
    InOutbox,
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
            Self::Deleted | Self::InOutbox => StoreError::NotFound(id),
        }
    }
}
