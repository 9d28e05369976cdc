//! Commands for the conversations folder that need no running server.
//!
//! | module | holds |
//! |---|---|
//! | `export` | a conversation as lines, Markdown or HTML |
//! | `import` | conversations of the reference server |
//! | `folder` | which folder is meant, and which conversation in it |
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
mod verify;

use std::process::ExitCode;

use crate::console;

pub use error::MaintenanceError;
pub use export::{ExportArgs, run as export};
pub use import::{ImportArgs, run as import};
pub use repair::{RepairArgs, run as repair};
pub use verify::{VerifyArgs, run as verify};

/// The exit code of a command, which returns whether it found nothing to report.
#[must_use]
pub fn ended(outcome: Result<bool, MaintenanceError>) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            console::error_line(format_args!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}
