//! The conversations that a webhook has something to deliver of, and whose turn it is. No I/O.

mod pending;

use std::collections::{BTreeSet, HashMap, VecDeque};

use core_model::{ConversationId, ConversationKey, Seq, UtcTime, port::Lag};
use tokio::time::Instant;

use crate::schedule::Trouble;
use pending::Phase;

pub(crate) use pending::{Owed, Pending, Seen};

/// Where more wait for their turn than this, their logs are closed meanwhile.
const OPEN_LOGS: usize = 64;

/// What the feed has of a conversation's log.
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
    /// How often something was rewound.
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

    /// Adds events `from..to`, of which everything before `next` was delivered earlier.
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
        if pending.is_done() {
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

    /// A conversation that waits for more events is sent; one that is busy or to be tried again stays as it
    /// is.
    pub(crate) fn expedite(&mut self, of: &ConversationKey) {
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

    /// All that waits, for more events or for its next try, is sent.
    pub(crate) fn expedite_all(&mut self) {
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

    /// Those whose time has come are sent.
    pub(crate) fn wake_due(&mut self, now: Instant) {
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

    /// When [`Self::wake_due`] has something to do.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Whose turn it is, which is busy from now on.
    pub(crate) fn take_ready(
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

    /// What was busy continues: at once if there is reason to, else when it is due. Where nothing is left
    /// of it, it is removed and returned.
    pub(crate) fn proceed(&mut self, of: ConversationKey, at_once: bool) -> Option<Pending> {
        let pending = self.pending.get_mut(&of)?;
        if pending.is_done() {
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
    pub(crate) fn retry_at(&mut self, of: ConversationKey, at: Instant) {
        if let Some(pending) = self.pending.get_mut(&of) {
            pending.log = None;
            pending.phase = Phase::Until(at);
            self.timers.insert((at, of));
        }
    }

    /// It is deleted: its log is among what waits to be delivered, and takes no more events.
    pub(crate) fn mark_deleted(&mut self, of: &ConversationKey) {
        let Some(pending) = self.pending.get_mut(of) else {
            return;
        };
        pending.deleted = true;
        pending.log = None;
        pending.flush_to = pending.to;
        self.expedite(of);
    }

    /// It is delivered again from `next` on.
    pub(crate) fn rewind(&mut self, of: &ConversationKey, next: Seq, rewound: UtcTime) {
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
        self.expedite(of);
    }

    /// All of it is delivered again from the start; what is found again by looking through all is dropped.
    pub(crate) fn rewind_all(&mut self, rewound: UtcTime) {
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
            self.rewind(&of, Seq(0), rewound);
            if let Some(pending) = self.pending.get_mut(&of) {
                // No position in the feed counts before it is delivered.
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

    /// The position in the feed before which everything is dealt with, given how far it was read.
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
