use std::{fs::File, io, ops::Range, os::unix::fs::FileExt};

use memchr::memchr;

/// How much is read at a time.
const CHUNK: usize = 256 * 1024;

/// A stretch of a file in memory.
#[derive(Default)]
pub(super) struct Window {
    start: u64,
    bytes: Vec<u8>,
}

/// One line without its line break; only a last line can lack one.
pub(super) struct RawLine<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) complete: bool,
}

impl Window {
    /// The line that starts at `offset`; none at the end of the file.
    pub(super) fn line(&mut self, file: &File, offset: u64) -> io::Result<Option<RawLine<'_>>> {
        if (self.start..self.end()).contains(&offset) {
            let from = (offset - self.start) as usize;
            if let Some(at) = memchr(b'\n', &self.bytes[from..]) {
                return Ok(Some(RawLine {
                    bytes: &self.bytes[from..from + at],
                    complete: true,
                }));
            }
        }
        // From its start: a beginning that was read earlier may have been cut off and rewritten.
        self.forget();
        self.start = offset;
        loop {
            let searched = self.bytes.len();
            let more = self.read_on(file)?;
            if let Some(at) = memchr(b'\n', &self.bytes[searched..]) {
                return Ok(Some(RawLine {
                    bytes: &self.bytes[..searched + at],
                    complete: true,
                }));
            }
            if !more {
                return Ok((searched > 0).then_some(RawLine {
                    bytes: &self.bytes,
                    complete: false,
                }));
            }
        }
    }

    /// These bytes, with as many as fit before them.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file ends before they do.
    pub(super) fn back_from(&mut self, file: &File, range: Range<u64>) -> io::Result<&[u8]> {
        if range.start < self.start || range.end > self.end() {
            let start = range.start.min(range.end.saturating_sub(CHUNK as u64));
            self.forget();
            self.start = start;
            let mut bytes = vec![0; (range.end - start) as usize];
            file.read_exact_at(&mut bytes, start)?;
            self.bytes = bytes;
        }
        let from = (range.start - self.start) as usize;
        Ok(&self.bytes[from..from + (range.end - range.start) as usize])
    }

    /// Has everything read again.
    pub(super) fn forget(&mut self) {
        self.bytes.clear();
    }

    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// Whether there was more. A line longer than a chunk makes the next reads larger.
    fn read_on(&mut self, file: &File) -> io::Result<bool> {
        let known = self.bytes.len();
        let end = self.end();
        self.bytes.resize(known + CHUNK.max(known), 0);
        let read = loop {
            match file.read_at(&mut self.bytes[known..], end) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.bytes.truncate(known + *read.as_ref().unwrap_or(&0));
        Ok(read? > 0)
    }
}
