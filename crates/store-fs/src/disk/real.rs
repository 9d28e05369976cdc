use std::{
    ffi::OsString,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read},
    ops::Range,
    os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt},
    path::Path,
    sync::Arc,
};

use rustix::{
    fs::{Advice, fadvise, ioctl_ficlone},
    io::{Errno, ReadWriteFlags, preadv2},
};

use super::ports::{Disk, DiskFile, Open};
use crate::regular_file;

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

    fn copy(&self, from: &Path, len: u64, to: &Path) -> io::Result<()> {
        let open = |path: &Path, options: &mut OpenOptions| {
            let flags = regular_file::WITHOUT_WAITING.bits() as i32;
            regular_file::check(options.custom_flags(flags).open(path))
        };
        let from = open(from, OpenOptions::new().read(true))?;
        let mut new = OpenOptions::new();
        let mut to = open(to, new.write(true).create_new(true).mode(0o600))?;
        if ioctl_ficlone(&to, &from).is_ok() {
            // It has what was appended since, too.
            return to.set_len(len);
        }
        // Most file systems cannot. This lets the kernel copy, where it can.
        let copied = io::copy(&mut from.take(len), &mut to)?;
        if copied < len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
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
