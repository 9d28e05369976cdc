//! Reading the feed: who has something to be delivered.

use std::{collections::HashMap, sync::Arc, time::Duration};

use core_model::{
    ConversationKey, ExecutionStatus, Seq,
    port::{Change, Cursor, FeedEntry},
};
use tokio::time::Instant;

use super::{WINDOW, Worker};
use crate::backlog::Growth;

/// Entries of the feed that are read at a time.
const ENTRIES: usize = 512;
/// How long growth is let gather before it is looked at: a busy server should not wake every webhook
/// for each of its events.
const GATHER: Duration = Duration::from_millis(20);
/// How long to wait after the feed could not be read.
pub(super) const AGAIN: Duration = Duration::from_secs(5);

impl Worker {
    /// Where it goes on after a start besides what the feed will tell: conversations that were deleted or
    /// taken back.
    pub(super) async fn take_up(&mut self) {
        for letter in &self.records.dead_letters {
            self.outbox.hold(&letter.conversation, self.hook.index);
        }
        if self.scan.is_none() {
            // A crash on a full disk may have kept the feed from telling of them.
            for of in self.outbox.all() {
                self.look_at_departed(of).await;
            }
        }
        self.tell_outbox();
        let rewound = self.delivered.iter();
        let rewound = rewound.filter(|(_, place)| place.rewound.is_some());
        let rewound: Vec<(ConversationKey, Cursor)> =
            rewound.map(|(of, place)| (*of, *place)).collect();
        for (of, place) in rewound {
            let row = self.hook.row(&of).await.ok().flatten();
            if let Some(row) = row.filter(|row| row.extent.len > place.next) {
                let end = row.extent.len;
                self.grew(of, place.next, end, self.position).await;
            }
        }
        self.forget_delivered();
    }

    /// Waits for the feed to grow, unless there is enough to do.
    pub(super) fn wait_for_growth(&mut self) {
        if self.growth.is_some() || self.backlog.len() >= WINDOW {
            return;
        }
        let source = Arc::clone(&self.hook.ports.source);
        let (position, overdue) = (self.position, self.position < self.overdue_to);
        self.growth = Some(Box::pin(async move {
            // Where that cannot be told, the feed is read to find out why.
            let len = source.feed_grown(position).await.unwrap_or(position);
            if !overdue {
                tokio::time::sleep(GATHER).await;
            }
            len
        }));
    }

    /// Reads on in the feed, which is at least `len` long, and soon again if there is more.
    pub(super) async fn hear_more(&mut self, len: u64) {
        if self.read_feed(len).await {
            self.growth = Some(Box::pin(std::future::ready(len)));
        }
    }

    /// Reads on to where the feed ends, or as far as there is room.
    pub(super) async fn read_all(&mut self, end: u64) {
        while self.read_feed(end).await {
            tokio::task::yield_now().await;
        }
    }

    /// Reads some of the feed; whether there may be more that can be read now.
    async fn read_feed(&mut self, len: u64) -> bool {
        let source = &self.hook.ports.source;
        let entries = match source.feed_entries(self.position, ENTRIES).await {
            Ok(entries) => entries,
            Err(error) => {
                tracing::error!(webhook = self.hook.name, %error, "a webhook cannot read the feed");
                self.ledger.trip(error.to_string());
                self.growth = Some(Box::pin(async move {
                    tokio::time::sleep(AGAIN).await;
                    len
                }));
                return false;
            }
        };
        for entry in &entries {
            self.hear(entry).await;
        }
        self.position = match entries.last() {
            Some(last) => last.position + 1,
            // Only entries that tell nothing.
            None => self.position.max(len),
        };
        self.moved = true;
        self.tell_outbox();
        self.forget_delivered();
        let more = !entries.is_empty() && self.backlog.len() < WINDOW;
        if !more {
            self.clear_outbox();
        }
        more
    }

