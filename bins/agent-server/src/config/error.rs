use std::{io, path::PathBuf};

use thiserror::Error;

/// Why the configuration cannot be used. The texts are for the person who wrote it; none of them
/// shows a secret.
#[derive(Debug, Error)]
pub enum ConfigError {
    #[error("{path}: no such configuration file (named by {named_by})", path = .path.display())]
    Missing { path: PathBuf, named_by: String },
    #[error("{path}: cannot read the configuration file: {source}", path = .path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error(
        "{path}:{line}:{column}: expected JSON, found a mistake in it: {reason}",
        path = .path.display()
    )]
    Syntax {
        path: PathBuf,
        line: usize,
        column: usize,
        reason: String,
    },
    #[error("{path}: expected one JSON object, found {found}", path = .path.display())]
    NotAnObject { path: PathBuf, found: String },
    /// A value of the wrong type or out of its bounds.
    #[error("{origin}: at `{key}`: expected {expected}, found {found}")]
    Wrong {
        /// The file, variable or flag.
        origin: String,
        /// `webhooks[0].method` for one.
        key: String,
        expected: String,
        found: String,
    },
    /// A value that is not valid for another reason.
    #[error("{origin}: at `{key}`: {reason}")]
    Unusable {
        origin: String,
        key: String,
        reason: String,
    },
    #[error("the current folder cannot be found, and relative paths start there: {0}")]
    NoCurrentFolder(io::Error),
}
