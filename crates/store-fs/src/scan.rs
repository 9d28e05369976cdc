//! Reads a log from some line on and makes the index entries of what it finds.

use std::io;

use core_model::LineHead;
use memchr::memchr;

use crate::{
    disk::{DiskFile, Wait, read_exact},
    entry::Entry,
    index::Index,
};

/// How much is read at a time.
const CHUNK: usize = 1 << 20;
/// A longer line is not an event, and is not held in memory.
pub(crate) const LONGEST: usize = 256 << 20;
/// Entries handed over, and old ones read, at a time.
const STRIDE: usize = 4096;

/// A line and what there is to say of it.
pub(crate) struct Found {
    pub(crate) entry: Entry,
    /// The entry is the old one, which may know of the line what the line no longer tells.
    pub(crate) known: bool,
    /// Why the line is not the event that was written, or none at all.
    pub(crate) damage: Option<String>,
}

/// What became of a scan.
pub(crate) struct Scanned {
    /// Where the last whole line ends.
    pub(crate) end: u64,
    /// Bytes after that: a line without its line break.
    pub(crate) torn: u64,
    /// Lines that are not what was written: how many, and the first one's number and what is wrong
    /// with it.
    pub(crate) damaged: u64,
    pub(crate) first_damaged: Option<(u64, String)>,
}

/// From where a log is scanned: where line `seq` begins, and the time of the event before it.
#[derive(Clone, Copy)]
pub(crate) struct Start {
    pub(crate) offset: u64,
    pub(crate) seq: u64,
    pub(crate) micros: i64,
}

impl Start {
    pub(crate) const ZERO: Self = Self {
        offset: 0,
        seq: 0,
        micros: i64::MIN,
    };
}

/// Scans up to `size` and hands over what it finds in stretches. An entry of an `old` index is believed
/// where it fits its place: it knows where its line ends and what it said, even if a line break or a
/// byte was damaged since.
///
/// # Errors
/// When the log cannot be read, or has a line of over 4 GiB, which no entry can tell of.
pub(crate) fn scan(
    file: &dyn DiskFile,
    start: Start,
    size: u64,
    old: Option<&Index>,
    mut take: impl FnMut(&[Found]) -> io::Result<()>,
) -> io::Result<Scanned> {
    let mut window = Window::new(file, start.offset, size);
    let mut old = Old::new(old);
    let mut scanned = Scanned {
        end: start.offset,
        torn: 0,
        damaged: 0,
        first_damaged: None,
    };
    let (mut seq, mut micros) = (start.seq, start.micros);
    let mut stretch = Vec::with_capacity(STRIDE);
    loop {
        let place = window.place();
        let hint = old.entry(seq).filter(|entry| entry.offset == place);
        let found = match hint {
            Some(entry) if window.fits(&entry)? => {
                let line = window.take(entry.len as usize);
                known(entry, line)
            }
            Some(_) | None => match window.line()? {
                Line::Whole(len) => fresh(place, window.take(len), micros),
                Line::Long { len, crc } => too_long(place, len, crc, micros)?,
                Line::Torn(bytes) => {
                    scanned.torn = bytes;
                    break;
                }
            },
        };
        if let Some(reason) = &found.damage {
            scanned.damaged += 1;
            scanned
                .first_damaged
                .get_or_insert_with(|| (seq, reason.clone()));
        }
        micros = found.entry.micros;
        scanned.end = found.entry.end();
        seq += 1;
        stretch.push(found);
        if stretch.len() == STRIDE {
            take(&stretch)?;
            stretch.clear();
        }
    }
    take(&stretch)?;
    Ok(scanned)
}

/// A line that an index has told of before.
fn known(entry: Entry, line: &[u8]) -> Found {
    let sound = crc32c::crc32c(line) == entry.crc;
    match entry.is_damaged() {
        // It may have been put right by hand.
        true => fresh(entry.offset, line, entry.micros),
        false => Found {
            entry,
            known: true,
            damage: (!sound).then(|| "its checksum does not match".to_owned()),
        },
    }
}

fn fresh(place: u64, line: &[u8], micros: i64) -> Found {
    let (entry, damage) = match LineHead::parse(line) {
        Ok(head) => (Entry::new(place, line, &head), None),
        Err(reason) => (Entry::damaged(place, line, micros), Some(reason)),
    };
    Found {
        entry,
        known: false,
        damage,
    }
}

