//! The conversations that a webhook has something to deliver of, and whose turn it is. No I/O.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use core_model::{ConversationId, ConversationKey, LogReader, Seq, UtcTime, port::Lag};
use tokio::time::Instant;

use crate::schedule::Trouble;

/// Where more wait for their turn than this, their logs are closed meanwhile.
const OPEN_LOGS: usize = 64;

/// A conversation that is not delivered to its end.
pub(crate) struct Pending {
    /// The first event that is not.
    pub(crate) next: Seq,
    /// Up to where the feed told of events.
    pub(crate) to: Seq,
    /// Up to where they wait for no others.
    pub(crate) flush_to: Seq,
    /// Where in the feed what is not delivered begins.
    pub(crate) position: u64,
    /// `next` is yet to be found: the first event since then.
    pub(crate) since: Option<UtcTime>,
    pub(crate) rewound: Option<UtcTime>,
    /// When the oldest undelivered event happened or was heard of.
    pub(crate) oldest: UtcTime,
    /// When the events from this one on were heard of, the last ones.
    latest: (Seq, Instant),
    /// When they are sent even if they are few.
    due: Instant,
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
    /// Moves when it is taken back: what is under way then counts no more.
    pub(crate) round: u32,
    phase: Phase,
}

/// What is to be told of the conversation itself.
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
enum Phase {
    /// Until then, for others to join or before it is tried again.
    Until(Instant),
    Ready,
    Busy,
}

/// What the feed tells of a conversation's log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Growth {
    pub(crate) from: Seq,
    pub(crate) to: Seq,
    pub(crate) position: u64,
    pub(crate) now: Instant,
    /// When it is to be sent even if nothing more comes.
    pub(crate) due: Instant,
    /// Sent at once.
    pub(crate) flush: bool,
}

#[derive(Default)]
pub(crate) struct Backlog {
    pending: HashMap<ConversationKey, Pending>,
    ready: VecDeque<ConversationKey>,
    timers: BTreeSet<(Instant, ConversationKey)>,
    /// How many pending ones have an id.
    ids: HashMap<ConversationId, u32>,
    /// How often something was taken back.
    round: u32,
}

impl Backlog {
    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Whether something is tried again.
    pub(crate) fn is_failing(&self) -> bool {
        let mut all = self.pending.values();
        all.any(|pending| pending.trouble != Trouble::default())
    }

    pub(crate) fn get(&self, of: &ConversationKey) -> Option<&Pending> {
        self.pending.get(of)
    }

    pub(crate) fn get_mut(&mut self, of: &ConversationKey) -> Option<&mut Pending> {
        self.pending.get_mut(of)
    }

    /// Takes note of events `from..to`, of which everything before `next` was delivered earlier.
    pub(crate) fn grew(&mut self, of: ConversationKey, next: Seq, growth: Growth) -> &mut Pending {
        let Growth { now, due, .. } = growth;
        let (timers, ids, round) = (&mut self.timers, &mut self.ids, self.round);
        let pending = self.pending.entry(of).or_insert_with(|| {
            timers.insert((due, of));
            *ids.entry(of.id).or_default() += 1;
            Pending {
                next,
                to: next,
                flush_to: Seq(0),
                position: growth.position,
                since: None,
                rewound: None,
                oldest: UtcTime::now(),
                latest: (next, now),
                due,
                owed: Owed::default(),
                deleted: false,
                seen: Seen::default(),
                trouble: Trouble::default(),
                failing_since: None,
                retry_to: None,
                log: None,
                round,
                phase: Phase::Until(due),
            }
        });
        if pending.is_through() {
            pending.due = due;
            pending.oldest = UtcTime::now();
        }
        if growth.to > pending.to {
            pending.to = growth.to;
            pending.latest = (growth.from, now);
        }
        if growth.flush {
            pending.flush_to = pending.to;
        }
        pending
    }

