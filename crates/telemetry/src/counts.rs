use std::sync::atomic::{AtomicU64, Ordering};

/// What the process has done since it started: like log lines, it is the whole process's.
pub static COUNTS: Counts = Counts {
    requests: Counter::new(),
    failed_requests: Counter::new(),
    turns: Counter::new(),
    failed_turns: Counter::new(),
    model_calls: Counter::new(),
    failed_model_calls: Counter::new(),
    input_tokens: Counter::new(),
    output_tokens: Counter::new(),
    tool_calls: Counter::new(),
    failed_tool_calls: Counter::new(),
};

/// Those that failed are counted among the others too.
pub struct Counts {
    pub requests: Counter,
    /// Answered with a status of 500 or more.
    pub failed_requests: Counter,
    pub turns: Counter,
    /// Ended by an error.
    pub failed_turns: Counter,
    pub model_calls: Counter,
    pub failed_model_calls: Counter,
    pub input_tokens: Counter,
    pub output_tokens: Counter,
    pub tool_calls: Counter,
    /// Ended without an observation that says that it worked.
    pub failed_tool_calls: Counter,
}

/// A number that only grows.
pub struct Counter(AtomicU64);

impl Counter {
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn add_if(&self, happened: bool) {
        if happened {
            self.add(1);
        }
    }
}
