//! Writing into a file that is there, where another cannot take its place.

use std::{
    fs::File,
    io::{self, Read, Seek},
    os::unix::fs::FileExt,
};

use super::{ReplaceError, attributes::Attributes};

/// Writes `bytes` into `file`, which is open for reading and writing, and leaves all else of it.
///
/// # Errors
/// [`ReplaceError::Changed`] when it does not hold `expected`. After any other error it holds what it
/// held before, or the error says that it does not.
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
            let both = format!("{error}; and its old content could not be put back: {second}");
            return Err(io::Error::new(error.kind(), both).into());
        }
        return Err(error.into());
    }
    // Writing clears the set-user-id bits and capabilities; what cannot be put back is not ours.
    if let Some(attributes) = attributes {
        attributes.apply(file).ok();
    }
    Ok(())
}

/// Gives `file` the content `bytes`. What needs room on the disk is written first: where there is
/// none, nothing of the first `old_len` bytes has been touched.
fn overwrite(file: &File, old_len: usize, bytes: &[u8]) -> io::Result<()> {
    let (head, tail) = bytes.split_at(bytes.len().min(old_len));
    file.write_all_at(tail, old_len as u64)?;
    file.write_all_at(head, 0)?;
    file.set_len(bytes.len() as u64)?;
    file.sync_data()
}
