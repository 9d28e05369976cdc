//! The agent's files. All of this blocks.

mod replace;

use std::{
    ffi::OsStr,
    fs::{self, DirEntry, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use nix::libc;

pub use self::replace::ReplaceError;
pub(crate) use self::replace::replace;

use crate::workspace::Workspace;

/// What a path leads to, links followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    pub kind: FileKind,
    /// In bytes. Files of `/proc` state none.
    pub len: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    File,
    Folder,
    /// A device, a pipe or a socket.
    Other,
}

/// An item of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderItem {
    pub path: PathBuf,
    /// Whether it is a folder itself, not a link to one.
    pub is_folder: bool,
    /// Whether it is a link to a folder.
    pub links_to_folder: bool,
}

impl Workspace {
    /// What is at `path`.
    ///
    /// # Errors
    /// When nothing is there, or it cannot be looked at.
    pub fn stat(&self, path: &Path) -> io::Result<Stat> {
        let metadata = fs::metadata(self.absolute(path))?;
        let kind = if metadata.is_file() {
            FileKind::File
        } else if metadata.is_dir() {
            FileKind::Folder
        } else {
            FileKind::Other
        };
        Ok(Stat {
            kind,
            len: metadata.len(),
        })
    }

    /// Whether `path` names anything, were it a link that leads nowhere.
    #[must_use]
    pub fn is_taken(&self, path: &Path) -> bool {
        self.absolute(path).symlink_metadata().is_ok()
    }

    /// The one path of what is at `path`: absolute, without links.
    ///
    /// # Errors
    /// When nothing is there, or it cannot be looked at.
    pub fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        fs::canonicalize(self.absolute(path))
    }

    /// The first `limit` bytes of a file.
    ///
    /// # Errors
    /// As the file system reports them; `InvalidInput` when it is not a regular file.
    pub fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        read(&self.absolute(path), limit)
    }

    /// The items of a folder whose names begin with no dot, sorted by name.
    ///
    /// # Errors
    /// When it cannot be read. Items that cannot be read are left out.
    pub fn list(&self, path: &Path) -> io::Result<Vec<FolderItem>> {
        let mut entries: Vec<DirEntry> = fs::read_dir(self.absolute(path))?
            .filter_map(Result::ok)
            .filter(|entry| !is_hidden(&entry.file_name()))
            .collect();
        entries.sort_by_key(DirEntry::file_name);
        Ok(entries.iter().map(folder_item).collect())
    }

    /// Makes a file at a path where nothing is, a race with another writer included.
    ///
    /// # Errors
    /// As the file system reports them; `AlreadyExists` when something is there.
    pub fn create_file(&self, path: &Path) -> io::Result<NewFile> {
        NewFile::create(self.absolute(path))
    }

    /// Replaces the content of a file that holds `expected`. A reader, or a crash, finds either the old
    /// bytes or the new ones; owner, mode, attributes and links stay.
    ///
    /// # Errors
    /// [`ReplaceError::Changed`] when it holds something else; else the old content is still there, unless
    /// the error says that a write in place failed and could not be undone.
    pub fn replace(&self, path: &Path, expected: &[u8], bytes: &[u8]) -> Result<(), ReplaceError> {
        replace::replace_expected(&self.absolute(path), expected, bytes)
    }
}

/// A file that was just made, to be written.
#[derive(Debug)]
pub struct NewFile {
    path: PathBuf,
    file: File,
}

impl NewFile {
    pub(crate) fn create(path: PathBuf) -> io::Result<Self> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)?;
        Ok(Self { path, file })
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the file again, if it can.
    pub fn remove(self) {
        fs::remove_file(&self.path).ok();
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The first `limit` bytes of a regular file. Anything else is refused, because commands of the agent can
/// put a pipe in its place, which blocks, or a device, which never ends.
pub(crate) fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(
            ErrorKind::InvalidInput,
            "not a regular file",
        ));
    }
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Adds to the end of a file that only this user can read.
pub(crate) fn append(path: &Path, bytes: &[u8]) -> io::Result<()> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?
        .write_all(bytes)
}

/// Writes a file that only this user can read.
pub(crate) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?
        .write_all(text.as_bytes())
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

fn folder_item(entry: &DirEntry) -> FolderItem {
    let path = entry.path();
    let kind = entry.file_type().ok();
    let is_folder = kind.is_some_and(|kind| kind.is_dir());
    FolderItem {
        is_folder,
        links_to_folder: !is_folder && path.is_dir(),
        path,
    }
}
