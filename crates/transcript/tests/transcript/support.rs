use std::path::Path;

use store_fs::{FileReader, ReadError};
use transcript::export::LogItem;

/// A stored log as an export reads it.
pub(crate) fn log_items(folder: &Path) -> impl Iterator<Item = Result<LogItem, ReadError>> {
    FileReader::open(folder).unwrap().map(|read| match read {
        Ok(record) => Ok(LogItem::Event(record)),
        Err(ReadError::Damaged { seq, reason, .. }) => Ok(LogItem::Damaged { seq, reason }),
        Err(ReadError::Torn { .. }) => Ok(LogItem::Torn),
        Err(error @ (ReadError::Io { .. } | ReadError::Cut { .. })) => Err(error),
    })
}
