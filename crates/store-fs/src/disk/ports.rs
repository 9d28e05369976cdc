use std::{ffi::OsString, io, ops::Range, path::Path, sync::Arc};

/// How a file is opened; files that are made are their owner's alone (0600).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Open {
    Read,
    /// An existing one, to read and write.
    Write,
    /// To read and write; made if it is missing.
    Make,
    /// To read and write; an existing one is an error.
    MakeNew,
}

/// Files and folders. Nothing is durable before it is synced, names of files in their folder
/// included.
pub(crate) trait Disk: Send + Sync {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>>;
    /// Makes a folder that only its owner may enter (0700).
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes the file `to` out of the first `len` bytes of `from`. A file system that can shares them.
    fn copy(&self, from: &Path, len: u64, to: &Path) -> io::Result<()>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Makes the entries of a folder durable: files made, renamed or removed in it.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    fn names(&self, path: &Path) -> io::Result<Vec<OsString>>;
    /// Passes the names in a folder one by one: a folder may have many.
    fn each_name(&self, path: &Path, take: &mut dyn FnMut(OsString)) -> io::Result<()> {
        self.names(path)?.into_iter().for_each(take);
        Ok(())
    }
    /// When a file's contents or state were last changed, by the file system's clock (nanoseconds
    /// since the epoch); nobody can set that back.
    fn changed_at(&self, _path: &Path) -> io::Result<i128> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn exists(&self, path: &Path) -> bool;
    fn is_dir(&self, path: &Path) -> bool;
    /// A file's size in bytes.
    fn size(&self, path: &Path) -> io::Result<u64>;
}

/// An open file, read and written at positions.
pub(crate) trait DiskFile: Send + Sync {
    fn len(&self) -> io::Result<u64>;
    /// Reads at least one byte, or none at the end of the file.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize>;
    /// As [`Self::read_at`], but `WouldBlock` when the bytes are not in memory.
    fn read_now(&self, buffer: &mut [u8], at: u64) -> io::Result<usize>;
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize>;
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes the contents durable.
    fn sync(&self) -> io::Result<()>;
    /// Lets written bytes begin their way to the disk; a hint.
    fn start_writeout(&self, range: Range<u64>);
}

/// Whether a read may wait for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    Yes,
    No,
}
