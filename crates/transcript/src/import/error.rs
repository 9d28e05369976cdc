use std::{
    io,
    path::{Path, PathBuf},
};

use core_model::StoreError;
use thiserror::Error;

/// Why a conversation could not be imported.
///
/// ```
#[doc = include_str!("example.txt")]
/// use transcript::import::{ReferenceConversation, ImportError};
///
/// let empty = tempfile::tempdir()?;
/// let refused = ReferenceConversation::open(empty.path(), &options);
/// assert!(matches!(refused, Err(ImportError::NotAConversation { .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Error)]
pub enum ImportError {
    /// A file or folder of the reference cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// There is no conversation in the folder.
    #[error("{}: not a conversation of the reference server: {reason}", path.display())]
    NotAConversation {
        /// The folder.
        path: PathBuf,
        /// What it lacks, in words.
        reason: String,
    },
    /// [`ImportOptions::seal`] failed; this is its reason.
    #[error("the conversation's secrets cannot be sealed: {0}")]
    Seal(String),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Runs file work of an import where it may block.
pub(super) async fn off_thread<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> Result<T, ImportError> + Send + 'static,
) -> Result<T, ImportError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(stopped) => Err(io_at(path)(io::Error::other(stopped))),
    }
}

pub(super) fn io_at(path: &Path) -> impl FnOnce(io::Error) -> ImportError {
    move |source| ImportError::Io {
        path: path.to_owned(),
        source,
    }
}