fn too_long(place: u64, len: u64, crc: u32, micros: i64) -> io::Result<Found> {
    let told = u32::try_from(len)
        .map_err(|_| io::Error::other(format!("the line at byte {place} is over 4 GiB long")))?;
    Ok(Found {
        entry: Entry::damaged(place, b"", micros).spanning(told, crc),
        known: false,
        damage: Some(format!("it is longer than {LONGEST} bytes")),
    })
}

/// What comes next in a log.
enum Line {
    /// That many bytes of the window, and a line break.
    Whole(usize),
    /// One that was passed over without being kept.
    Long { len: u64, crc: u32 },
    /// That many bytes without a line break.
    Torn(u64),
}

/// The part of a log that is in memory.
struct Window<'a> {
    file: &'a dyn DiskFile,
    size: u64,
    /// The first byte of `buffer` in the file.
    offset: u64,
    buffer: Vec<u8>,
    /// What of the buffer was taken already.
    taken: usize,
}

impl<'a> Window<'a> {
    fn new(file: &'a dyn DiskFile, offset: u64, size: u64) -> Self {
        Self {
            file,
            size,
            offset,
            buffer: Vec::new(),
            taken: 0,
        }
    }

    fn place(&self) -> u64 {
        self.offset + self.taken as u64
    }

    /// Whether the line that an entry tells of is here, and ends or says as it tells.
    fn fits(&mut self, entry: &Entry) -> io::Result<bool> {
        let len = entry.len as usize;
        if entry.end() > self.size || len > LONGEST {
            return Ok(false);
        }
        while self.buffer.len() - self.taken <= len {
            self.more()?;
        }
        let rest = &self.buffer[self.taken..];
        let line = &rest[..len];
        Ok(rest[len] == b'\n' || crc32c::crc32c(line) == entry.crc)
    }

    /// The next line; its bytes are then to be taken.
    fn line(&mut self) -> io::Result<Line> {
        let mut seen = 0;
        loop {
            let rest = &self.buffer[self.taken + seen..];
            if let Some(at) = memchr(b'\n', rest) {
                return Ok(Line::Whole(seen + at));
            }
            seen += rest.len();
            if self.place() + seen as u64 >= self.size {
                return Ok(Line::Torn(seen as u64));
            }
            if seen > LONGEST {
                return self.pass_over();
            }
            self.more()?;
        }
    }

    /// The next `len` bytes; a line break after them is done with too.
    fn take(&mut self, len: usize) -> &[u8] {
        let start = self.taken;
        self.taken += len + 1;
        &self.buffer[start..start + len]
    }

    /// Reads on behind what is here.
    fn more(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.taken);
        self.offset += self.taken as u64;
        self.taken = 0;
        let known = self.buffer.len();
        let at = self.offset + known as u64;
        // A line longer than a chunk makes the next reads larger.
        let wanted = CHUNK.max(known).min((self.size - at) as usize);
        self.buffer.resize(known + wanted, 0);
        read_exact(self.file, &mut self.buffer[known..], at, Wait::Yes)
    }

    /// Goes on behind the line break that ends what is here, without keeping what lies between.
    fn pass_over(&mut self) -> io::Result<Line> {
        let begin = self.place();
        let mut crc = crc32c::crc32c(&self.buffer[self.taken..]);
        loop {
            self.taken = self.buffer.len();
            if self.place() >= self.size {
                return Ok(Line::Torn(self.size - begin));
            }
            self.more()?;
            let Some(at) = memchr(b'\n', &self.buffer) else {
                crc = crc32c::crc32c_append(crc, &self.buffer);
                continue;
            };
            crc = crc32c::crc32c_append(crc, &self.buffer[..at]);
            self.taken = at + 1;
            let len = self.offset + at as u64 - begin;
            return Ok(Line::Long { len, crc });
        }
    }
}

/// The entries of an index that is looked at again, as far as they can be told.
struct Old<'a> {
    index: Option<&'a Index>,
    from: u64,
    entries: Vec<Option<Entry>>,
}

impl<'a> Old<'a> {
    fn new(index: Option<&'a Index>) -> Self {
        Self {
            index,
            from: 0,
            entries: Vec::new(),
        }
    }

    fn entry(&mut self, seq: u64) -> Option<Entry> {
        let index = self.index?;
        let here = self.from..self.from + self.entries.len() as u64;
        if !here.contains(&seq) {
            let left = index.len().saturating_sub(seq).min(STRIDE as u64);
            self.from = seq;
            // One that cannot be read at all has nothing to tell.
            let read = index.read_each(seq, left as usize, Wait::Yes);
            self.entries = read.unwrap_or_default();
            if self.entries.is_empty() {
                self.index = None;
            }
        }
        *self.entries.get((seq - self.from) as usize)?
    }
}
