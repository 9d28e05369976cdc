//! What becomes of a conversation after a job.

use core_model::{
    ConversationKey, Seq, StoreError, UtcTime,
    port::{Cursor, DeadLetter, DeliveriesError, DeliverySubject, Outcome},
};
use tokio::time::Instant;

use super::{
    Finished, Worker,
    command::Aside,
    receiver::{attempt, fate, spread},
};
use crate::{
    job::{Done, Sent, Step, warn_of_loss},
    schedule::Next,
    verdict::Verdict,
};

/// How often a log is looked for that is nowhere.
const LOOKS: u32 = 3;

impl Worker {
    pub(super) async fn finish(&mut self, finished: Finished) {
        match finished {
            Finished::Done(done) => {
                self.busy = self.busy.saturating_sub(1);
                self.finish_job(done).await;
            }
            Finished::Aside(aside, done) => {
                self.asides_of.remove(&aside.of);
                self.finish_aside(aside, done);
            }
            Finished::Test(sent, reply) => {
                self.note(None, &sent, 1, fate(&sent));
                reply.send(attempt(&sent)).ok();
            }
        }
    }

    async fn finish_job(&mut self, done: Done) {
        let of = done.of;
        self.moved = true;
        let Some(pending) = self.backlog.get_mut(&of) else {
            return;
        };
        if pending.round != done.round {
            // Taken back meanwhile: what was done for it counts no more.
            self.go_on(of, true);
            return;
        }
        if done.deleted && !pending.deleted {
            // Found among the deleted ones before the feed told.
            self.outbox.found(of, self.hook.index);
            self.backlog.depart(&of);
        }
        let Some(pending) = self.backlog.get_mut(&of) else {
            return;
        };
        pending.to = done.len.unwrap_or(pending.to);
        // A log that was deleted meanwhile is elsewhere now.
        pending.log = done.log.filter(|_| done.deleted == pending.deleted);
        if done.step.was_read() {
            // Whatever kept the log from being read is over.
            pending.recover();
        }
        match done.step {
            Step::Waits { next, seen } => {
                pending.next = next;
                pending.since = None;
                pending.seen = seen;
                let grew = pending.to > seen.to;
                self.go_on(of, false);
                if grew {
                    self.consider(&of).await;
                }
            }
            Step::Passed { next, changed } => {
                let matters = pending.rewound.is_some() || self.scan.is_some();
                self.advance(of, next, changed, matters);
                self.go_on(of, true);
            }
            Step::Ended { len, told } => {
                if pending.to <= told {
                    pending.to = len;
                }
                self.advance(of, len, false, true);
                self.go_on(of, true);
            }
            Step::Sent(sent) => self.finish_request(of, &sent).await,
            Step::Gone => self.miss(of),
            Step::Unreadable(error) => self.stumble(of, &error),
        }
    }

    async fn finish_request(&mut self, of: ConversationKey, sent: &Sent) {
        let Some(pending) = self.backlog.get_mut(&of) else {
            return;
        };
        let verdict = sent.verdict();
        if verdict == Verdict::Taken {
            let attempts = pending.trouble.attempts + 1;
            pending.recover();
            self.note(Some(of), sent, attempts, Outcome::Delivered);
            self.revive(&of, sent);
            self.pass(of, sent).await;
            return;
        }
        let now = Instant::now();
        let began = *pending.failing_since.get_or_insert(now);
        if let Some(oldest) = sent.oldest {
            pending.oldest = oldest;
        }
        let schedule = self.hook.schedule;
        let wish = sent.answer.retry_after();
        let spread = spread();
        let next = schedule.after(verdict, &mut pending.trouble, wish, spread);
        let attempts = pending.trouble.attempts;
        let fate = match next {
            Next::Again(_) | Next::Probe(_) => Outcome::Failed,
            Next::GiveUp(fate) => fate,
        };
        if sent.subject == DeliverySubject::Events {
            pending.retry_to = Some(sent.next);
        }
        pending.log = None;
        self.note(Some(of), sent, attempts, fate);
        if let Some(wish) = wish {
            self.hold_until = self.hold_until.max(Some(now + wish));
        }
        match next {
            Next::Again(delay) => self.backlog.again(of, now + delay),
            Next::Probe(delay) => {
                self.backlog.again(of, now + delay);
                // Where others get through, it is this one's trouble alone.
                if self.last_success.is_none_or(|success| success < began) {
                    self.park(sent, spread);
                }
            }
            Next::GiveUp(fate) => {
                self.give_up(of, sent, attempts, fate);
                return;
            }
        }
        if self.parked.is_some() || self.ledger.failed_in_row >= super::ENOUGH {
            self.park(sent, spread);
        }
    }

    /// Goes on without it.
    fn give_up(&mut self, of: ConversationKey, sent: &Sent, attempts: u32, outcome: Outcome) {
        let reason = sent.answer.reason();
        tracing::warn!(
            webhook = self.hook.name, conversation.id = %of.id, delivery = sent.id,
            events = sent.events, attempts, reason,
            "a delivery is given up"
        );
        if let Some(pending) = self.backlog.get_mut(&of) {
            pending.recover();
        }
        if let Some((first_seq, last_seq)) = sent.span {
            self.bury(DeadLetter {
                id: sent.id.clone(),
                conversation: of,
                first_seq,
                last_seq,
                events: sent.events,
                at: UtcTime::now(),
                attempts,
                outcome,
                status: sent.answer.status(),
                reason,
            });
        }
        self.pass(of, sent).await;
    }

    fn bury(&mut self, letter: DeadLetter) {
        self.recorder.push_dead_letter(letter.clone());
        if let Some(oldest) = self.records.push_dead_letter(letter) {
            self.release(&oldest.conversation);
        }
    }

