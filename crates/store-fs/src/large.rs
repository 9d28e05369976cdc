//! Large lines that are read by several at a time are in memory once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, TryLockError, Weak},
};

use bytes::Bytes;

use crate::{disk::Wait, entry::Entry, error::lock};

/// Lines of fewer bytes are read by each reader for itself.
pub(crate) const LARGE: u32 = 64 << 10;

/// The large lines of a log that someone holds.
#[derive(Default)]
pub(crate) struct LargeLines(Mutex<HashMap<Name, Weak<Vec<u8>>>>);

/// Where a line stands, and its checksum: whatever is written to that place later has another.
type Name = (u64, u32);

/// One holder of a line.
struct Holder(Arc<Vec<u8>>);

impl AsRef<[u8]> for Holder {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl LargeLines {
    /// The line that someone holds, or as `read` reads it; meanwhile others wait for it. None when this
    /// one may not wait.
    pub(crate) fn line<E>(
        &self,
        entry: &Entry,
        wait: Wait,
        read: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Option<Result<Bytes, E>> {
        let name = (entry.offset, entry.crc);
        let mut lines = match wait {
            Wait::Yes => lock(&self.0),
            Wait::No => match self.0.try_lock() {
                Ok(lines) => lines,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return None,
            },
        };
        if let Some(line) = lines.get(&name).and_then(Weak::upgrade) {
            return Some(Ok(Bytes::from_owner(Holder(line))));
        }
        let line = match read() {
            Ok(line) => Arc::new(line),
            Err(error) => return Some(Err(error)),
        };
        lines.retain(|_, line| line.strong_count() > 0);
        lines.insert(name, Arc::downgrade(&line));
        Some(Ok(Bytes::from_owner(Holder(line))))
    }
}
