//! Opens what should be a file, and nothing that would never end or never begin to be read.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::{FileTypeExt, OpenOptionsExt},
    path::Path,
};

use rustix::{fs::OFlags, io::Errno};

/// Whether a name may be a symbolic link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// It may, if it leads to a file: the owner of this machine made it.
    Follow,
    /// It may not: others made it, and it could lead anywhere.
    Refuse,
}

/// Opens a file to read.
///
/// # Errors
/// Also, without waiting, when it is something else: a folder, a pipe, a device, a socket, or a link
/// that is not to be followed. The error says which.
///
/// ```
/// use store_fs::regular_file::{Links, open};
///
/// let error = open("/dev/zero".as_ref(), Links::Follow).unwrap_err();
/// assert_eq!(error.to_string(), "it is a device, not a file");
/// ```
pub fn open(path: &Path, links: Links) -> io::Result<File> {
    let mut flags = WITHOUT_WAITING;
    if links == Links::Refuse {
        flags |= OFlags::NOFOLLOW;
    }
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits() as i32)
        .open(path);
    match (opened, links) {
        (Err(error), Links::Refuse) if Errno::from_io_error(&error) == Some(Errno::LOOP) => {
            Err(not_a_file("a link"))
        }
        (opened, _) => check(opened),
    }
}

/// Reads a file as a whole if it has no more than `max_bytes`, however much it grows meanwhile.
///
/// # Errors
/// As [`open`], and when it is longer.
///
/// ```
/// use store_fs::regular_file::{Links, read};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("file");
/// std::fs::write(&path, "four")?;
/// assert_eq!(read(&path, Links::Refuse, 4)?, b"four");
/// let error = read(&path, Links::Refuse, 3).unwrap_err();
/// assert_eq!(error.to_string(), "it has more than 3 bytes");
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn read(path: &Path, links: Links, max_bytes: u64) -> io::Result<Vec<u8>> {
    read_at_most(open(path, links)?, max_bytes)
}

/// Reads to the end.
///
/// # Errors
/// When that is not reached within `max_bytes`.
///
/// ```
/// let endless = std::io::repeat(b'x');
/// assert!(store_fs::regular_file::read_at_most(endless, 1000).is_err());
/// ```
pub fn read_at_most(source: impl Read, max_bytes: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source
        .take(max_bytes.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        let reason = format!("it has more than {max_bytes} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    Ok(bytes)
}

/// Opening a pipe would wait for its other end, and opening a terminal could make it ours.
pub(crate) const WITHOUT_WAITING: OFlags = OFlags::NONBLOCK.union(OFlags::NOCTTY);

/// What was opened, with [`WITHOUT_WAITING`], if it is a file.
///
/// # Errors
/// As [`open`].
pub(crate) fn check(opened: io::Result<File>) -> io::Result<File> {
    let file = opened.map_err(|error| match Errno::from_io_error(&error) {
        Some(Errno::NXIO) => not_a_file("a socket"),
        Some(Errno::ISDIR) => not_a_file("a folder"),
        _ => error,
    })?;
    let kind = file.metadata()?.file_type();
    if kind.is_file() {
        return Ok(file);
    }
    Err(not_a_file(if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }))
}

fn not_a_file(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("it is {what}, not a file"),
    )
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn only_files_are_opened_and_nothing_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "text").unwrap();
        symlink("file", at("link")).unwrap();
        symlink("/dev/zero", at("endless")).unwrap();
        symlink("loop", at("loop")).unwrap();
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        symlink("pipe", at("to pipe")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        fs::create_dir(at("folder")).unwrap();

        for links in [Links::Follow, Links::Refuse] {
            assert_eq!(read(&at("file"), links, 4).unwrap(), b"text");
            for (name, what) in [
                ("pipe", "a pipe"),
                ("socket", "a socket"),
                ("folder", "a folder"),
            ] {
                let error = open(&at(name), links).unwrap_err().to_string();
                assert_eq!(error, format!("it is {what}, not a file"));
            }
            assert!(open(&at("loop"), links).is_err());
            let error = open(&at("none"), links).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
        }
        assert_eq!(read(&at("link"), Links::Follow, 4).unwrap(), b"text");
        for (name, what) in [("endless", "a device"), ("to pipe", "a pipe")] {
            let error = open(&at(name), Links::Follow).unwrap_err().to_string();
            assert_eq!(error, format!("it is {what}, not a file"));
        }
        for name in ["link", "endless", "to pipe"] {
            let error = open(&at(name), Links::Refuse).unwrap_err().to_string();
            assert_eq!(error, "it is a link, not a file");
        }
    }
}
