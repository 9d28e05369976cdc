use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A command that takes less time shows no bar.
const BAR_DELAY: Duration = Duration::from_secs(1);

/// How far a command has come: a bar on standard error, shown when that is a terminal and the
/// command takes longer than a second. Gone when dropped.
pub(super) struct Progress {
    bar: ProgressBar,
    begin: Instant,
    shown: AtomicBool,
}

impl Progress {
    /// Counts bytes.
    pub(super) fn bytes(what: &str, total: u64) -> Self {
        Self::new(what, total, "{bytes} of {total_bytes}")
    }

    /// Counts things.
    pub(super) fn items(what: &str, total: u64) -> Self {
        Self::new(what, total, "{human_pos} of {human_len}")
    }

    /// No bar, for when the terminal shows something else.
    pub(super) fn none() -> Self {
        let none = Self::items("", 0);
        none.shown.store(true, Ordering::Relaxed);
        none
    }

    fn new(what: &str, total: u64, counted: &str) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        let template = format!("{{msg}} [{{bar:30}}] {counted}, {{eta}} left");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(what.to_owned());
        Self {
            bar,
            begin: Instant::now(),
            shown: AtomicBool::new(false),
        }
    }

    pub(super) fn at(&self, position: u64) {
        if self.begin.elapsed() >= BAR_DELAY && !self.shown.swap(true, Ordering::Relaxed) {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_position(position);
    }

    /// Writes something else to the terminal; the bar comes back after it.
    pub(super) fn suspend(&self, write: impl FnOnce()) {
        self.bar.suspend(write);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
