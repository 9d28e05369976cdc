//! The bytes that entries name, as records.

use std::io;

use bytes::Bytes;
use core_model::{Head, LineHead, Record, Seq};

use super::fault::{Read, ReadFault};
use crate::{
    disk::{Wait, read_exact},
    entry::Entry,
    error::{io_at, lock},
    large::LARGE,
    open_log::OpenLog,
};

impl OpenLog {
    /// The records of neighbours.
    pub(super) fn together(&self, from: Seq, entries: &[Entry], wait: Wait) -> Read<Vec<Record>> {
        // Lines that are not events at either end, however long, are not read.
        let before = entries
            .iter()
            .take_while(|entry| entry.is_damaged())
            .count();
        let (from, entries) = (from.after(before), &entries[before..]);
        let after = entries.iter().rev().take_while(|entry| entry.is_damaged());
        let entries = &entries[..entries.len() - after.count()];
        let mut records = Vec::with_capacity(entries.len());
        let mut at = 0;
        while at < entries.len() {
            let small = entries[at..].iter().take_while(|entry| entry.len < LARGE);
            let count = small.count();
            if count == 0 {
                self.large(from.after(at), &entries[at], wait, &mut records)?;
                at += 1;
            } else {
                let stretch = &entries[at..at + count];
                self.stretch(from.after(at), stretch, wait, &mut records)?;
                at += count;
            }
        }
        Ok(records)
    }

    /// A line that others may be reading too.
    fn large(&self, seq: Seq, entry: &Entry, wait: Wait, records: &mut Vec<Record>) -> Read<()> {
        if entry.is_damaged() {
            return Ok(());
        }
        let read = || self.bytes(entry.offset, entry.len as usize, wait);
        let line = self.large_lines.line(entry, wait, read);
        let line = line.ok_or(ReadFault::WouldBlock)??;
        self.take(seq, entry, line, records);
        Ok(())
    }

    /// Neighbours, read together and cut apart without copying.
    fn stretch(
        &self,
        from: Seq,
        entries: &[Entry],
        wait: Wait,
        records: &mut Vec<Record>,
    ) -> Read<()> {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            return Ok(());
        };
        let start = first.offset;
        let bytes = Bytes::from(self.bytes(start, (last.end() - 1 - start) as usize, wait)?);
        for (at, entry) in entries.iter().enumerate() {
            if entry.is_damaged() {
                continue;
            }
            let begin = (entry.offset - start) as usize;
            let line = bytes.slice(begin..begin + entry.len as usize);
            self.take(from.after(at), entry, line, records);
        }
        Ok(())
    }

    fn bytes(&self, at: u64, len: usize, wait: Wait) -> Read<Vec<u8>> {
        let mut buffer = vec![0; len];
        match read_exact(self.file().as_ref(), &mut buffer, at, wait) {
            Ok(()) => Ok(buffer),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(ReadFault::WouldBlock),
            Err(error) => Err(ReadFault::Failed(io_at(&self.path)(error))),
        }
    }

    /// Adds a line to what was read, if it is what was written.
    fn take(&self, seq: Seq, entry: &Entry, line: Bytes, records: &mut Vec<Record>) {
        match head(entry, &line) {
            Ok(head) => records.push(Record {
                seq,
                head,
                bytes: line,
            }),
            Err(reason) => self.suspect(seq, entry, &reason),
        }
    }

    /// Names a record whose bytes are not what was written.
    fn suspect(&self, seq: Seq, entry: &Entry, reason: &str) {
        if !lock(&self.suspects).insert(seq.0) {
            return;
        }
        let offset = entry.offset;
        tracing::error!(
            conversation.id = %self.id, seq = seq.0, offset, reason,
            "an event is damaged and no longer served"
        );
        let text = format!(
            "line {} at byte {offset} is damaged and no longer served: {reason}",
            seq.0 + 1
        );
        self.context.notices.add(self.id, text);
    }
}

/// The head of a line that is what was written.
pub(crate) fn head(entry: &Entry, line: &[u8]) -> Result<Head, String> {
    if crc32c::crc32c(line) != entry.crc {
        return Err("its checksum does not match".to_owned());
    }
    match entry.head() {
        Some(head) => Ok(head),
        None => LineHead::parse(line).map(|head| head.to_head()),
    }
}
