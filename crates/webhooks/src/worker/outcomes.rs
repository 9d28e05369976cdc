//! What becomes of a conversation after a job.

use core_model::{
    ConversationKey, Seq, StoreError, UtcTime,
    port::{DeadLetter, DeliveriesError, Outcome},
};
use tokio::time::Instant;
use uuid::Uuid;

use super::{progress::Progress, receiver::Receiver, redeliveries::Redelivery};
use crate::{
    endpoint::Endpoint,
    history::History,
    job::{Done, Step},
    outbox::MAX_WAIT_DAYS,
    schedule::Next,
    sent::Sent,
};

/// How often a log is looked for that is nowhere.
const MAX_LOOKS: u32 = 3;

/// All that a job's outcome changes.
pub(super) struct Outcomes<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) progress: &'a mut Progress,
    pub(super) receiver: &'a mut Receiver,
    pub(super) history: &'a mut History,
    /// Whether all conversations are being looked through.
    pub(super) scanning: bool,
}

impl Outcomes<'_> {
    pub(super) async fn delivery(&mut self, Done { job, step }: Done) {
        let of = job.of;
        let Some(pending) = self.progress.backlog.get_mut(&of) else {
            return;
        };
        if pending.round != job.round {
            // Rewound meanwhile: what was done for it does not count.
            self.progress.proceed(of, true);
            return;
        }
        if job.deleted && !pending.deleted {
            self.progress.found_deleted(of);
        }
        let Some(pending) = self.progress.backlog.get_mut(&of) else {
            return;
        };
        if let Some(log) = job.log.as_ref().filter(|_| job.deleted) {
            // It takes no more events.
            pending.to = log.visible().len;
        }
        // A log that was deleted meanwhile is elsewhere now.
        pending.log = job.log.filter(|_| job.deleted == pending.deleted);
        if step.was_read() {
            // Whatever kept the log from being read is over.
            pending.recover();
        }
        match step {
            Step::Waits { next, seen } => {
                pending.next = next;
                pending.since = None;
                pending.seen = seen;
                let grew = pending.to > seen.to;
                self.progress.proceed(of, false);
                if grew {
                    self.progress.consider(&of).await;
                }
            }
            Step::Passed { next, changed } => {
                let record = pending.rewound.is_some() || self.scanning;
                self.progress.advance(of, next, changed, record);
                self.progress.proceed(of, true);
            }
            Step::Ended { len, told } => {
                if pending.to <= told {
                    pending.to = len;
                }
                self.progress.advance(of, len, false, true);
                self.progress.proceed(of, true);
            }
            Step::Sent(sent) => self.answered(of, &sent).await,
            Step::Gone => self.log_missing(of),
            Step::Unreadable(error) => self.read_failed(of, &error),
        }
    }

    pub(super) fn redelivery(&mut self, redelivery: Redelivery, done: Done) {
        let answer = match done.step {
            Step::Sent(sent) => {
                self.record(Some(redelivery.of), &sent, 1, outcome_of(&sent));
                if sent.is_taken() {
                    self.progress.restore(&redelivery.of, &sent);
                    self.progress.release(&redelivery.of);
                }
                Ok(sent.to_attempt())
            }
            Step::Unreadable(error) => Err(DeliveriesError::Store(error)),
            Step::Waits { .. } | Step::Passed { .. } | Step::Ended { .. } | Step::Gone => {
                Err(DeliveriesError::Gone(redelivery.id))
            }
        };
        redelivery.reply.send(answer).ok();
    }

    pub(super) fn test(&mut self, sent: &Sent) {
        self.record(None, sent, 1, outcome_of(sent));
    }

    async fn answered(&mut self, of: ConversationKey, sent: &Sent) {
        let Some(pending) = self.progress.backlog.get_mut(&of) else {
            return;
        };
        if sent.is_taken() {
            let attempts = pending.trouble.attempts + 1;
            pending.recover();
            self.record(Some(of), sent, attempts, Outcome::Delivered);
            self.progress.restore(&of, sent);
            self.progress.pass(of, sent).await;
            return;
        }
        let now = Instant::now();
        let began = *pending.failing_since.get_or_insert(now);
        pending.retry(sent);
        let wish = sent.answer.retry_after();
        let jitter = jitter();
        let schedule = &self.endpoint.schedule;
        let next = schedule.after(sent.verdict(), &mut pending.trouble, wish, jitter);
        let attempts = pending.trouble.attempts;
        let outcome = match next {
            Next::Again(_) | Next::Probe(_) => Outcome::Failed,
            Next::GiveUp(outcome) => outcome,
        };
        self.record(Some(of), sent, attempts, outcome);
        if let Some(wish) = wish {
            self.receiver.hold(now + wish);
        }
        match next {
            Next::Again(delay) => self.progress.backlog.retry_at(of, now + delay),
            Next::Probe(delay) => {
                self.progress.backlog.retry_at(of, now + delay);
                // Where others get through, only this conversation has trouble.
                if !self.receiver.succeeded_since(began) {
                    self.receiver.park(sent, jitter);
                }
            }
            Next::GiveUp(outcome) => {
                self.give_up(of, sent, attempts, outcome).await;
                return;
            }
        }
        self.receiver.park_if_failing(sent, jitter);
    }

    fn record(
        &mut self,
        of: Option<ConversationKey>,
        sent: &Sent,
        attempts: u32,
        outcome: Outcome,
    ) {
        self.history.add(of, sent, attempts, outcome);
        if self.receiver.answered(sent) {
            self.progress.backlog.expedite_all();
        }
    }

    /// Continues without it.
    async fn give_up(&mut self, of: ConversationKey, sent: &Sent, attempts: u32, outcome: Outcome) {
        let reason = sent.answer.reason();
        tracing::warn!(
            webhook = self.endpoint.name, conversation.id = %of.id, delivery = sent.id,
            events = sent.events, attempts, reason,
            "a delivery is given up"
        );
        if let Some(pending) = self.progress.backlog.get_mut(&of) {
            pending.recover();
        }
        if let Some((first_seq, last_seq)) = sent.span {
            self.progress.dead_letter(DeadLetter {
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
        self.progress.pass(of, sent).await;
    }

    /// A log cannot be read: for now, or until a person repairs it.
    fn read_failed(&mut self, of: ConversationKey, error: &StoreError) {
        tracing::error!(
            webhook = self.endpoint.name, conversation.id = %of.id, %error,
            "a webhook cannot read a conversation"
        );
        self.history
            .read_failed(format!("conversation {}: {error}", of.id));
        let Some(pending) = self.progress.backlog.get_mut(&of) else {
            return;
        };
        pending.trouble.attempts += 1;
        let attempts = pending.trouble.attempts;
        let damaged = matches!(error, StoreError::Damaged { .. });
        let (first, next) = (pending.next, pending.to);
        if !damaged || first >= next {
            self.retry(of, attempts);
            return;
        }
        pending.recover();
        let last_seq = Seq(next.0 - 1);
        let content = format!("{}-{}", first.0, last_seq.0);
        let rewound = self.progress.rewound(&of);
        self.progress.dead_letter(DeadLetter {
            id: self.endpoint.delivery_id(&of, rewound, &content),
            conversation: of,
            first_seq: first,
            last_seq,
            events: next.0 - first.0,
            at: UtcTime::now(),
            attempts,
            outcome: Outcome::Dead,
            status: None,
            reason: error.to_string(),
        });
        self.progress.advance(of, next, false, true);
        self.progress.proceed(of, true);
    }

    /// A log is nowhere.
    fn log_missing(&mut self, of: ConversationKey) {
        let Some(pending) = self.progress.backlog.get_mut(&of) else {
            return;
        };
        pending.trouble.attempts += 1;
        let (events, attempts) = (pending.waiting(), pending.trouble.attempts);
        if events > 0 && attempts < MAX_LOOKS {
            self.retry(of, attempts);
            return;
        }
        if events > 0 {
            tracing::error!(
                conversation.id = %of.id, webhook = self.endpoint.name, events,
                "a deleted conversation's log is gone before all of its events were delivered; it is kept for {MAX_WAIT_DAYS} days"
            );
        }
        self.progress.abandon(&of);
    }

    fn retry(&mut self, of: ConversationKey, attempts: u32) {
        let delay = self.endpoint.schedule.probe(attempts, jitter());
        let at = Instant::now() + delay;
        self.progress.backlog.retry_at(of, at);
    }
}

fn outcome_of(sent: &Sent) -> Outcome {
    if sent.is_taken() {
        Outcome::Delivered
    } else {
        Outcome::Failed
    }
}

/// A number from 0 to 1.
fn jitter() -> f64 {
    f64::from(Uuid::new_v4().as_fields().0) / f64::from(u32::MAX)
}
