use std::{
    fs::{self, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use crate::files;

/// A private folder below the one for temporary files, with one file; removed when it is dropped.
#[derive(Debug)]
pub struct ScratchFolder {
    folder: PathBuf,
    file: PathBuf,
    /// Shows [`ScratchFolder::sweep`] that the folder is in use; a killed server releases it too.
    _lock: File,
}

impl ScratchFolder {
    /// Makes the folder `name` in `temp`, with the place for the file `file`.
    ///
    /// # Errors
    /// As the file system reports them.
    pub fn create(temp: &Path, name: &str, file: &str) -> io::Result<Self> {
        let folder = temp.join(name);
        fs::DirBuilder::new().mode(0o700).create(&folder)?;
        let lock = File::open(&folder)?;
        // where there are no locks, nothing is swept; after a sweep that was faster, `write` makes the
        // folder again
        lock.try_lock_shared().ok();
        Ok(Self {
            file: folder.join(file),
            folder,
            _lock: lock,
        })
    }

    /// Removes the folders whose names start with `prefix` that killed servers left in `temp`.
    pub fn sweep(temp: &Path, prefix: &str) {
        for entry in fs::read_dir(temp).into_iter().flatten().flatten() {
            let named = entry
                .file_name()
                .to_str()
                .is_some_and(|name| name.starts_with(prefix));
            if !named || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let unused = File::open(entry.path()).is_ok_and(|folder| folder.try_lock().is_ok());
            if unused {
                fs::remove_dir_all(entry.path()).ok();
            }
        }
    }

    /// The path of the file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Writes the file.
    ///
    /// # Errors
    /// As the file system reports them.
    pub fn write(&self, text: &str) -> io::Result<()> {
        // a command may have emptied the folder for temporary files
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)?;
        files::write_private(&self.file, text)
    }

    /// Removes the file, if it exists.
    pub fn clear(&self) {
        fs::remove_file(&self.file).ok();
    }
}

impl Drop for ScratchFolder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).ok();
    }
}
