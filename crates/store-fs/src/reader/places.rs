use std::{fs::File, io, ops::Range, os::unix::fs::FileExt, path::Path};

use core_model::{ConversationId, Seq};
use memchr::memchr_iter;

use crate::{
    disk::{Open, RealDisk, Wait},
    entry::Entry,
    index::Index,
    layout,
    verify::conversation,
};

/// Entries read at a time.
const STRIDE: u64 = 1024;
/// How much of the log is read at a time where the index does not tell.
const CHUNK: usize = 1 << 20;

/// Where the lines of a log stand: told by `events.idx` as far as that fits the log, and by the log's
/// line breaks from there on.
pub(super) struct Places {
    /// None where there is no index, or one that turned out wrong.
    index: Option<Index>,
    /// How many lines it tells, and where the last of them ends.
    indexed: Start,
    /// Entries of the index, the first being that of line `stride_from`.
    stride: Vec<Entry>,
    stride_from: u64,
    /// Where the lines after `scanned_from` end, their line breaks included.
    scanned_from: Start,
    ends: Vec<u64>,
}

/// A line, and the byte it starts at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Start {
    seq: u64,
    offset: u64,
}

impl Places {
    /// Whatever keeps the index from being read, the log itself will do.
    pub(super) fn of(log: &Path, file: &File) -> Self {
        let found = log.canonicalize().ok().and_then(|log| {
            let folder = log.parent()?;
            let id = conversation(folder).ok()?;
            fitting(folder, id, file)
        });
        let (index, indexed) = found.unzip();
        let indexed = indexed.unwrap_or_default();
        Self {
            index,
            indexed,
            stride: Vec::new(),
            stride_from: 0,
            scanned_from: indexed,
            ends: Vec::new(),
        }
    }

    /// What the index says of a line.
    pub(super) fn entry(&mut self, seq: Seq) -> Option<Entry> {
        if seq.0 >= self.indexed.seq {
            return None;
        }
        let at = |from: u64| seq.0.checked_sub(from).map(|at| at as usize);
        let known = at(self.stride_from).and_then(|at| self.stride.get(at));
        if let Some(entry) = known {
            return Some(*entry);
        }
        let from = seq.0 - seq.0 % STRIDE;
        let count = STRIDE.min(self.indexed.seq - from);
        let stride = self.index.as_ref()?.read(from, count as usize, Wait::Yes);
        let Ok(stride) = stride else {
            self.distrust();
            return None;
        };
        self.stride = stride;
        self.stride_from = from;
        self.stride.get((seq.0 - from) as usize).copied()
    }

    /// Does without the index: it does not say what the log says.
    pub(super) fn distrust(&mut self) {
        self.index = None;
        self.indexed = Start::default();
        self.scanned_from = Start::default();
        self.stride.clear();
        self.ends.clear();
    }

    /// Whether the index is made use of.
    pub(super) fn are_indexed(&self) -> bool {
        self.index.is_some()
    }

    /// How many whole lines there are now.
    pub(super) fn len(&mut self, file: &File) -> io::Result<Seq> {
        self.scan(file)?;
        Ok(Seq(self.scanned_from.seq + self.ends.len() as u64))
    }

    /// Where the last whole line known of ends.
    pub(super) fn end(&self) -> u64 {
        self.ends
            .last()
            .map_or(self.scanned_from.offset, |end| *end)
    }

    /// The bytes of a line among the first [`Self::len`], its line break included.
    ///
    /// # Errors
    /// `UnexpectedEof` when the log has become shorter.
    pub(super) fn line(&mut self, file: &File, seq: Seq) -> io::Result<Range<u64>> {
        if let Some(entry) = self.entry(seq) {
            return Ok(entry.offset..entry.end());
        }
        // The index may just have turned out wrong.
        self.scan(file)?;
        let gone = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let at = seq.0.checked_sub(self.scanned_from.seq).ok_or_else(gone)? as usize;
        let end = *self.ends.get(at).ok_or_else(gone)?;
        let start = match at.checked_sub(1) {
            Some(before) => self.ends[before],
            None => self.scanned_from.offset,
        };
        Ok(start..end)
    }

    /// Looks for line breaks up to the end of the file.
    fn scan(&mut self, file: &File) -> io::Result<()> {
        let size = file.metadata()?.len();
        if size < self.end() {
            // Cut back: all that was known may be wrong.
            self.distrust();
        }
        let mut at = self.end();
        let mut chunk = vec![0; CHUNK.min((size - at) as usize)];
        while at < size {
            let read = match file.read_at(&mut chunk, at) {
                Ok(0) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            let breaks = memchr_iter(b'\n', &chunk[..read]);
            self.ends.extend(breaks.map(|feed| at + feed as u64 + 1));
            at += read as u64;
        }
        Ok(())
    }
}

/// A log's index, and how far it fits the log.
fn fitting(folder: &Path, id: ConversationId, log: &File) -> Option<(Index, Start)> {
    let path = folder.join(layout::INDEX);
    let (index, seq) = Index::open(&RealDisk, &path, id, Open::Read).ok()??;
    let last = seq.checked_sub(1)?;
    let starts = index.entry(0, Wait::Yes).ok()?.offset == 0;
    let entry = index.entry(last, Wait::Yes).ok()?;
    let offset = entry.end();
    let breaks = |end: u64| {
        let mut byte = [0];
        let read = end
            .checked_sub(1)
            .map(|at| log.read_exact_at(&mut byte, at));
        read.is_none_or(|read| read.is_ok() && byte == *b"\n")
    };
    (starts && breaks(entry.offset) && breaks(offset)).then_some((index, Start { seq, offset }))
}