    /// What was taken is no dead letter any more.
    fn revive(&mut self, of: &ConversationKey, sent: &Sent) {
        let Some((first, last)) = sent.span.filter(|_| !self.records.dead_letters.is_empty())
        else {
            return;
        };
        let taken = |letter: &DeadLetter| {
            letter.conversation == *of && first <= letter.first_seq && letter.last_seq <= last
        };
        let revived = self
            .records
            .dead_letters
            .iter()
            .filter(|letter| taken(letter));
        for letter in revived {
            self.recorder.remove_dead_letter(letter.id.clone());
        }
        self.records.dead_letters.retain(|letter| !taken(letter));
    }

    /// What was sent is dealt with.
    async fn pass(&mut self, of: ConversationKey, sent: &Sent) {
        match sent.subject {
            DeliverySubject::Events => self.advance(of, sent.next, sent.changed, true),
            DeliverySubject::Conversation | DeliverySubject::Test => self.told(of),
        }
        self.go_on(of, false);
        self.consider(&of).await;
    }

    fn advance(&mut self, of: ConversationKey, next: Seq, changed: bool, put_down: bool) {
        let Some(pending) = self.backlog.get_mut(&of) else {
            return;
        };
        pending.advance(next, self.hook.config.flush_delay);
        if changed {
            // The cursor is put down when that was told too.
            pending.owed.changed = Some(pending.next);
        } else if put_down {
            let (next, rewound) = (pending.next, pending.rewound);
            self.recorder.put_cursor(of, Cursor { next, rewound });
        }
    }

    fn told(&mut self, of: ConversationKey) {
        let Some(pending) = self.backlog.get_mut(&of) else {
            return;
        };
        if std::mem::take(&mut pending.owed.created) {
            return;
        }
        if pending.owed.changed.take().is_some() {
            let (next, rewound) = (pending.next, pending.rewound);
            self.recorder.put_cursor(of, Cursor { next, rewound });
            return;
        }
        pending.owed.deleted = false;
    }

    /// After a job: at once, later, or through with it.
    fn go_on(&mut self, of: ConversationKey, at_once: bool) {
        let Some(pending) = self.backlog.go_on(of, at_once) else {
            return;
        };
        let (next, rewound) = (pending.next, pending.rewound);
        if self.scan.is_some() || self.position < self.delivered_to {
            self.delivered.insert(of, Cursor { next, rewound });
        }
        if pending.deleted || self.outbox.has(&of) {
            self.release(&of);
        }
    }

    /// A deleted conversation is needed as long as a dead letter leads to it.
    fn release(&mut self, of: &ConversationKey) {
        let mut dead = self.records.dead_letters.iter();
        if !dead.any(|letter| letter.conversation == *of) && self.backlog.get(of).is_none() {
            self.outbox.release(of, self.hook.index);
            self.clear_outbox();
        }
    }

    /// Its log cannot be read: for now, or until somebody repairs it.
    fn stumble(&mut self, of: ConversationKey, error: &StoreError) {
        tracing::error!(
            webhook = self.hook.name, conversation.id = %of.id, %error,
            "a webhook cannot read a conversation"
        );
        self.ledger.trip(format!("conversation {}: {error}", of.id));
        let Some(pending) = self.backlog.get_mut(&of) else {
            return;
        };
        pending.trouble.attempts += 1;
        let damaged = matches!(error, StoreError::Damaged { .. });
        if !damaged || pending.next >= pending.to {
            let delay = self.hook.schedule.probe(pending.trouble.attempts, spread());
            self.backlog.again(of, Instant::now() + delay);
            return;
        }
        let (first, next) = (pending.next, pending.to);
        let last_seq = Seq(next.0 - 1);
        let rewound = pending.rewound.or(self.records.rewound);
        let content = format!("{}-{}", first.0, last_seq.0);
        let letter = DeadLetter {
            id: self.hook.delivery_id(&of, rewound, &content),
            conversation: of,
            first_seq: first,
            last_seq,
            events: next.0 - first.0,
            at: UtcTime::now(),
            attempts: pending.trouble.attempts,
            outcome: Outcome::Dead,
            status: None,
            reason: error.to_string(),
        };
        pending.recover();
        self.bury(letter);
        self.advance(of, next, false, true);
        self.go_on(of, true);
    }

    /// Its log is nowhere.
    fn miss(&mut self, of: ConversationKey) {
        let Some(pending) = self.backlog.get_mut(&of) else {
            return;
        };
        pending.trouble.attempts += 1;
        if pending.waiting() > 0 && pending.trouble.attempts < LOOKS {
            let delay = self.hook.schedule.probe(pending.trouble.attempts, spread());
            self.backlog.again(of, Instant::now() + delay);
            return;
        }
        warn_of_loss(&self.hook, &of, pending.waiting());
        self.backlog.remove(&of);
        self.outbox.release(&of, self.hook.index);
        self.clear_outbox();
    }

    fn finish_aside(&mut self, aside: Aside, done: Done) {
        let answer = match done.step {
            Step::Sent(sent) => {
                self.note(Some(aside.of), &sent, 1, fate(&sent));
                if sent.verdict() == Verdict::Taken {
                    self.revive(&aside.of, &sent);
                    self.release(&aside.of);
                }
                Ok(attempt(&sent))
            }
            Step::Unreadable(error) => Err(DeliveriesError::Store(error)),
            Step::Waits { .. } | Step::Passed { .. } | Step::Ended { .. } | Step::Gone => {
                Err(DeliveriesError::Gone(aside.id))
            }
        };
        aside.reply.send(answer).ok();
    }
}
