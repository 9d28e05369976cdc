//! One request and its answer.

use std::time::Duration;

use core_model::{
    Seq, UtcTime,
    port::{Attempt, DeliverySubject},
};

use crate::{batch::Batch, sender::Answer, verdict::Verdict};

/// One request and its answer.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) id: String,
    pub(crate) subject: DeliverySubject,
    /// The seqs of its first and its last event.
    pub(crate) span: Option<(Seq, Seq)>,
    pub(crate) events: u64,
    /// When the first of its events happened.
    pub(crate) oldest: Option<UtcTime>,
    /// Where the log continues after it.
    pub(crate) next: Seq,
    /// Something that shows in a conversation's details changed with these events.
    pub(crate) changed: bool,
    pub(crate) answer: Answer,
    pub(crate) took: Duration,
}

impl Sent {
    pub(crate) fn verdict(&self) -> Verdict {
        Verdict::on(&self.answer)
    }

    pub(crate) fn is_taken(&self) -> bool {
        self.verdict() == Verdict::Taken
    }

    /// How long it took, to the microsecond.
    pub(crate) fn milliseconds(&self) -> f64 {
        self.took.as_micros() as f64 / 1e3
    }

    /// As the API shows it.
    pub(crate) fn to_attempt(&self) -> Attempt {
        let delivered = self.is_taken();
        Attempt {
            id: self.id.clone(),
            delivered,
            status: self.answer.status(),
            reason: (!delivered).then(|| self.answer.reason()),
            milliseconds: self.milliseconds(),
        }
    }

    /// The same request, said to carry this batch.
    pub(crate) fn with(self, batch: &Batch, next: Seq, changed: bool) -> Self {
        Self {
            span: Some((batch.first, batch.last)),
            events: batch.events,
            oldest: Some(UtcTime(batch.oldest.utc())),
            next,
            changed,
            ..self
        }
    }

    /// Two requests as one.
    pub(crate) fn and(self, next: Self) -> Self {
        Self {
            id: self.id,
            span: self
                .span
                .zip(next.span)
                .map(|(one, other)| (one.0, other.1)),
            events: self.events + next.events,
            oldest: self.oldest,
            took: self.took + next.took,
            ..next
        }
    }
}
