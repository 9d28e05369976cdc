//! A shell command as syntax: which programs it starts, with which arguments, and how each is reached.
//!
//! [`read`] finds the simple commands of a text for `bash`, also those inside `$(…)`, behind `sudo`, `env`,
//! `xargs` or `find -exec`, and in texts that another shell is given (`sh -c`, `eval`, here-documents,
//! `echo … | sh`). Quotes are resolved where that is possible without running anything. What cannot be
//! known is never left out: it is a [`Gap`].
//!
//! Pure, and bounded in time and depth for any input.
//!
//! ```
//! let reading = command_syntax::read("ls; sudo -u root sh -c 'r\"\"m -rf /'");
//! let programs: Vec<_> = reading.commands.iter().filter_map(|c| c.program()).collect();
//! assert_eq!(programs, ["ls", "sudo", "sh", "rm"]);
//! assert!(reading.gaps.is_empty());
//! ```

mod ansi_c;
mod ascii;
mod command;
mod continued;
mod nodes;
mod reader;
mod shells;
mod started;
mod syntax;
mod word;
mod wrappers;

pub use command::{Gap, Input, Reading, Redirection, SimpleCommand, Via};
pub use reader::read;
pub use shells::is_shell;
pub use word::{Piece, Word};

#[cfg(test)]
mod tests;
