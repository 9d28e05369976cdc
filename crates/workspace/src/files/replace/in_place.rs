//! Writing into an existing file, where another cannot take its place.

use std::{
    fs::File,
    io::{self, Read, Seek},
    os::unix::fs::FileExt,
};

use super::{attributes::Attributes, error::ReplaceError};

/// Gives `file`, which is open for reading and writing, the content `bytes`; all else of it stays.
///
/// # Errors
/// [`ReplaceError::Changed`] when it does not hold `expected`. After any other error it holds what it
/// held before, unless the error says otherwise.
pub(super) fn write(
    mut file: &File,
    expected: Option<&[u8]>,
    bytes: &[u8],
) -> Result<(), ReplaceError> {
    let mut before = Vec::new();
    file.rewind()?;
    match expected {
        Some(expected) => file
            .take(expected.len() as u64 + 1)
            .read_to_end(&mut before)?,
        None => file.read_to_end(&mut before)?,
    };
    if expected.is_some_and(|expected| expected != before) {
        return Err(ReplaceError::Changed);
    }
    let attributes = Attributes::of(file).ok();
    if let Err(error) = overwrite(file, before.len(), bytes) {
        if let Err(second) = overwrite(file, before.len(), &before) {
            let both = format!("{error}; and its old content could not be restored: {second}");
            return Err(io::Error::new(error.kind(), both).into());
        }
        return Err(error.into());
    }
    // Writing clears the set-user-id bits and capabilities; some only their owner can restore.
    if let Some(attributes) = attributes {
        attributes.apply(file).ok();
    }
    Ok(())
}

/// Gives `file` the content `bytes`. What needs space on the disk is written first: when there is
/// none, nothing of the first `old_len` bytes has been touched.
fn overwrite(file: &File, old_len: usize, bytes: &[u8]) -> io::Result<()> {
    let (head, tail) = bytes.split_at(bytes.len().min(old_len));
    file.write_all_at(tail, old_len as u64)?;
    file.write_all_at(head, 0)?;
    file.set_len(bytes.len() as u64)?;
    file.sync_data()
}
