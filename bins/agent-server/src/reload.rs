//! `--reload`: a supervisor that keeps the listening socket, watches, and swaps the server behind
//! the socket. One process at a time may hold the conversations folder, so the old server stops
//! before the new one starts; connections that arrive meanwhile wait in the socket's backlog.

mod child;
mod sources;
mod supervisor;
mod watch;

use std::process::ExitCode;

use crate::{
    flags::Flags, listener, own_environment, serve::load_and_log, start_error::StartError,
};

use supervisor::Supervisor;

/// Supervises until SIGTERM, SIGHUP or Ctrl-C.
///
/// # Errors
/// When the first configuration is not valid or the socket cannot be bound.
pub fn run(flags: &Flags) -> Result<ExitCode, StartError> {
    let environment = own_environment::all();
    let (loaded, _log) = load_and_log(flags, &crate::texts(&environment))?;
    let listener = listener::bind(&loaded.settings.host, loaded.settings.port)?.socket;
    let tokio = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    tokio.block_on(async {
        Supervisor::new(flags, environment, &loaded, listener)?
            .run()
            .await
    })
}
