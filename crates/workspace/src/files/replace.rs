//! Replacing the content of a file, and nothing else of it.

mod attributes;
mod error;
mod in_place;
#[cfg(test)]
mod tests;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use nix::libc;
use uuid::Uuid;

pub use self::error::ReplaceError;

use self::attributes::Attributes;

/// Gives the file at `path` the content `bytes`. A reader, or a crash, meets either the old bytes or
/// the new ones: a new file beside it takes its owner, mode and extended attributes and then its
/// name. A symbolic link stays, and the file it points at is replaced. A missing file is made.
///
/// A file that has other names too (hard links), or whose attributes a new one would not get, is
/// written in place; and so is one where the system forbids the swap but not the write (in a read-only
/// folder, of another owner, mounted by itself).
///
/// # Errors
/// As the file system reports them; the old content is then still there, unless the error says that a
/// write in place failed and could not be undone.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write(path, None, bytes).map_err(|error| match error {
        ReplaceError::Io(error) => error,
        ReplaceError::Changed => io::Error::other(error),
    })
}

/// As [`replace`], if the file exists and holds `expected`.
///
/// # Errors
/// [`ReplaceError::Changed`] when it does not; else as [`replace`].
pub(crate) fn replace_expected(
    path: &Path,
    expected: &[u8],
    bytes: &[u8],
) -> Result<(), ReplaceError> {
    write(path, Some(expected), bytes)
}

fn write(path: &Path, expected: Option<&[u8]>, bytes: &[u8]) -> Result<(), ReplaceError> {
    let target = match fs::canonicalize(path) {
        Ok(target) => target,
        Err(error) if error.kind() == ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(error.into()),
    };
    let Some(old) = open(&target)? else {
        if expected.is_some() {
            return Err(ReplaceError::Changed);
        }
        return create(&target, bytes);
    };
    if old.metadata()?.nlink() > 1 {
        return in_place::write(&old, expected, bytes);
    }
    // A new file cannot have attributes that cannot be read.
    let swapped = match Attributes::of(&old) {
        Ok(attributes) => swap(&target, &old, &attributes, expected, bytes),
        Err(_) => Err(Unswapped::Impossible),
    };
    match swapped {
        Err(Unswapped::Impossible) => in_place::write(&old, expected, bytes),
        Err(Unswapped::Failed(error)) => Err(error),
        Ok(()) => Ok(()),
    }
}

/// The file as it is now. Opened for writing, because a swap alone would bypass its write protection.
fn open(target: &Path) -> io::Result<Option<File>> {
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        // Does not wait for the other end of a pipe.
        .custom_flags(libc::O_NONBLOCK)
        .open(target);
    match opened {
        Ok(file) if file.metadata()?.is_file() => Ok(Some(file)),
        Ok(_) => Err(io::Error::new(
            ErrorKind::InvalidInput,
            "not a regular file",
        )),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn create(target: &Path, bytes: &[u8]) -> Result<(), ReplaceError> {
    let beside = Beside::new(target, 0o666)?;
    beside.fill(bytes)?;
    Ok(beside.take_the_name_of(target)?)
}

/// Why a file was not swapped for a new one.
enum Unswapped {
    /// It may still be written in place.
    Impossible,
    Failed(ReplaceError),
}

fn swap(
    target: &Path,
    old: &File,
    attributes: &Attributes,
    expected: Option<&[u8]>,
    bytes: &[u8],
) -> Result<(), Unswapped> {
    // No other user reads the bytes before the file has the mode of the one it replaces.
    let beside = Beside::new(target, 0o600).map_err(unswapped)?;
    beside.fill(bytes).map_err(unswapped)?;
    attributes
        .apply(&beside.file)
        .map_err(|_refused| Unswapped::Impossible)?;
    if let Some(expected) = expected
        && !holds(target, old, expected).map_err(unswapped)?
    {
        return Err(Unswapped::Failed(ReplaceError::Changed));
    }
    beside.take_the_name_of(target).map_err(unswapped)
}

fn unswapped(error: io::Error) -> Unswapped {
    if matches!(
        error.kind(),
        ErrorKind::PermissionDenied | ErrorKind::ResourceBusy | ErrorKind::ReadOnlyFilesystem
    ) {
        Unswapped::Impossible
    } else {
        Unswapped::Failed(error.into())
    }
}

/// Whether `old` still has this name, and still holds `expected`.
fn holds(target: &Path, old: &File, expected: &[u8]) -> io::Result<bool> {
    let current = match File::open(target) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let place = |file: &File| file.metadata().map(|it| (it.dev(), it.ino(), it.nlink()));
    if place(&current)? != place(old)? {
        return Ok(false);
    }
    let mut bytes = Vec::new();
    current
        .take(expected.len() as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes == expected)
}

/// A new file in the folder of another; removed when it is dropped before it took that one's name.
struct Beside {
    path: PathBuf,
    file: File,
    placed: bool,
}

impl Beside {
    fn new(target: &Path, mode: u32) -> io::Result<Self> {
        let path = target.with_file_name(format!(".{}.tmp", Uuid::new_v4().simple()));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&path)?;
        Ok(Self {
            path,
            file,
            placed: false,
        })
    }

    fn fill(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.file).write_all(bytes)?;
        // Otherwise a crash could leave the name without the bytes.
        self.file.sync_data()
    }

    fn take_the_name_of(mut self, target: &Path) -> io::Result<()> {
        fs::rename(&self.path, target)?;
        self.placed = true;
        Ok(())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if !self.placed {
            fs::remove_file(&self.path).ok();
        }
    }
}
