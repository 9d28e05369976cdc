//! Reads and writes of all that is asked for.

use std::{io, ops::Range, path::Path};

use super::ports::{Disk, DiskFile, Open, Wait};

/// Bytes copied at a time.
const COPIED: u64 = 1 << 20;

/// Fills the buffer.
pub(crate) fn read_exact(
    file: &dyn DiskFile,
    mut buffer: &mut [u8],
    mut at: u64,
    wait: Wait,
) -> io::Result<()> {
    while !buffer.is_empty() {
        let read = match wait {
            Wait::Yes => file.read_at(buffer, at),
            Wait::No => file.read_now(buffer, at),
        };
        match read {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                buffer = &mut buffer[read..];
                at += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes all bytes.
pub(crate) fn write_all(file: &dyn DiskFile, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, at) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = &bytes[written..];
                at += written as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Copies a range of a file to the start of another, a part at a time.
pub(crate) fn copy_range(
    from: &dyn DiskFile,
    range: Range<u64>,
    to: &dyn DiskFile,
) -> io::Result<()> {
    let mut at = range.start;
    let mut buffer = vec![0; COPIED.min(range.end - at) as usize];
    while at < range.end {
        let part = &mut buffer[..COPIED.min(range.end - at) as usize];
        read_exact(from, part, at, Wait::Yes)?;
        write_all(to, part, at - range.start)?;
        at += part.len() as u64;
    }
    Ok(())
}

/// Reads a file as a whole that has no more than `max_bytes`.
pub(crate) fn read_small(disk: &dyn Disk, path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let file = disk.open(path, Open::Read)?;
    let length = file.len()?;
    if length > max_bytes {
        let reason = format!("it has {length} bytes, more than {max_bytes}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    read_exact(file.as_ref(), &mut bytes, 0, Wait::Yes)?;
    Ok(bytes)
}

/// Reads a small file as a whole.
pub(crate) fn read_all(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    read_small(disk, path, u64::MAX)
}
