use std::{
    io::{IsTerminal, Write, stderr},
    time::{Duration, Instant},
};

/// A line on standard error for what takes longer than a second.
pub(crate) struct Progress {
    what: &'static str,
    total: u64,
    shown: Option<Instant>,
    begin: Instant,
    on_terminal: bool,
}

impl Progress {
    pub(crate) fn new(what: &'static str, total: u64) -> Self {
        Self {
            what,
            total,
            shown: None,
            begin: Instant::now(),
            on_terminal: stderr().is_terminal(),
        }
    }

    pub(crate) fn at(&mut self, done: u64) {
        let every = match self.on_terminal {
            true => Duration::from_millis(200),
            false => Duration::from_secs(5),
        };
        let due = match self.shown {
            None => self.begin.elapsed() > Duration::from_secs(1),
            Some(shown) => shown.elapsed() > every,
        };
        if !due {
            return;
        }
        self.shown = Some(Instant::now());
        let Self { what, total, .. } = self;
        let percent = done * 100 / (*total).max(1);
        if self.on_terminal {
            eprint!("\r{what}: {percent} % of {total} ");
            stderr().flush().ok();
        } else {
            eprintln!("{what}: {percent} % of {total}");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.on_terminal && self.shown.is_some() {
            eprint!("\r\u{1b}[K");
        }
    }
}
