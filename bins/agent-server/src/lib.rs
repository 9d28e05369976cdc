//! The `agent-server` program: reads the configuration, wires the crates together, serves, stops cleanly.
//!
//! | module | holds |
//! |---|---|
//! | [`cli`] | commands and flags |
//! | [`config`] | defaults, file, environment, flags, and where each value came from |
//! | [`log_output`] | the log |
//! | [`connections`] | the HTTP server around the API, which bounds what connections cost |
//! | `memory` | settings of the allocator: free memory is returned to the system |
//! | `console` | lines for the person who ran a command |
//! | [`listener`] | the socket: bound here, or inherited |
//! | [`server`] | a running server: start, stop |
//! | `opened_store` | the store that the settings choose |
//! | `ephemeral` | `--ephemeral`: conversations in memory, temporary folders |
//! | [`serve`] | the command `serve` |
//! | [`reload`] | `--reload`: the supervisor |
//! | [`demo`] | the command `demo` |
//! | `models` | the command `models` |
//! | [`maintenance`] | the commands `export`, `import`, `verify` and `repair` |
//! | `own_environment` | removes keys from the environment |
//! | [`secret_key`] | the key that encrypts stored secrets |
//! | [`start_error`] | why a start failed |

pub mod cli;
pub mod config;
pub mod connections;
mod console;
pub mod demo;
mod ephemeral;
pub mod flags;
pub mod listener;
pub mod log_output;
pub mod maintenance;
mod memory;
mod models;
mod opened_store;
mod own_environment;
pub mod reload;
pub mod secret_key;
pub mod serve;
pub mod server;
pub mod signals;
pub mod start_error;
mod webhooks;

use std::{
    ffi::OsString,
    io::{ErrorKind, Write},
    process::ExitCode,
};

use clap::Parser;

use crate::{
    cli::{Cli, Command, ConfigArgs},
    flags::Flags,
    maintenance::ended,
    start_error::StartError,
};

/// Runs the command of the command line. A failed start exits with 1, with the reason on standard error.
#[must_use]
pub fn main() -> ExitCode {
    signals::survive_file_size_limit();
    let cli = Cli::parse();
    memory::prepare();
    let outcome = match cli.command {
        None => serve(&cli.flags),
        Some(Command::Serve(flags)) => serve(&flags.over(cli.flags)),
        Some(Command::Config(mut args)) => {
            args.flags = args.flags.over(cli.flags);
            print_config(&args)
        }
        Some(Command::Demo(args)) => return demo::run(&args),
        Some(Command::Models(args)) => models::run(&args, &cli.flags),
        Some(Command::Export(args)) => return ended(maintenance::export(&args, &cli.flags)),
        Some(Command::Import(args)) => return ended(maintenance::import(&args, &cli.flags)),
        Some(Command::Verify(args)) => return ended(maintenance::verify(&args, &cli.flags)),
        Some(Command::Repair(args)) => return ended(maintenance::repair(&args, &cli.flags)),
    };
    outcome.unwrap_or_else(|error| {
        console::error_line(format_args!("error: {error}"));
        ExitCode::FAILURE
    })
}

fn serve(flags: &Flags) -> Result<ExitCode, StartError> {
    if flags.reload {
        reload::run(flags)
    } else {
        serve::run(flags)
    }
}

fn print_config(args: &ConfigArgs) -> Result<ExitCode, StartError> {
    let loaded = config::load(&args.flags.overrides, &environment())?;
    log_output::check(&loaded.settings.log_level).map_err(StartError::Log)?;
    for notice in &loaded.notices {
        console::error_line(format_args!("warning: {notice}"));
    }
    if !args.check {
        let text = if args.json {
            format!("{:#}\n", loaded.json())
        } else {
            loaded.table()
        };
        match std::io::stdout().write_all(text.as_bytes()) {
            // The reader has closed the pipe.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            written => written?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The environment without variables that are not text; none of ours is.
pub(crate) fn environment() -> Vec<(String, String)> {
    texts(&own_environment::all())
}

pub(crate) fn texts(variables: &[(OsString, OsString)]) -> Vec<(String, String)> {
    let text = |it: &OsString| it.to_str().map(str::to_owned);
    variables
        .iter()
        .filter_map(|(name, value)| Some((text(name)?, text(value)?)))
        .collect()
}
