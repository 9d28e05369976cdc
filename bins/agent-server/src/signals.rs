//! What tells the server to stop.

use std::io;

use agent_tools::process;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM, SIGHUP and Ctrl-C, in place of their deadly defaults.
pub struct Signals {
    terminate: Signal,
    /// `None` for a program that was started to outlive its terminal, as `nohup` does.
    hangup: Option<Signal>,
    interrupt: Signal,
}

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            hangup: if process::is_ignored(process::Signal::HUP) {
                None
            } else {
                Some(signal(SignalKind::hangup())?)
            },
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The name of the next signal.
    ///
    /// # Cancel safety
    /// Loses no signal.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            () = received(&mut self.hangup) => "SIGHUP",
            _ = self.interrupt.recv() => "Ctrl-C",
        }
    }

    /// Waits for Ctrl-C alone: a supervisor's SIGTERM may follow a terminal's Ctrl-C, and is then
    /// no second wish.
    ///
    /// # Cancel safety
    /// Loses no signal.
    pub async fn interrupted(&mut self) {
        self.interrupt.recv().await;
    }
}

async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}