    /// Lets a conversation that waits for others go ahead; one that is busy or to be tried again is
    /// not hurried.
    pub(crate) fn hurry(&mut self, of: &ConversationKey) {
        let Some(pending) = self.pending.get_mut(of) else {
            return;
        };
        if let Phase::Until(at) = pending.phase
            && pending.trouble == Trouble::default()
        {
            self.timers.remove(&(at, *of));
            pending.phase = Phase::Ready;
            self.ready.push_back(*of);
        }
    }

    /// All that waits for others, or for its next try, goes ahead.
    pub(crate) fn hurry_all(&mut self) {
        for (_, of) in std::mem::take(&mut self.timers) {
            if let Some(pending) = self.pending.get_mut(&of) {
                pending.phase = Phase::Ready;
                self.ready.push_back(of);
            }
        }
    }

    /// Whatever waits is sent as soon as it is its turn.
    pub(crate) fn flush_all(&mut self) {
        for pending in self.pending.values_mut() {
            pending.flush_to = pending.to;
        }
    }

    /// Those whose time has come go ahead.
    pub(crate) fn ring(&mut self, now: Instant) {
        while let Some((at, of)) = self.timers.first().copied() {
            if at > now {
                return;
            }
            self.timers.pop_first();
            if let Some(pending) = self.pending.get_mut(&of) {
                if pending.due <= now {
                    pending.flush_to = pending.to;
                }
                pending.phase = Phase::Ready;
                self.ready.push_back(of);
            }
        }
    }

