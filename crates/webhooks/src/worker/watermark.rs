//! When the position in the feed is worth recording.

use std::time::Duration;

use tokio::time::Instant;

/// How often the position is looked at, which is recorded later still.
const INTERVAL: Duration = Duration::from_secs(1);

pub(super) struct Watermark {
    /// The last one that was recorded.
    position: u64,
    due: Instant,
    /// Whether it may be another one by now.
    moved: bool,
}

impl Watermark {
    pub(super) fn new(position: u64) -> Self {
        Self {
            position,
            due: Instant::now(),
            moved: true,
        }
    }

    /// Something was read or delivered.
    pub(super) fn moved(&mut self) {
        self.moved = true;
    }

    /// Everything is delivered again.
    pub(super) fn reset(&mut self) {
        self.position = 0;
    }

    /// Whether to look at the position now; with `hurry`, whether or not it is due.
    pub(super) fn is_due(&mut self, hurry: bool) -> bool {
        let now = Instant::now();
        if !self.moved || (now < self.due && !hurry) {
            return false;
        }
        self.moved = false;
        self.due = now + INTERVAL;
        true
    }

    /// The position, if it is beyond what was recorded.
    pub(super) fn advance(&mut self, position: u64) -> Option<u64> {
        let beyond = position > self.position;
        self.position = self.position.max(position);
        beyond.then_some(position)
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.moved.then_some(self.due)
    }
}
