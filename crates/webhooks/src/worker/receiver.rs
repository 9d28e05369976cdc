//! Whether the receiver is there, as its answers tell.

use core_model::{
    ConversationKey, UtcTime,
    port::{Attempt, DeliverySubject, Outcome},
};
use tokio::time::Instant;
use uuid::Uuid;

use super::Worker;
use crate::{job::Sent, verdict::Verdict};

/// A receiver that takes nothing.
pub(super) struct Parked {
    pub(super) since: UtcTime,
    pub(super) probes: u32,
    pub(super) next: Instant,
    pub(super) next_at: UtcTime,
}

impl Worker {
    /// Takes down a request; a success is a sign that the receiver is there.
    pub(super) fn note(
        &mut self,
        of: Option<ConversationKey>,
        sent: &Sent,
        attempts: u32,
        outcome: Outcome,
    ) {
        let failed_before = self.ledger.failed_in_row > 0;
        self.ledger.note(of, sent, attempts, outcome);
        if sent.verdict() == Verdict::Taken {
            self.last_success = Some(Instant::now());
            if sent.subject == DeliverySubject::Test {
                // Somebody made sure that it may be asked again.
                self.hold_until = None;
            }
            if let Some(parked) = self.parked.take() {
                tracing::info!(
                    webhook = self.hook.name, probes = parked.probes, since = %parked.since,
                    "the receiver takes events again"
                );
                self.hold_until = None;
                self.backlog.hurry_all();
            }
        } else if !failed_before && sent.subject != DeliverySubject::Test {
            // Once, not for each try; the address and what was sent stay out of it.
            tracing::warn!(
                webhook = self.hook.name,
                delivery = sent.id,
                reason = sent.answer.reason(),
                "deliveries begin to fail"
            );
        }
    }

    /// Leaves the receiver alone but for a probe now and then.
    pub(super) fn park(&mut self, sent: &Sent, spread: f64) {
        let probes = self.parked.as_ref().map_or(0, |parked| parked.probes);
        let delay = self.hook.schedule.probe(probes + 1, spread);
        let (next, next_at) = (Instant::now() + delay, UtcTime(UtcTime::now().0 + delay));
        match &mut self.parked {
            Some(parked) if parked.next > Instant::now() => {}
            Some(parked) => (parked.next, parked.next_at) = (next, next_at),
            None => {
                tracing::warn!(
                    webhook = self.hook.name,
                    reason = sent.answer.reason(),
                    "the receiver takes no events; they stay in the log, and it is probed"
                );
                self.parked = Some(Parked {
                    since: UtcTime::now(),
                    probes,
                    next,
                    next_at,
                });
            }
        }
    }
}

pub(super) fn fate(sent: &Sent) -> Outcome {
    match sent.verdict() {
        Verdict::Taken => Outcome::Delivered,
        Verdict::Later | Verdict::Refused | Verdict::Misdirected => Outcome::Failed,
    }
}

pub(super) fn attempt(sent: &Sent) -> Attempt {
    let delivered = sent.verdict() == Verdict::Taken;
    Attempt {
        id: sent.id.clone(),
        delivered,
        status: sent.answer.status(),
        reason: (!delivered).then(|| sent.answer.reason()),
        milliseconds: sent.milliseconds(),
    }
}

/// A number from 0 to 1.
pub(super) fn spread() -> f64 {
    f64::from(Uuid::new_v4().as_fields().0) / f64::from(u32::MAX)
}
