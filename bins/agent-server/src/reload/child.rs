use std::{
    ffi::OsString,
    io,
    net::TcpListener,
    os::fd::OwnedFd,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    process::{Child, Command},
    time::timeout,
};
use tracing::warn;
use workspace::{OwnProcess, Signal, send};

/// A server drains within 8 seconds; one that does not is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// The server that a supervisor runs, or none.
#[derive(Default)]
pub(super) struct Served(Option<Child>);

impl Served {
    /// Starts a server on `listener`, which it gets as its standard input, with this environment.
    pub(super) fn start(
        &mut self,
        program: &Path,
        arguments: &[String],
        environment: &[(OsString, OsString)],
        listener: &TcpListener,
    ) -> io::Result<()> {
        let socket = OwnedFd::from(listener.try_clone()?);
        let child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::from(socket))
            .kill_on_drop(true)
            .spawn()?;
        self.0 = Some(child);
        Ok(())
    }

    pub(super) fn is_running(&self) -> bool {
        self.0.is_some()
    }

    /// Waits for the end of the server; never ends when there is none.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn ended(&mut self) -> io::Result<ExitStatus> {
        match &mut self.0 {
            Some(child) => {
                let status = child.wait().await;
                self.0 = None;
                status
            }
            None => std::future::pending().await,
        }
    }

    /// Asks the server to stop and waits for its end.
    ///
    /// # Cancel safety
    /// May be called again.
    pub(super) async fn stop(&mut self) {
        let Some(child) = &mut self.0 else { return };
        let asked = OwnProcess::child(child).map(|server| send(&server, Signal::TERM));
        if asked.is_some_and(|outcome| outcome.is_ok())
            && timeout(STOP_TIMEOUT, child.wait()).await.is_err()
        {
            warn!("the server did not stop in time and is killed");
        }
        // there is none once it was waited for
        if let Some(server) = OwnProcess::child(child) {
            let killed = send(&server, Signal::KILL);
            if let Err(error) = killed.and(child.wait().await) {
                warn!("the server cannot be killed: {error}");
            }
        }
        self.0 = None;
    }
}