    async fn hear(&mut self, entry: &FeedEntry) {
        let of = entry.key();
        let wanted = self.hook.wants(of.id);
        match entry.change {
            Change::Created if wanted && self.hook.tells_of_conversations() => {
                if self.delivered.contains_key(&of) {
                    return;
                }
                self.grew(of, Seq(0), Seq(0), entry.position).await;
                if let Some(pending) = self.backlog.get_mut(&of) {
                    pending.owed.created = true;
                }
                self.backlog.hurry(&of);
            }
            Change::Appended { from, to } if wanted => {
                // What the feed told before the start may have been delivered; what it tells later was not.
                let known = self.delivered.get(&of).map(|place| place.next);
                let known = known.filter(|_| entry.position < self.delivered_to);
                if self.backlog.get(&of).is_none() && self.is_scanned(entry.position) {
                    self.look_at(of, to);
                } else if known.is_none_or(|next| next < to) {
                    self.grew(of, known.unwrap_or(from), to, entry.position)
                        .await;
                }
            }
            Change::Deleted => self.hear_of_deletion(of, entry.position, wanted).await,
            Change::Created | Change::Appended { .. } => {}
        }
    }

    async fn hear_of_deletion(&mut self, of: ConversationKey, position: u64, wanted: bool) {
        if wanted && self.backlog.get(&of).is_none() && self.is_scanned(position) {
            self.look_at_departed(of).await;
        }
        let tells = wanted && self.hook.tells_of_conversations();
        if tells && self.backlog.get(&of).is_none() {
            let next = self.delivered.get(&of).map_or(Seq(0), |place| place.next);
            self.grew(of, next, next, position).await;
        }
        let waits = self.backlog.get_mut(&of).is_some_and(|pending| {
            pending.owed.deleted = tells;
            true
        });
        let mut dead = self.records.dead_letters.iter();
        let holds = waits || dead.any(|letter| letter.conversation == of);
        self.outbox
            .deleted(of, position + 1, self.hook.index, holds);
        self.backlog.depart(&of);
    }

    /// Whether what the feed tells here is found by looking through all conversations, and events before
    /// may be yet to be delivered.
    fn is_scanned(&self, position: u64) -> bool {
        self.scan.is_some() || position < self.scanned_to
    }

    /// Takes note that a log grew to `to`, everything before `next` being delivered, and lets it go
    /// ahead if there is reason to.
    pub(super) async fn grew(&mut self, of: ConversationKey, next: Seq, to: Seq, position: u64) {
        let now = Instant::now();
        let growth = Growth {
            from: next,
            to,
            position,
            now,
            due: now + self.hook.config.flush_delay,
            flush: position < self.overdue_to || self.drained.is_some(),
        };
        if position < self.overdue_to {
            // What was deleted before the start must not go while this needs it.
            self.outbox.hold(&of, self.hook.index);
        }
        let rewound = self.delivered.get(&of).and_then(|place| place.rewound);
        let pending = self.backlog.grew(of, next, growth);
        pending.rewound = pending.rewound.or(rewound);
        self.consider(&of).await;
    }

    /// Lets a conversation go ahead that may have enough to deliver, or whose turn may have ended.
    pub(super) async fn consider(&mut self, of: &ConversationKey) {
        let Some(pending) = self.backlog.get(of) else {
            return;
        };
        let portion = &self.hook.portion;
        let unseen = pending
            .to
            .0
            .saturating_sub(pending.seen.to.max(pending.next).0);
        let enough = pending.seen.events + unseen >= portion.events as u64;
        let row = self.hook.row(of).await.ok().flatten();
        let large = |bytes: u64| bytes - pending.seen.base.unwrap_or(0).min(bytes);
        let much = row.is_none_or(|row| large(row.bytes) >= portion.bytes as u64);
        let at_rest = row.is_none_or(|row| row.status != ExecutionStatus::Running);
        if pending.next < pending.flush_to || enough || much || at_rest {
            self.backlog.hurry(of);
        }
    }

    /// What the feed may tell once more of delivered events is behind.
    pub(super) fn forget_delivered(&mut self) {
        if self.scan.is_none() && self.position >= self.delivered_to && !self.delivered.is_empty() {
            self.delivered = HashMap::new();
        }
    }

    /// How far it read, unless it may yet find more in the outbox.
    pub(super) fn tell_outbox(&self) {
        if self.scan.is_none() {
            self.outbox.read_to(self.hook.index, self.position);
        }
    }

    /// Lets go of deleted conversations that nobody needs any more.
    pub(super) fn clear_outbox(&self) {
        if !self.outbox.is_empty() {
            let outbox = Arc::clone(&self.outbox);
            tokio::spawn(async move { outbox.clear().await });
        }
    }
}
