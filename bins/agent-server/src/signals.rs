//! What tells the server to stop.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM and Ctrl-C, in place of their deadly defaults.
pub struct Signals {
    terminate: Signal,
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