    /// When [`Self::ring`] has something to do.
    pub(crate) fn next_ring(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Whose turn it is, which is busy from now on.
    pub(crate) fn take(
        &mut self,
        may: impl Fn(&ConversationKey) -> bool,
    ) -> Option<ConversationKey> {
        for _ in 0..self.ready.len() {
            let of = self.ready.pop_front()?;
            if !may(&of) || self.is_preceded(&of) {
                self.ready.push_back(of);
                continue;
            }
            if let Some(pending) = self.pending.get_mut(&of) {
                pending.phase = Phase::Busy;
                return Some(of);
            }
        }
        None
    }

    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(crate) fn is_busy(&self, of: &ConversationKey) -> bool {
        let pending = self.pending.get(of);
        pending.is_some_and(|pending| pending.phase == Phase::Busy)
    }

    /// What was busy goes on: at once if there is reason to, else when it is due; through with it, it
    /// is forgotten, and returned.
    pub(crate) fn go_on(&mut self, of: ConversationKey, at_once: bool) -> Option<Pending> {
        let pending = self.pending.get_mut(&of)?;
        if pending.is_through() {
            return self.forget(&of);
        }
        let last = pending.owed.deleted && pending.next >= pending.to;
        let owes = pending.owed.created || pending.owed.changed.is_some() || last;
        if at_once || owes || pending.next < pending.flush_to {
            if self.ready.len() >= OPEN_LOGS {
                pending.log = None;
            }
            pending.phase = Phase::Ready;
            self.ready.push_back(of);
        } else {
            pending.log = None;
            pending.phase = Phase::Until(pending.due);
            self.timers.insert((pending.due, of));
        }
        None
    }

    /// What was busy is tried again then.
    pub(crate) fn again(&mut self, of: ConversationKey, at: Instant) {
        if let Some(pending) = self.pending.get_mut(&of) {
            pending.log = None;
            pending.phase = Phase::Until(at);
            self.timers.insert((at, of));
        }
    }

    /// It is deleted: its log is among what waits to be delivered, and takes no more events.
    pub(crate) fn depart(&mut self, of: &ConversationKey) {
        let Some(pending) = self.pending.get_mut(of) else {
            return;
        };
        pending.deleted = true;
        pending.log = None;
        pending.flush_to = pending.to;
        self.hurry(of);
    }

    /// It is delivered again from `next` on.
    pub(crate) fn take_back(&mut self, of: &ConversationKey, next: Seq, rewound: UtcTime) {
        self.round += 1;
        let Some(pending) = self.pending.get_mut(of) else {
            return;
        };
        pending.round = self.round;
        pending.next = next;
        pending.since = None;
        pending.rewound = Some(rewound);
        pending.flush_to = pending.to;
        pending.seen = Seen::default();
        pending.retry_to = None;
        pending.recover();
        self.hurry(of);
    }

    /// All of it is delivered again from the start; what is found again by looking through all is dropped.
    pub(crate) fn take_all_back(&mut self, rewound: UtcTime) {
        self.round += 1;
        self.pending.retain(|_, pending| {
            pending.deleted || pending.phase == Phase::Busy || pending.owed != Owed::default()
        });
        let pending = &self.pending;
        self.ready.retain(|of| pending.contains_key(of));
        self.timers.retain(|(_, of)| pending.contains_key(of));
        self.ids.clear();
        for of in self.pending.keys() {
            *self.ids.entry(of.id).or_default() += 1;
        }
        let stay: Vec<ConversationKey> = self.pending.keys().copied().collect();
        for of in stay {
            self.take_back(&of, Seq(0), rewound);
            if let Some(pending) = self.pending.get_mut(&of) {
                // No place in the feed counts before it is through.
                pending.position = 0;
            }
        }
    }

    pub(crate) fn remove(&mut self, of: &ConversationKey) -> Option<Pending> {
        let pending = self.forget(of)?;
        if let Phase::Until(at) = pending.phase {
            self.timers.remove(&(at, *of));
        }
        self.ready.retain(|ready| ready != of);
        Some(pending)
    }

    fn forget(&mut self, of: &ConversationKey) -> Option<Pending> {
        let pending = self.pending.remove(of)?;
        if let Some(count) = self.ids.get_mut(&of.id) {
            *count -= 1;
            if *count == 0 {
                self.ids.remove(&of.id);
            }
        }
        Some(pending)
    }

    /// Whether one that had the same id before is yet to be delivered.
    fn is_preceded(&self, of: &ConversationKey) -> bool {
        let twice = self.ids.get(&of.id).is_some_and(|count| *count > 1);
        let older = |other: &ConversationKey| other.id == of.id && other.created_at < of.created_at;
        twice && self.pending.keys().any(older)
    }

    /// The place in the feed before which everything is dealt with, given how far it was read.
    pub(crate) fn watermark(&self, read_to: u64) -> u64 {
        let open = self.pending.values().map(|pending| pending.position);
        open.min().unwrap_or(read_to).min(read_to)
    }

    pub(crate) fn lag(&self) -> Lag {
        let events = self.pending.values().map(Pending::waiting).sum();
        let oldest = self.pending.values().map(|pending| pending.oldest).min();
        let seconds = oldest.map_or(0.0, |oldest| {
            let since = UtcTime::now().0 - oldest.0;
            since.as_seconds_f64().max(0.0)
        });
        Lag {
            events,
            conversations: self.pending.len() as u64,
            seconds,
        }
    }
}

impl Pending {
    pub(crate) fn is_through(&self) -> bool {
        self.next >= self.to && self.owed == Owed::default()
    }

    /// Events that are not delivered.
    pub(crate) fn waiting(&self) -> u64 {
        self.to.0.saturating_sub(self.next.0)
    }

    /// Its trouble is over.
    pub(crate) fn recover(&mut self) {
        self.trouble = Trouble::default();
        self.failing_since = None;
    }

    /// It goes on at `next`: everything before is delivered, or was lost in a crash.
    pub(crate) fn advance(&mut self, next: Seq, flush_delay: Duration) {
        self.next = next;
        self.since = None;
        self.retry_to = None;
        self.seen = Seen::default();
        let (from, heard) = self.latest;
        if self.next >= from {
            self.due = self.due.max(heard + flush_delay);
        }
    }
}
