//! How far an endpoint got with each conversation.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use core_model::{
    ConversationKey, ExecutionStatus, Seq, StoreError, UtcTime,
    port::{Cursor, DeadLetter, DeliverySubject, FollowerRecords, MAX_DEAD_LETTERS},
};
use tokio::time::Instant;

use crate::{
    backlog::{Backlog, Growth},
    endpoint::Endpoint,
    job::{Job, Task},
    outbox::Outbox,
    recorder::Recorder,
    sent::Sent,
};

pub(super) struct Progress {
    endpoint: Arc<Endpoint>,
    outbox: Arc<Outbox>,
    pub(super) backlog: Backlog,
    pub(super) recorder: Recorder,
    /// What the receiver refused for good, the oldest first.
    dead_letters: VecDeque<DeadLetter>,
    /// Events before this are not wanted; none: all are.
    since: Option<UtcTime>,
    /// When all conversations were last rewound.
    rewound: Option<UtcTime>,
    /// Where conversations continue that nothing is pending of, as long as the feed, or a look through
    /// all conversations, may tell of events that were delivered.
    delivered: Option<HashMap<ConversationKey, Cursor>>,
    /// Where the feed ended at the start: what it has before is overdue.
    overdue_to: u64,
    /// Whether everything is sent as soon as the feed tells of it, because the server stops.
    flushing: bool,
}

impl Progress {
    pub(super) fn new(
        endpoint: Arc<Endpoint>,
        outbox: Arc<Outbox>,
        records: FollowerRecords,
        overdue_to: u64,
    ) -> Self {
        let store = Arc::clone(&endpoint.ports.store);
        Self {
            recorder: Recorder::new(endpoint.id.clone(), store),
            backlog: Backlog::default(),
            dead_letters: records.dead_letters,
            since: records.since,
            rewound: records.rewound,
            delivered: Some(records.cursors),
            overdue_to,
            flushing: false,
            endpoint,
            outbox,
        }
    }

    pub(super) fn dead_letters(&self) -> &VecDeque<DeadLetter> {
        &self.dead_letters
    }

    /// Where a conversation continues, if the feed may tell of delivered events of it.
    pub(super) fn delivered(&self, of: &ConversationKey) -> Option<Cursor> {
        self.delivered.as_ref()?.get(of).copied()
    }

    /// The feed tells of no delivered events from now on.
    pub(super) fn forget_delivered(&mut self) {
        self.delivered = None;
    }

    /// The cursors of conversations that people rewound.
    pub(super) fn rewound_ones(&self) -> Vec<(ConversationKey, Cursor)> {
        let all = self.delivered.iter().flatten();
        let rewound = all.filter(|(_, cursor)| cursor.rewound.is_some());
        rewound.map(|(of, cursor)| (*of, *cursor)).collect()
    }

    /// A log grew to `to`, and everything before `next` is delivered. What is overdue waits for no more
    /// events.
    pub(super) async fn grew(&mut self, of: ConversationKey, next: Seq, to: Seq, position: u64) {
        let now = Instant::now();
        let overdue = position < self.overdue_to;
        let growth = Growth {
            from: next,
            to,
            position,
            now,
            due: now + self.endpoint.config.flush_delay,
            flush: overdue || self.flushing,
        };
        if overdue {
            // What was deleted before the start must not go while this needs it.
            self.outbox.hold(&of, self.endpoint.index);
        }
        let rewound = self.delivered(&of).and_then(|cursor| cursor.rewound);
        let pending = self.backlog.grew(of, next, growth);
        pending.rewound = pending.rewound.or(rewound);
        self.consider(&of).await;
    }

    /// Sends a conversation that may have enough to deliver, or whose turn may have ended.
    pub(super) async fn consider(&mut self, of: &ConversationKey) {
        if self.backlog.get(of).is_none() {
            return;
        }
        // One that cannot be looked up is sent: then it shows why.
        let row = self.endpoint.row(of).await.ok().flatten();
        let Some(pending) = self.backlog.get(of) else {
            return;
        };
        let portion = &self.endpoint.portion;
        let unseen = pending
            .to
            .0
            .saturating_sub(pending.seen.to.max(pending.next).0);
        let enough = pending.seen.events + unseen >= portion.events as u64;
        let large = |bytes: u64| bytes - pending.seen.base.unwrap_or(0).min(bytes);
        let much = row.is_none_or(|row| large(row.bytes) >= portion.bytes as u64);
        let at_rest = row.is_none_or(|row| row.status != ExecutionStatus::Running);
        if pending.next < pending.flush_to || enough || much || at_rest {
            self.backlog.expedite(of);
        }
    }

