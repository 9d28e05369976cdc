use std::{io, path::PathBuf, sync::Arc};

use super::line::Line;
use crate::{
    disk::{Disk, DiskFile, Open, Wait, read_exact, write_all},
    meta::replace,
};

/// Read at a time.
const CHUNK: usize = 256 * 1024;

/// One file of whole lines.
pub(super) struct Segment {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    end: u64,
    /// A write failed: there may be bytes after the end.
    torn: bool,
}

impl Segment {
    pub(super) fn make(disk: &dyn Disk, path: PathBuf) -> io::Result<Self> {
        let file = disk.open(&path, Open::Make)?;
        Ok(Self {
            file,
            path,
            end: 0,
            torn: true,
        })
    }

    /// Tells `each` line with its offset and length, cuts off one that a crash left unfinished, and
    /// makes sure that all of it is on disk, for what follows relies on it.
    pub(super) fn load(
        disk: &dyn Disk,
        path: PathBuf,
        mut each: impl FnMut(&Line, u64, u32),
    ) -> io::Result<Self> {
        let file = disk.open(&path, Open::Write)?;
        let size = file.len()?;
        let mut end = 0;
        let mut text = Vec::new();
        let mut read = 0;
        while read < size {
            let from = text.len();
            let more = (CHUNK as u64).min(size - read);
            text.resize(from + more as usize, 0);
            read_exact(file.as_ref(), &mut text[from..], read, Wait::Yes)?;
            read += more;
            let mut done = 0;
            while let Some(len) = memchr::memchr(b'\n', &text[done..]) {
                // Read as a whole, for it has to be whole when it is wanted.
                match serde_json::from_slice::<Line>(&text[done..done + len]) {
                    Ok(line) => each(&line, end, (len + 1) as u32),
                    Err(error) => {
                        tracing::warn!(path = %path.display(), offset = end, %error, "no receipt, passed over");
                    }
                }
                done += len + 1;
                end += len as u64 + 1;
            }
            text.drain(..done);
        }
        if end < size {
            file.set_len(end)?;
        }
        file.sync()?;
        Ok(Self {
            file,
            path,
            end,
            torn: false,
        })
    }

    pub(super) fn file(&self) -> Arc<dyn DiskFile> {
        Arc::clone(&self.file)
    }

    /// Where the line stands, and how long it is.
    pub(super) fn append(&mut self, line: &Line) -> io::Result<(u64, u32)> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        if self.torn {
            self.file.set_len(self.end)?;
            self.torn = false;
        }
        if let Err(error) = write_all(self.file.as_ref(), &text, self.end) {
            self.torn = true;
            return Err(error);
        }
        let place = (self.end, text.len() as u32);
        self.end += text.len() as u64;
        Ok(place)
    }

    pub(super) fn line(&self, offset: u64, len: u32) -> io::Result<Line> {
        let mut text = vec![0; len as usize];
        read_exact(self.file.as_ref(), &mut text, offset, Wait::Yes)?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// Puts a synced copy of its good lines in its place: after a sync that failed, another one of the
    /// same file proves nothing, and what it holds may not be what was written. It is to be loaded anew.
    pub(super) fn renew(&self, disk: &dyn Disk) -> io::Result<()> {
        let len = self.end.min(self.file.len()?);
        let mut text = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
        read_exact(self.file.as_ref(), &mut text, 0, Wait::Yes)?;
        let is_good = |line: &&[u8]| {
            let line = line.strip_suffix(b"\n");
            line.is_some_and(|line| serde_json::from_slice::<Line>(line).is_ok())
        };
        let lines = text.split_inclusive(|byte| *byte == b'\n');
        let good: Vec<u8> = lines.filter(is_good).flatten().copied().collect();
        replace(disk, &self.path, &good)
    }
}
