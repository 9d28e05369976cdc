//! Commands for the conversations folder that need no running server.
//!
//! | module | holds |
//! |---|---|
//! | `export` | a conversation as lines, Markdown or HTML |
//! | `import` | conversations of the reference server |
//! | `folder` | which folder is meant, and which conversation in it |
//! | `tool_files` | files of tools beside an imported log |
//! | `fernet` | secrets that the reference server encrypted |
//! | `verify` | checks stored conversations |
//! | `repair` | repairs stored conversations |
//! | [`report`] | what a check of the conversations found, for `verify` and `repair` |
//! | `progress` | shows the progress of a long command |

mod error;
mod export;
mod fernet;
mod folder;
mod import;
mod progress;
mod repair;
pub mod report;
mod tool_files;
mod verify;

use std::process::ExitCode;

use crate::{console, flags::Flags};

pub use error::MaintenanceError;
pub use export::ExportArgs;
pub use import::ImportArgs;
pub use repair::RepairArgs;
pub use verify::VerifyArgs;

/// The command `export`.
#[must_use]
pub fn export(args: &ExportArgs, before: &Flags) -> ExitCode {
    ended(export::run(args, before))
}

/// The command `import`.
#[must_use]
pub fn import(args: &ImportArgs, before: &Flags) -> ExitCode {
    ended(import::run(args, before))
}

/// The command `verify`.
#[must_use]
pub fn verify(args: &VerifyArgs, before: &Flags) -> ExitCode {
    ended(verify::run(args, before))
}

/// The command `repair`.
#[must_use]
pub fn repair(args: &RepairArgs, before: &Flags) -> ExitCode {
    ended(repair::run(args, before))
}

/// The exit code of a command, which returns whether it found nothing to report.
fn ended(outcome: Result<bool, MaintenanceError>) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            console::error_line(format_args!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}
