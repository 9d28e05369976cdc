//! One conversation that is not delivered to its end.

use std::{sync::Arc, time::Duration};

use core_model::{
    LogReader, Seq, UtcTime,
    port::{Cursor, DeliverySubject},
};
use tokio::time::Instant;

use crate::{schedule::Trouble, sent::Sent};

/// A conversation that is not delivered to its end.
pub(crate) struct Pending {
    /// The first event that is not.
    pub(crate) next: Seq,
    /// Up to where the feed has told of events.
    pub(crate) to: Seq,
    /// Up to where they wait for no others.
    pub(crate) flush_to: Seq,
    /// Where in the feed what is not delivered begins.
    pub(crate) position: u64,
    /// `next` is yet to be found: the first event since then.
    pub(crate) since: Option<UtcTime>,
    pub(crate) rewound: Option<UtcTime>,
    /// When the oldest undelivered event happened, or when the feed told of it.
    pub(crate) oldest: UtcTime,
    /// The last events that the feed told of: the first one of them, and when.
    pub(super) latest: (Seq, Instant),
    /// When they are sent even if they are few.
    pub(super) due: Instant,
    pub(crate) owed: Owed,
    pub(crate) deleted: bool,
    /// What the last look found: events that are wanted, their bytes, and the length it is true of.
    pub(crate) seen: Seen,
    pub(crate) trouble: Trouble,
    /// When that began.
    pub(crate) failing_since: Option<Instant>,
    /// Where the batch ends that is to be tried again.
    pub(crate) retry_to: Option<Seq>,
    /// Open while it is busy, and while it is its turn again soon.
    pub(crate) log: Option<Arc<dyn LogReader>>,
    /// Moves when it is rewound: what is under way then does not count.
    pub(crate) round: u32,
    pub(super) phase: Phase,
}

/// Deliveries about the conversation itself that are to be made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Owed {
    pub(crate) created: bool,
    /// It changed at this event, which was delivered.
    pub(crate) changed: Option<Seq>,
    pub(crate) deleted: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) to: Seq,
    pub(crate) events: u64,
    /// The size of the log less what waits of it.
    pub(crate) base: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Until then, for more events to join or before it is tried again.
    Until(Instant),
    Ready,
    Busy,
}

impl Pending {
    pub(crate) fn is_done(&self) -> bool {
        self.next >= self.to && self.owed == Owed::default()
    }

    /// Events that are not delivered.
    pub(crate) fn waiting(&self) -> u64 {
        self.to.0.saturating_sub(self.next.0)
    }

    /// Where it continues, as it is recorded.
    pub(crate) fn cursor(&self) -> Cursor {
        Cursor {
            next: self.next,
            rewound: self.rewound,
        }
    }

    /// What was sent was not taken, and is to be tried again as it was.
    pub(crate) fn retry(&mut self, sent: &Sent) {
        self.oldest = sent.oldest.unwrap_or(self.oldest);
        if sent.subject == DeliverySubject::Events {
            self.retry_to = Some(sent.next);
        }
        self.log = None;
    }

    /// Its trouble is over.
    pub(crate) fn recover(&mut self) {
        self.trouble = Trouble::default();
        self.failing_since = None;
    }

    /// It continues at `next`: everything before is delivered, or was lost in a crash.
    pub(crate) fn advance(&mut self, next: Seq, flush_delay: Duration) {
        self.next = next;
        self.since = None;
        self.retry_to = None;
        self.seen = Seen::default();
        let (from, told) = self.latest;
        if self.next >= from {
            self.due = self.due.max(told + flush_delay);
        }
    }
}
