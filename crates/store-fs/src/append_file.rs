//! A file that grows at its end only: receipts, the feed, and what is noted about followers.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    disk::{Disk, DiskFile, Open, Wait, read_exact, write_all},
    meta::replace,
};

/// Read at a time.
const CHUNK: usize = 256 * 1024;

/// An open file, and where it ends. What a failed write left after the end is cut off before anything
/// else is written, so that a file of lines never has half a line in its middle.
pub(crate) struct AppendFile {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    end: u64,
    /// There may be bytes after the end.
    torn: bool,
}

impl AppendFile {
    /// A file whose content up to `end` is known.
    pub(crate) fn new(file: Arc<dyn DiskFile>, path: &Path, end: u64) -> Self {
        Self {
            file,
            path: path.to_owned(),
            end,
            torn: false,
        }
    }

    /// An empty file; one that is there is emptied.
    pub(crate) fn create(disk: &dyn Disk, path: &Path) -> io::Result<Self> {
        let file = disk.open(path, Open::Make)?;
        Ok(Self {
            torn: true,
            ..Self::new(file, path, 0)
        })
    }

    /// Opens a file of lines: passes each whole one, without its line break, and its offset to `each`, cuts
    /// off one that a crash left unfinished, and makes sure that all of it is on disk.
    pub(crate) fn open_lines(
        disk: &dyn Disk,
        path: &Path,
        each: impl FnMut(&[u8], u64),
    ) -> io::Result<Self> {
        let file = disk.open(path, Open::Write)?;
        let size = file.len()?;
        let end = read_lines(file.as_ref(), size, each)?;
        if end < size {
            file.set_len(end)?;
        }
        file.sync()?;
        Ok(Self::new(file, path, end))
    }

    /// The open file, to be read or synced by others.
    pub(crate) fn file(&self) -> Arc<dyn DiskFile> {
        Arc::clone(&self.file)
    }

    /// Adds bytes, and returns where they begin. A failed call adds nothing.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<u64> {
        self.cut()?;
        let at = self.end;
        self.torn = true;
        write_all(self.file.as_ref(), bytes, at)?;
        self.torn = false;
        self.end += bytes.len() as u64;
        Ok(at)
    }

    /// [`Self::append`], durable when this returns. A failed call, of the sync too, adds nothing.
    pub(crate) fn append_durably(&mut self, bytes: &[u8]) -> io::Result<()> {
        let at = self.append(bytes)?;
        let synced = self.file.sync();
        if synced.is_err() {
            (self.end, self.torn) = (at, true);
        }
        synced
    }

    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Makes all of it durable, and nothing of what was refused.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.cut()?;
        self.file.sync()
    }

    pub(crate) fn read(&self, at: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        read_exact(self.file.as_ref(), &mut bytes, at, Wait::Yes)?;
        Ok(bytes)
    }

    /// Replaces the file with a synced copy of its good lines: after a failed sync another one of the same
    /// file proves nothing, and the file may not hold what was written. It has to be opened again.
    pub(crate) fn renew_lines(
        &self,
        disk: &dyn Disk,
        is_good: impl Fn(&[u8]) -> bool,
    ) -> io::Result<()> {
        let size = self.end.min(self.file.len()?);
        let mut good = Vec::new();
        read_lines(self.file.as_ref(), size, |line, _| {
            if is_good(line) {
                good.extend_from_slice(line);
                good.push(b'\n');
            }
        })?;
        replace(disk, &self.path, &good)
    }

    /// Takes off what a failed write left.
    fn cut(&mut self) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.end)?;
            self.torn = false;
        }
        Ok(())
    }
}

/// Passes the whole lines of the first `size` bytes to `each`; returns where the last one ends.
fn read_lines(file: &dyn DiskFile, size: u64, mut each: impl FnMut(&[u8], u64)) -> io::Result<u64> {
    let (mut text, mut read, mut end) = (Vec::new(), 0, 0);
    while read < size {
        let from = text.len();
        let more = (CHUNK as u64).min(size - read);
        text.resize(from + more as usize, 0);
        read_exact(file, &mut text[from..], read, Wait::Yes)?;
        read += more;
        let mut done = 0;
        while let Some(len) = memchr::memchr(b'\n', &text[done..]) {
            each(&text[done..done + len], end);
            done += len + 1;
            end += len as u64 + 1;
        }
        text.drain(..done);
    }
    Ok(end)
}
