use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::{FileTypeExt, OpenOptionsExt},
    path::Path,
};

use nix::{errno::Errno, fcntl::OFlag};

/// A larger file of the folder is left out, and the outcome says so.
pub const MAX_FILE_BYTES: u64 = 256 << 20;

/// Opens a file of a folder that anybody may have written: a link could lead anywhere, opening a pipe
/// would wait for its other end, and a device may have no end.
///
/// # Errors
/// [`is_not_a_file`], when it is not a file.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_NOFOLLOW;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path);
    let file = opened.map_err(|error| match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ELOOP) => not_a_file("a link"),
        Some(Errno::ENXIO) => not_a_file("a socket"),
        _ => error,
    })?;
    let kind = file.metadata()?.file_type();
    if kind.is_file() {
        Ok(file)
    } else if kind.is_dir() {
        Err(not_a_file("a folder"))
    } else if kind.is_fifo() {
        Err(not_a_file("a pipe"))
    } else {
        Err(not_a_file("a device"))
    }
}

/// Reads a file as a whole, at most [`MAX_FILE_BYTES`].
///
/// # Errors
/// As [`open`]; [`is_not_a_file`] also when it is longer.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut file = open(path)?.take(MAX_FILE_BYTES + 1);
    file.read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(too_long());
    }
    Ok(bytes)
}

pub(super) fn too_long() -> io::Error {
    let reason = format!("it has more than {MAX_FILE_BYTES} bytes");
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// Whether reading failed because of what was to be read, and will fail again.
pub(super) fn is_not_a_file(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData
    )
}

fn not_a_file(what: &str) -> io::Error {
    let reason = format!("it is {what}, not a file");
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}
