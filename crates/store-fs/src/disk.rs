//! What the store asks of a file system, so that tests can put one under it that fails and loses
//! power.

use std::{
    ffi::OsString,
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    ops::Range,
    os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt},
    path::Path,
    sync::Arc,
};

use rustix::{
    fs::{Advice, fadvise},
    io::{Errno, ReadWriteFlags, preadv2},
};

use crate::regular_file;

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
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Makes the entries of a folder durable: files made, renamed or removed in it.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    fn names(&self, path: &Path) -> io::Result<Vec<OsString>>;
    /// Hands over the names in a folder one by one, for folders of many.
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

/// The file system of the machine.
pub(crate) struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .mode(0o600)
            .custom_flags(regular_file::WITHOUT_WAITING.bits() as i32);
        match how {
            Open::Read => &mut options,
            Open::Write => options.write(true),
            Open::Make => options.write(true).create(true).truncate(false),
            Open::MakeNew => options.write(true).create_new(true),
        };
        // Links may lead to files on other disks, but not to what never ends.
        let file = regular_file::check(options.open(path))?;
        Ok(Arc::new(RealFile(file)))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn names(&self, path: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(path)?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect()
    }

    fn each_name(&self, path: &Path, take: &mut dyn FnMut(OsString)) -> io::Result<()> {
        for entry in fs::read_dir(path)? {
            take(entry?.file_name());
        }
        Ok(())
    }

    fn changed_at(&self, path: &Path) -> io::Result<i128> {
        let metadata = fs::metadata(path)?;
        Ok(i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec()))
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn is_dir(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn size(&self, path: &Path) -> io::Result<u64> {
        fs::metadata(path).map(|metadata| metadata.len())
    }
}

struct RealFile(File);

impl DiskFile for RealFile {
    fn len(&self) -> io::Result<u64> {
        self.0.metadata().map(|metadata| metadata.len())
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        FileExt::read_at(&self.0, buffer, at)
    }

    fn read_now(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let mut buffers = [io::IoSliceMut::new(buffer)];
        match preadv2(&self.0, &mut buffers, at, ReadWriteFlags::NOWAIT) {
            Ok(read) => Ok(read),
            // Not every file system can tell, which comes to the same.
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                Err(io::ErrorKind::WouldBlock.into())
            }
            Err(errno) => Err(errno.into()),
        }
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        FileExt::write_at(&self.0, bytes, at)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn start_writeout(&self, range: Range<u64>) {
        // Linux starts to write dirty pages before it drops the clean ones of the range; those that
        // are only partly in it stay anyway.
        let len = std::num::NonZeroU64::new(range.end - range.start);
        fadvise(&self.0, range.start, len, Advice::DontNeed).ok();
    }
}
