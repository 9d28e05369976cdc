//! Signals that stop the server.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::console;

/// Sent with each write beyond a limit on the size of files (`ulimit -f`); ends a program that has no
/// handler for it.
const SIGXFSZ: i32 = nix::sys::signal::Signal::SIGXFSZ as i32;

/// Lets a write beyond the limit on the size of files fail with an error that is handled like a full
/// disk. The handler does nothing. Unlike an ignored signal, it is not inherited, so programs that agents
/// start behave as usual. Call it at the start of the program, before any other thread.
pub fn survive_file_size_limit() {
    // tokio installs handlers only inside a runtime; they stay when that ends.
    let installed = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .and_then(|runtime| {
            let _entered = runtime.enter();
            signal(SignalKind::from_raw(SIGXFSZ)).map(drop)
        });
    if let Err(error) = installed {
        console::error_line(format_args!(
            "warning: a limit on the size of files will end this program: {error}"
        ));
    }
}

/// SIGTERM, SIGHUP and Ctrl-C, which would otherwise end the process at once.
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
            hangup: if workspace::is_ignored(workspace::Signal::HUP) {
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
    /// not a second request.
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
