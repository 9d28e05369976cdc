//! A disk on which a test decides what works.

use std::{
    ffi::OsString,
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use crate::{
    disk::{Disk, DiskFile, Open, RealDisk},
    error::lock,
};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Open,
    Sync,
    SyncDir,
}

type Hook = Arc<dyn Fn(Op, &Path) -> io::Result<()> + Send + Sync>;

/// The real disk, where a test has a say first.
#[derive(Default)]
pub(super) struct FailingDisk(Arc<Mutex<Option<Hook>>>);

struct FailingFile(Arc<dyn DiskFile>, PathBuf, Arc<Mutex<Option<Hook>>>);

fn ask(hook: &Mutex<Option<Hook>>, op: Op, path: &Path) -> io::Result<()> {
    let hook = lock(hook).clone();
    hook.map_or(Ok(()), |hook| hook(op, path))
}

impl FailingDisk {
    pub(super) fn before(
        &self,
        hook: impl Fn(Op, &Path) -> io::Result<()> + Send + Sync + 'static,
    ) {
        *lock(&self.0) = Some(Arc::new(hook));
    }

    pub(super) fn works(&self) {
        *lock(&self.0) = None;
    }
}

impl Disk for FailingDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        ask(&self.0, Op::Open, path)?;
        let file = RealDisk.open(path, how)?;
        Ok(Arc::new(FailingFile(
            file,
            path.to_owned(),
            Arc::clone(&self.0),
        )))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_dir(path)
    }

    fn copy(&self, from: &Path, len: u64, to: &Path) -> io::Result<()> {
        RealDisk.copy(from, len, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        ask(&self.0, Op::SyncDir, path)?;
        RealDisk.sync_dir(path)
    }

    fn names(&self, path: &Path) -> io::Result<Vec<OsString>> {
        RealDisk.names(path)
    }

    fn changed_at(&self, path: &Path) -> io::Result<i128> {
        RealDisk.changed_at(path)
    }

    fn exists(&self, path: &Path) -> bool {
        RealDisk.exists(path)
    }

    fn is_dir(&self, path: &Path) -> bool {
        RealDisk.is_dir(path)
    }

    fn size(&self, path: &Path) -> io::Result<u64> {
        RealDisk.size(path)
    }
}

impl DiskFile for FailingFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.0.read_at(buffer, at)
    }

    fn read_now(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.0.read_at(buffer, at)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        self.0.write_at(bytes, at)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        ask(&self.2, Op::Sync, &self.1)?;
        self.0.sync()
    }

    fn start_writeout(&self, range: Range<u64>) {
        self.0.start_writeout(range);
    }
}
