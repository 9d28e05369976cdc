//! Reads a log from some line on and makes the index entries of what it finds.

use std::io;

use memchr::memchr_iter;

use crate::{
    disk::{DiskFile, Wait, read_exact},
    entry::Entry,
    head::LineHead,
};

/// How much is read at a time.
const CHUNK: usize = 1 << 20;

/// What became of a scan.
pub(crate) struct Scanned {
    /// Where the last whole line ends.
    pub(crate) end: u64,
    /// Bytes after that: a line without its line break.
    pub(crate) torn: u64,
    /// Lines that are no event: how many, and the first one's number and what is wrong with it.
    pub(crate) damaged: u64,
    pub(crate) first_damaged: Option<(u64, String)>,
}

/// Scans from `offset`, where line `seq` starts, to `size`, and hands over the entries in stretches.
/// `micros` is the time of the event before.
pub(crate) fn scan(
    file: &dyn DiskFile,
    mut offset: u64,
    mut seq: u64,
    size: u64,
    mut micros: i64,
    mut take: impl FnMut(&[Entry]) -> io::Result<()>,
) -> io::Result<Scanned> {
    let mut found = Scanned {
        end: offset,
        torn: 0,
        damaged: 0,
        first_damaged: None,
    };
    // The beginning of a line whose end was not read yet.
    let mut buffer: Vec<u8> = Vec::new();
    let mut entries = Vec::new();
    while offset + (buffer.len() as u64) < size {
        let known = buffer.len();
        let at = offset + known as u64;
        // A line longer than a chunk makes the next reads larger.
        let wanted = CHUNK.max(known).min((size - at) as usize);
        buffer.resize(known + wanted, 0);
        read_exact(file, &mut buffer[known..], at, Wait::Yes)?;
        let mut start = 0;
        for feed in memchr_iter(b'\n', &buffer[known..]) {
            let line = &buffer[start..known + feed];
            let place = offset + start as u64;
            let entry = match entry(place, line) {
                Ok(entry) => entry,
                Err(reason) => {
                    found.damaged += 1;
                    found.first_damaged.get_or_insert((seq, reason));
                    Entry::damaged(place, line, micros)
                }
            };
            micros = entry.micros;
            entries.push(entry);
            seq += 1;
            start = known + feed + 1;
        }
        take(&entries)?;
        entries.clear();
        buffer.drain(..start);
        offset += start as u64;
    }
    found.end = offset;
    found.torn = buffer.len() as u64;
    Ok(found)
}

fn entry(place: u64, line: &[u8]) -> Result<Entry, String> {
    if u32::try_from(line.len()).is_err() {
        return Err("it is longer than 4 GiB".to_owned());
    }
    Ok(Entry::new(place, line, &LineHead::parse(line)?))
}
