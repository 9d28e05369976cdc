use std::io;

use core_model::StoreError;

use crate::index::IndexError;

/// Why a read did not succeed.
#[derive(Debug)]
pub(crate) enum ReadFault {
    /// What it needs is not in memory, and the read may not wait.
    WouldBlock,
    WrongIndex,
    Failed(StoreError),
}

pub(super) type Read<T> = Result<T, ReadFault>;

impl From<IndexError> for ReadFault {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::Io(error) if error.kind() == io::ErrorKind::WouldBlock => Self::WouldBlock,
            // Whatever is wrong with it, a rebuilt one may work.
            IndexError::Io(_) | IndexError::Wrong => Self::WrongIndex,
        }
    }
}
