//! Whether the receiver takes events, as its answers tell.

use std::sync::Arc;

use core_model::{
    UtcTime,
    port::{DeliverySubject, Probes},
};
use tokio::time::Instant;

use crate::{endpoint::Endpoint, sent::Sent};

/// Failures in a row, of whatever conversations, after which the receiver is parked.
const FAILURES_TO_PARK: u32 = 16;

pub(super) struct Receiver {
    endpoint: Arc<Endpoint>,
    /// No request before then: the receiver asked for a pause.
    hold_until: Option<Instant>,
    parked: Option<Parked>,
    last_success: Option<Instant>,
    failed_in_row: u32,
}

/// A receiver that takes nothing.
struct Parked {
    since: UtcTime,
    probes: u32,
    next: Instant,
    next_at: UtcTime,
}

impl Receiver {
    pub(super) fn new(endpoint: Arc<Endpoint>) -> Self {
        Self {
            endpoint,
            hold_until: None,
            parked: None,
            last_success: None,
            failed_in_row: 0,
        }
    }

    /// Whether one more request may be made while so many are under way. Where the server is stopping,
    /// a parked receiver is not probed.
    pub(super) fn may_send(&self, in_flight: u32, stopping: bool) -> bool {
        let now = Instant::now();
        if self.hold_until.is_some_and(|until| until > now) {
            return false;
        }
        let at_a_time = match &self.parked {
            Some(_) if stopping => 0,
            Some(parked) if parked.next > now => 0,
            Some(_) => 1,
            None => self.endpoint.config.max_in_flight.get(),
        };
        in_flight < at_a_time
    }

    /// A request is about to be made: to one that is parked, a probe.
    pub(super) fn request_started(&mut self) {
        if let Some(parked) = &mut self.parked {
            parked.probes += 1;
        }
    }

    /// A request was answered. True when everything that waits may be sent, because a parked receiver
    /// takes events again.
    pub(super) fn answered(&mut self, sent: &Sent) -> bool {
        if !sent.is_taken() {
            let first = self.failed_in_row == 0;
            self.failed_in_row += 1;
            if first && sent.subject != DeliverySubject::Test {
                // Once, not for each try; the address and what was sent stay out of it.
                tracing::warn!(
                    webhook = self.endpoint.name,
                    delivery = sent.id,
                    reason = sent.answer.reason(),
                    "deliveries begin to fail"
                );
            }
            return false;
        }
        self.failed_in_row = 0;
        self.last_success = Some(Instant::now());
        if sent.subject == DeliverySubject::Test {
            // A person made sure that it may be asked again.
            self.hold_until = None;
        }
        let Some(parked) = self.parked.take() else {
            return false;
        };
        tracing::info!(
            webhook = self.endpoint.name, probes = parked.probes, since = %parked.since,
            "the receiver takes events again"
        );
        self.hold_until = None;
        true
    }

    /// The receiver wants no requests until then.
    pub(super) fn hold(&mut self, until: Instant) {
        self.hold_until = self.hold_until.max(Some(until));
    }

    /// Whether any request succeeded since then.
    pub(super) fn succeeded_since(&self, began: Instant) -> bool {
        self.last_success.is_some_and(|success| success >= began)
    }

    /// After a failure: a receiver that is parked already, or that fails again and again, gets no request
    /// until its next probe.
    pub(super) fn park_if_failing(&mut self, sent: &Sent, jitter: f64) {
        if self.parked.is_some() || self.failed_in_row >= FAILURES_TO_PARK {
            self.park(sent, jitter);
        }
    }

    /// Sends the receiver nothing but a probe now and then.
    pub(super) fn park(&mut self, sent: &Sent, jitter: f64) {
        let probes = self.parked.as_ref().map_or(0, |parked| parked.probes);
        let delay = self.endpoint.schedule.probe(probes + 1, jitter);
        let (next, next_at) = (Instant::now() + delay, UtcTime(UtcTime::now().0 + delay));
        match &mut self.parked {
            Some(parked) if parked.next > Instant::now() => {}
            Some(parked) => (parked.next, parked.next_at) = (next, next_at),
            None => {
                tracing::warn!(
                    webhook = self.endpoint.name,
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

    /// When a request may be made that may not be made now.
    pub(super) fn next_chance(&self) -> Option<Instant> {
        let now = Instant::now();
        let probe = self.parked.as_ref().map(|parked| parked.next);
        let chances = [self.hold_until, probe].into_iter().flatten();
        chances.filter(|at| *at > now).min()
    }

    pub(super) fn is_parked(&self) -> bool {
        self.parked.is_some()
    }

    pub(super) fn probes(&self) -> Option<Probes> {
        self.parked.as_ref().map(|parked| Probes {
            since: parked.since,
            count: parked.probes,
            next_at: parked.next_at,
        })
    }

    pub(super) fn paused_until(&self) -> Option<UtcTime> {
        let left = self.hold_until?.checked_duration_since(Instant::now())?;
        Some(UtcTime(UtcTime::now().0 + left))
    }
}
