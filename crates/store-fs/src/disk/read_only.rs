use std::{ffi::OsString, io, ops::Range, path::Path, sync::Arc};

use super::ports::{Disk, DiskFile, Open};

/// Lets nothing be changed on the disk below it, as a file system that is mounted read-only.
pub(crate) struct ReadOnly(pub(crate) Arc<dyn Disk>);

impl Disk for ReadOnly {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        match how {
            Open::Read => Ok(Arc::new(ReadOnlyFile(self.0.open(path, how)?))),
            Open::Write | Open::Make | Open::MakeNew => Err(read_only()),
        }
    }

    fn create_dir(&self, _path: &Path) -> io::Result<()> {
        Err(read_only())
    }

    fn copy(&self, _from: &Path, _len: u64, _to: &Path) -> io::Result<()> {
        Err(read_only())
    }

    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        Err(read_only())
    }

    fn remove_file(&self, _path: &Path) -> io::Result<()> {
        Err(read_only())
    }

    fn remove_dir_all(&self, _path: &Path) -> io::Result<()> {
        Err(read_only())
    }

    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        Err(read_only())
    }

    fn names(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.0.names(path)
    }

    fn changed_at(&self, path: &Path) -> io::Result<i128> {
        self.0.changed_at(path)
    }

    fn exists(&self, path: &Path) -> bool {
        self.0.exists(path)
    }

    fn is_dir(&self, path: &Path) -> bool {
        self.0.is_dir(path)
    }

    fn size(&self, path: &Path) -> io::Result<u64> {
        self.0.size(path)
    }
}

struct ReadOnlyFile(Arc<dyn DiskFile>);

impl DiskFile for ReadOnlyFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.0.read_at(buffer, at)
    }

    fn read_now(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.0.read_now(buffer, at)
    }

    fn write_at(&self, _bytes: &[u8], _at: u64) -> io::Result<usize> {
        Err(read_only())
    }

    fn set_len(&self, _len: u64) -> io::Result<()> {
        Err(read_only())
    }

    fn sync(&self) -> io::Result<()> {
        Err(read_only())
    }

    fn start_writeout(&self, _range: Range<u64>) {}
}

fn read_only() -> io::Error {
    io::ErrorKind::ReadOnlyFilesystem.into()
}