    /// The list has a conversation with so many events.
    pub(super) async fn look_at(&mut self, of: ConversationKey, len: Seq) {
        let known = self.delivered.as_mut().and_then(|all| all.get_mut(&of));
        if let Some(cursor) = known.filter(|cursor| cursor.next > len) {
            tracing::warn!(
                webhook = self.endpoint.name, conversation.id = %of.id,
                "delivered events were lost in a crash; it continues at the log's end"
            );
            cursor.next = len;
        }
        self.find(of, len).await;
    }

    /// A deleted conversation waits: the feed may not tell of it again. How long its log is shows when it
    /// is opened.
    pub(super) async fn look_at_deleted(&mut self, of: ConversationKey) {
        let known = self.delivered(&of).map_or(Seq(0), |cursor| cursor.next);
        self.find(of, known.after(1)).await;
        if self.backlog.get(&of).is_some() {
            self.outbox.hold(&of, self.endpoint.index);
            self.backlog.mark_deleted(&of);
        }
    }

    /// Finds what is to be delivered of a conversation, whatever the feed told of it.
    pub(super) async fn find(&mut self, of: ConversationKey, len: Seq) {
        let known = self.delivered(&of).map(|cursor| cursor.next);
        let next = known.unwrap_or(Seq(0));
        if next >= len || !self.endpoint.wants(of.id) || self.backlog.get(&of).is_some() {
            return;
        }
        // Position 0 keeps the position in the feed from being recorded before this one is delivered.
        self.grew(of, next, len, 0).await;
        let since = self.since.filter(|since| of.created_at < *since);
        if let Some(pending) = self.backlog.get_mut(&of) {
            pending.since = since.filter(|_| known.is_none());
        }
    }

    /// When a conversation was last rewound, alone or with all others.
    pub(super) fn rewound(&self, of: &ConversationKey) -> Option<UtcTime> {
        let pending = self.backlog.get(of);
        pending.and_then(|pending| pending.rewound).or(self.rewound)
    }

    /// The next thing to do for a conversation whose turn it is.
    pub(super) fn next_job(&mut self, of: ConversationKey) -> Option<Job> {
        let rewound = self.rewound(&of);
        let pending = self.backlog.get_mut(&of)?;
        Some(Job {
            of,
            round: pending.round,
            rewound,
            deleted: pending.deleted,
            log: pending.log.take(),
            task: Task::next(pending, &self.endpoint, &of, rewound),
        })
    }

    /// A conversation continues at `next`. With `record`, or once a change that shows in its details was
    /// delivered too, that is recorded.
    pub(super) fn advance(&mut self, of: ConversationKey, next: Seq, changed: bool, record: bool) {
        let Some(pending) = self.backlog.get_mut(&of) else {
            return;
        };
        pending.advance(next, self.endpoint.config.flush_delay);
        if changed {
            // The cursor is recorded when that was delivered too.
            pending.owed.changed = Some(pending.next);
        } else if record {
            self.recorder.put_cursor(of, pending.cursor());
        }
    }

    /// What was sent is dealt with.
    pub(super) async fn pass(&mut self, of: ConversationKey, sent: &Sent) {
        match sent.subject {
            DeliverySubject::Events => self.advance(of, sent.next, sent.changed, true),
            DeliverySubject::Conversation | DeliverySubject::Test => self.pass_conversation(of),
        }
        self.proceed(of, false);
        self.consider(&of).await;
    }

    fn pass_conversation(&mut self, of: ConversationKey) {
        let Some(pending) = self.backlog.get_mut(&of) else {
            return;
        };
        if std::mem::take(&mut pending.owed.created) {
            return;
        }
        if pending.owed.changed.take().is_some() {
            self.recorder.put_cursor(of, pending.cursor());
            return;
        }
        pending.owed.deleted = false;
    }

    /// After a job: the conversation continues at once or later, or nothing is left to deliver of it.
    pub(super) fn proceed(&mut self, of: ConversationKey, at_once: bool) {
        let Some(pending) = self.backlog.proceed(of, at_once) else {
            return;
        };
        if let Some(delivered) = &mut self.delivered {
            delivered.insert(of, pending.cursor());
        }
        if pending.deleted || self.outbox.has(&of) {
            self.release(&of);
        }
    }

