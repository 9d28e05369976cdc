//! The last deliveries of a webhook and their counts, for people.

use std::collections::VecDeque;

use core_model::{
    ConversationKey, UtcTime,
    port::{Delivery, DeliveryFailure, Outcome},
};

use crate::{sent::Sent, verdict::Verdict};

/// Deliveries that are remembered.
const RECENT: usize = 100;

#[derive(Default)]
pub(crate) struct History {
    pub(crate) delivered_events: u64,
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    pub(crate) last_success_at: Option<UtcTime>,
    pub(crate) last_error: Option<DeliveryFailure>,
    recent: VecDeque<(Option<ConversationKey>, Delivery)>,
}

impl History {
    /// Adds a request, and what becomes of its events.
    pub(crate) fn add(
        &mut self,
        of: Option<ConversationKey>,
        sent: &Sent,
        attempts: u32,
        outcome: Outcome,
    ) {
        let at = UtcTime::now();
        let taken = sent.verdict() == Verdict::Taken;
        if taken {
            self.succeeded += 1;
            self.delivered_events += sent.events;
            self.last_success_at = Some(at);
        } else {
            self.failed += 1;
            self.last_error = Some(DeliveryFailure {
                at,
                status: sent.answer.status(),
                reason: sent.answer.reason(),
            });
        }
        let delivery = Delivery {
            id: sent.id.clone(),
            subject: sent.subject,
            conversation_id: of.map(|of| of.id),
            first_seq: sent.span.map(|(first, _)| first),
            last_seq: sent.span.map(|(_, last)| last),
            events: sent.events,
            outcome,
            attempts,
            status: sent.answer.status(),
            reason: (!taken).then(|| sent.answer.reason()),
            at,
            milliseconds: Some(sent.milliseconds()),
        };
        if attempts > 1 {
            self.recent.retain(|(_, known)| known.id != sent.id);
        }
        if self.recent.len() >= RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((of, delivery));
    }

    /// What is to be delivered could not be read.
    pub(crate) fn read_failed(&mut self, reason: String) {
        self.last_error = Some(DeliveryFailure {
            at: UtcTime::now(),
            status: None,
            reason,
        });
    }

    /// The newest first.
    pub(crate) fn recent(&self) -> Vec<Delivery> {
        let newest_first = self.recent.iter().rev();
        newest_first.map(|(_, delivery)| delivery.clone()).collect()
    }

    pub(crate) fn find(&self, id: &str) -> Option<(ConversationKey, &Delivery)> {
        let found = self.recent.iter().rfind(|(_, delivery)| delivery.id == id);
        found.and_then(|(of, delivery)| Some(((*of)?, delivery)))
    }
}
