use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use core_model::{Record, Seq};

use crate::{ReadError, head::LineHead, layout};

const BUFFER: usize = 256 * 1024;

/// A log, event by event, in plain blocking code: for tools. It takes no lock and changes nothing,
/// so it may read while a server writes; it then sees what has reached the file so far, which may
/// be a little more than the server has called durable.
///
/// A damaged line comes as [`ReadError::Damaged`], and reading goes on after it. An unfinished last
/// line comes as [`ReadError::Torn`], and an I/O error as [`ReadError::Io`]; these two end the
/// iteration.
pub struct LogReader {
    path: PathBuf,
    lines: Lines<File>,
    next: Seq,
    done: bool,
}

impl LogReader {
    /// Opens a log by its `events.jsonl` or by its conversation's folder.
    ///
    /// # Errors
    /// [`ReadError::Io`] when the file cannot be opened.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ReadError> {
        let mut path = path.as_ref().to_owned();
        if path.is_dir() {
            path.push(layout::EVENTS);
        }
        match File::open(&path) {
            Ok(file) => Ok(Self {
                path,
                lines: Lines::new(file),
                next: Seq(0),
                done: false,
            }),
            Err(source) => Err(ReadError::Io { path, source }),
        }
    }

    fn read(&mut self) -> Result<Option<Record>, ReadError> {
        let seq = self.next;
        let path = &self.path;
        let line = match self.lines.next() {
            Ok(Some(line)) => line,
            Ok(None) => return Ok(None),
            Err(source) => {
                self.done = true;
                return Err(ReadError::Io {
                    path: path.clone(),
                    source,
                });
            }
        };
        if !line.complete {
            self.done = true;
            return Err(ReadError::Torn {
                path: path.clone(),
                seq,
                offset: line.offset,
                bytes: line.bytes.to_owned(),
            });
        }
        self.next = seq.after(1);
        match LineHead::parse(line.bytes) {
            Ok(head) => Ok(Some(Record {
                seq,
                head: head.to_head(),
                bytes: line.bytes.to_owned().into(),
            })),
            Err(reason) => Err(ReadError::Damaged {
                path: path.clone(),
                seq,
                offset: line.offset,
                reason,
            }),
        }
    }
}

impl Iterator for LogReader {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let item = self.read().transpose();
        self.done |= item.is_none();
        item
    }
}

/// A file's lines, one buffer for all of them.
pub(crate) struct Lines<R> {
    input: BufReader<R>,
    offset: u64,
    line: Vec<u8>,
}

/// One line without its line break; only a last line can lack one.
pub(crate) struct RawLine<'a> {
    pub(crate) offset: u64,
    pub(crate) bytes: &'a [u8],
    pub(crate) complete: bool,
}

impl<R: io::Read> Lines<R> {
    pub(crate) fn new(input: R) -> Self {
        Self {
            input: BufReader::with_capacity(BUFFER, input),
            offset: 0,
            line: Vec::new(),
        }
    }

    pub(crate) fn next(&mut self) -> io::Result<Option<RawLine<'_>>> {
        self.line.clear();
        let read = self.input.read_until(b'\n', &mut self.line)?;
        if read == 0 {
            return Ok(None);
        }
        let offset = self.offset;
        self.offset += read as u64;
        let complete = self.line.last() == Some(&b'\n');
        if complete {
            self.line.pop();
        }
        Ok(Some(RawLine {
            offset,
            bytes: &self.line,
            complete,
        }))
    }
}
