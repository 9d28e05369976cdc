use std::io;

/// Why a file was not replaced.
#[derive(Debug, thiserror::Error)]
pub enum ReplaceError {
    /// It does not hold what was expected.
    #[error("it was changed in the meantime")]
    Changed,
    #[error(transparent)]
    Io(#[from] io::Error),
}