    /// A deleted conversation is needed as long as a dead letter leads to it.
    pub(super) fn release(&mut self, of: &ConversationKey) {
        if !self.is_of_dead_letter(of) && self.backlog.get(of).is_none() {
            self.outbox.release(of, self.endpoint.index);
            self.outbox.clear_soon();
        }
    }

    /// Nothing is left of a conversation that could be delivered.
    pub(super) fn abandon(&mut self, of: &ConversationKey) {
        self.backlog.remove(of);
        self.outbox.release(of, self.endpoint.index);
        self.outbox.clear_soon();
    }

    /// The feed told that a conversation is deleted; with `deliver`, so is the receiver.
    pub(super) fn deleted(&mut self, of: ConversationKey, position: u64, deliver: bool) {
        if let Some(pending) = self.backlog.get_mut(&of) {
            pending.owed.deleted = deliver;
        }
        let holds = self.backlog.get(&of).is_some() || self.is_of_dead_letter(&of);
        let index = self.endpoint.index;
        self.outbox.deleted(of, position + 1, index, holds);
        self.backlog.mark_deleted(&of);
    }

    /// A job found a conversation among the deleted ones before the feed told.
    pub(super) fn found_deleted(&mut self, of: ConversationKey) {
        self.outbox.found(of, self.endpoint.index);
        self.backlog.mark_deleted(&of);
    }

    pub(super) fn dead_letter(&mut self, letter: DeadLetter) {
        self.recorder.push_dead_letter(letter.clone());
        self.dead_letters.push_back(letter);
        if self.dead_letters.len() > MAX_DEAD_LETTERS
            && let Some(oldest) = self.dead_letters.pop_front()
        {
            self.release(&oldest.conversation);
        }
    }

    /// What was taken is not a dead letter any more.
    pub(super) fn restore(&mut self, of: &ConversationKey, sent: &Sent) {
        let Some((first, last)) = sent.span else {
            return;
        };
        self.dead_letters.retain(|letter| {
            let taken =
                letter.conversation == *of && first <= letter.first_seq && letter.last_seq <= last;
            if taken {
                self.recorder.remove_dead_letter(letter.id.clone());
            }
            !taken
        });
    }

    fn is_of_dead_letter(&self, of: &ConversationKey) -> bool {
        let mut letters = self.dead_letters.iter();
        letters.any(|letter| letter.conversation == *of)
    }

    /// Delivers a conversation of so many events again: from `wish` on, else from its start, but nothing
    /// that was not delivered is passed over. Durable before anything is sent. Returns where it
    /// continues.
    ///
    /// # Errors
    /// When that cannot be recorded; then it continues where it was.
    pub(super) async fn rewind(
        &mut self,
        of: ConversationKey,
        wish: Option<Seq>,
        len: Seq,
        position: u64,
    ) -> Result<Seq, StoreError> {
        let at = UtcTime::now();
        let next = wish.unwrap_or(Seq(0)).min(len);
        let stands = self.backlog.get(&of).map(|pending| pending.next);
        let next = stands.map_or(next, |stands| stands.min(next));
        let rewound = Some(at);
        self.recorder.rewind(of, Cursor { next, rewound }).await?;
        if let Some(delivered) = &mut self.delivered {
            delivered.remove(&of);
        }
        if len > next {
            self.grew(of, next, len, position).await;
            self.backlog.rewind(&of, next, at);
        }
        Ok(next)
    }

    /// Delivers all conversations again from their start; those that are not pending are to be found by
    /// looking through all. Durable before anything is sent.
    ///
    /// # Errors
    /// When that cannot be recorded; then they continue where they were.
    pub(super) async fn rewind_all(&mut self) -> Result<(), StoreError> {
        let at = UtcTime::now();
        self.recorder.rewind_all(at).await?;
        self.since = None;
        self.rewound = Some(at);
        self.delivered = Some(HashMap::new());
        self.backlog.rewind_all(at);
        Ok(())
    }

    /// The server stops: whatever waits is sent now.
    pub(super) fn flush(&mut self) {
        self.flushing = true;
        self.backlog.flush_all();
        self.backlog.expedite_all();
    }

    /// A conversation is to be announced.
    pub(super) fn owe_created(&mut self, of: &ConversationKey) {
        if let Some(pending) = self.backlog.get_mut(of) {
            pending.owed.created = true;
        }
        self.backlog.expedite(of);
    }
}
