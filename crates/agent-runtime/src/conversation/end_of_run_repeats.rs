use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// A client may take its run's end for old news when it comes before its answer; so the end of a run this
/// short is repeated, this long after it (`QUIRKS.md` 48).
const SHORT_RUN: Duration = Duration::from_secs(2);
const DELAYS: [Duration; 3] = [
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(3),
];

/// When followers are sent the end of a run again.
#[derive(Default)]
pub(super) struct EndOfRunRepeats {
    /// When the last `Run` was answered.
    run_answered: Option<Instant>,
    due: VecDeque<Instant>,
}

impl EndOfRunRepeats {
    pub(super) fn note_run_answered(&mut self) {
        self.run_answered = Some(Instant::now());
    }

    pub(super) fn plan(&mut self) {
        let now = Instant::now();
        self.due = DELAYS.into_iter().map(|delay| now + delay).collect();
    }

    pub(super) fn plan_if_short(&mut self) {
        if self
            .run_answered
            .is_some_and(|answered| answered.elapsed() < SHORT_RUN)
        {
            self.plan();
        }
    }

    pub(super) fn clear(&mut self) {
        self.due.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.due.is_empty()
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.front().copied()
    }

    /// The one that was due is sent.
    pub(super) fn sent(&mut self) {
        self.due.pop_front();
    }
}
