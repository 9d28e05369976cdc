use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use crate::files::{self, NewFile};

/// The files that a conversation's tools keep, in a folder of their own: full outputs, the task list.
/// Names are relative to it. All of this blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolFiles(PathBuf);

impl ToolFiles {
    /// The files in `folder`, an absolute path. Makes nothing.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// The absolute path of the file or folder `name`.
    #[must_use]
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }

    /// Whether there is a file or folder `name`.
    ///
    /// # Errors
    /// When that cannot be told.
    pub fn has(&self, name: &str) -> io::Result<bool> {
        self.path(name).try_exists()
    }

    /// The first `limit` bytes of a file.
    ///
    /// # Errors
    /// As the file system reports them; `InvalidInput` when it is not a regular file.
    pub fn read(&self, name: &str, limit: u64) -> io::Result<Vec<u8>> {
        files::read(&self.path(name), limit)
    }

    /// Gives a file this content, whether it exists or not. A reader, or a crash, finds either the old
    /// bytes or the new ones.
    ///
    /// # Errors
    /// As the file system reports them.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(name);
        make_parent(&path)?;
        files::replace(&path, bytes)
    }

    /// Makes a file that does not exist, and the folders it lies in.
    ///
    /// # Errors
    /// As the file system reports them; `AlreadyExists` when it exists.
    pub fn create(&self, name: impl AsRef<Path>) -> io::Result<NewFile> {
        let path = self.path(name);
        make_parent(&path)?;
        NewFile::create(path)
    }

    /// Writes a file that only this user can read. The folder must exist: that of a deleted conversation is
    /// not made again.
    ///
    /// # Errors
    /// As the file system reports them.
    pub fn write_private(&self, name: &str, text: &str) -> io::Result<()> {
        files::write_private(&self.path(name), text)
    }

    /// Adds to a file, and makes it where it is missing. One that would become longer than `limit` gets the
    /// ending `.old` first, in the place of an earlier one.
    ///
    /// # Errors
    /// As the file system reports them.
    pub fn append_bounded(&self, name: &str, bytes: &[u8], limit: u64) -> io::Result<()> {
        let path = self.path(name);
        make_parent(&path)?;
        let length = fs::metadata(&path).map_or(0, |file| file.len());
        if length > 0 && length + bytes.len() as u64 > limit {
            fs::rename(&path, self.path(format!("{name}.old")))?;
        }
        files::append(&path, bytes)
    }

    /// Reads a text file and removes it. `None` when there is no such file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn take(&self, name: &str) -> io::Result<Option<String>> {
        let path = self.path(name);
        match fs::read_to_string(&path) {
            Ok(text) => {
                fs::remove_file(&path).ok();
                Ok(Some(text))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn make_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => fs::create_dir_all(folder),
        None => Ok(()),
    }
}
