//! Reading: entries from the index, then the bytes they name, and no more.

use std::{io, ops::Range};

use bytes::Bytes;
use core_model::{EventId, EventTime, Head, HeadFilter, Limit, LineHead, Record, Seq, StoreError};

use crate::{
    disk::{Wait, read_exact},
    entry::{Entry, IdBytes, Kind},
    error::{io_at, lock},
    ids::IdTable,
    index::IndexError,
    large::LARGE,
    log::Inner,
};

/// Entries looked through at a time.
const STRIDE: usize = 4096;

/// Why a read came to nothing.
#[derive(Debug)]
pub(crate) enum ReadFault {
    /// What it needs is not in memory, and it was not to wait.
    WouldBlock,
    WrongIndex,
    Failed(StoreError),
}

type Read<T> = Result<T, ReadFault>;

impl Inner {
    /// Records from `from` on.
    pub(crate) fn records(&self, from: Seq, limit: Limit, wait: Wait) -> Read<Vec<Record>> {
        let extent = self.extent();
        let mut from = from.0;
        // Past lines that are no events, so that an empty answer means the end.
        while from < extent.len.0 {
            let count = (extent.len.0 - from).min(limit.records.clamp(1, STRIDE) as u64);
            let mut entries = self.entries(from, count as usize, wait)?;
            let fit = fitting(&entries, limit.bytes);
            entries.truncate(fit);
            let records = self.together(Seq(from), &entries, wait)?;
            if !records.is_empty() {
                return Ok(records);
            }
            from += entries.len() as u64;
        }
        Ok(Vec::new())
    }

    /// The records at these seqs.
    pub(crate) fn records_at(&self, seqs: &[Seq], bytes: usize, wait: Wait) -> Read<Vec<Record>> {
        let len = self.extent().len;
        let mut records: Vec<Record> = Vec::with_capacity(seqs.len());
        let mut size = 0;
        for run in runs(seqs) {
            if size >= bytes && !records.is_empty() {
                break;
            }
            let first = run[0].min(run[run.len() - 1]);
            if first >= len {
                continue;
            }
            let count = run.len().min((len.0 - first.0) as usize);
            let mut entries = self.entries(first.0, count, wait)?;
            let backwards = run[0] > first;
            let left = bytes.saturating_sub(size);
            let from = if backwards {
                entries.reverse();
                let fit = fitting(&entries, left);
                entries.truncate(fit);
                entries.reverse();
                Seq(first.0 + (count - entries.len()) as u64)
            } else {
                entries.truncate(fitting(&entries, left));
                first
            };
            let cut_short = entries.len() < count;
            let mut found = self.together(from, &entries, wait)?;
            if backwards {
                found.reverse();
            }
            size += found.iter().map(|record| record.bytes.len()).sum::<usize>();
            records.extend(found);
            if cut_short && !records.is_empty() {
                break;
            }
        }
        Ok(records)
    }

    pub(crate) fn find(&self, id: &EventId, wait: Wait) -> Read<Option<Seq>> {
        let len = self.extent().len.0;
        let wanted = IdBytes::of(id.as_str());
        let mut ids = lock(&self.ids);
        let table = ids.get_or_insert_with(IdTable::default);
        while table.len < len {
            let count = (len - table.len).min(STRIDE as u64) as usize;
            table.extend(&self.entries(table.len, count, wait)?);
        }
        let candidates = table.candidates(wanted.hash());
        drop(ids);
        for seq in candidates.into_iter().filter(|seq| *seq < len) {
            let entry = self.entry(seq, wait)?;
            if !entry.has_id(&wanted) {
                continue;
            }
            let sure = !wanted.is_ambiguous()
                || self
                    .together(Seq(seq), &[entry], wait)?
                    .first()
                    .is_some_and(|record| record.head.id == *id);
            if sure {
                return Ok(Some(Seq(seq)));
            }
        }
        Ok(None)
    }

    pub(crate) fn since(&self, time: EventTime, wait: Wait) -> Read<Seq> {
        // Times increase strictly within a log, so the first match can be searched for.
        let wanted = time.utc().timestamp_micros();
        let len = self.extent().len.0;
        let (mut low, mut high) = (0, len);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.entry(middle, wait)?.micros < wanted {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(Seq(low))
    }

    pub(crate) fn select(
        &self,
        filter: &HeadFilter,
        range: Range<Seq>,
        backwards: bool,
        limit: usize,
        wait: Wait,
    ) -> Read<Vec<Seq>> {
        let mut found = Vec::new();
        let sieve = Sieve::new(filter);
        let mut left = range.start.0..range.end.0.min(self.extent().len.0);
        while !left.is_empty() && found.len() < limit {
            // No filter: then as many as are wanted will do, but for lines that are no events.
            let stride = match filter == &HeadFilter::default() {
                true => STRIDE.min(limit - found.len()),
                false => STRIDE,
            };
            let count = (left.end - left.start).min(stride as u64);
            let first = match backwards {
                true => left.end - count,
                false => left.start,
            };
            let entries = self.entries(first, count as usize, wait)?;
            let mut matching = Vec::new();
            for (seq, entry) in (first..).zip(&entries) {
                if sieve.admits(entry) && self.is_sure(filter, &sieve, seq, entry, wait)? {
                    matching.push(Seq(seq));
                }
            }
            if backwards {
                matching.reverse();
                left.end = first;
            } else {
                left.start += count;
            }
            matching.truncate(limit - found.len());
            found.extend(matching);
        }
        Ok(found)
    }

    pub(crate) fn count(&self, filter: &HeadFilter, wait: Wait) -> Read<u64> {
        let len = self.extent().len.0;
        if *filter == HeadFilter::default() {
            return Ok(len - self.damaged(wait)?.min(len));
        }
        let sieve = Sieve::new(filter);
        let suspects = lock(&self.suspects).clone();
        let (mut from, mut found) = (0, 0);
        while from < len {
            let count = (len - from).min(STRIDE as u64) as usize;
            for (seq, entry) in (from..).zip(&self.entries(from, count, wait)?) {
                if sieve.admits(entry)
                    && !suspects.contains(&seq)
                    && self.is_sure(filter, &sieve, seq, entry, wait)?
                {
                    found += 1;
                }
            }
            from += count as u64;
        }
        Ok(found)
    }

    /// How many lines are no events, or turned out not to be what was written.
    pub(crate) fn damaged(&self, wait: Wait) -> Read<u64> {
        let suspects = lock(&self.suspects).len() as u64;
        Ok(self.index().damaged(wait)? + suspects)
    }

    /// Keeps the table of ids up with the log, unless a search has it: that goes on by itself.
    pub(crate) fn remember_ids(&self, seq: u64, entries: &[Entry]) {
        let Ok(mut ids) = self.ids.try_lock() else {
            return;
        };
        if let Some(table) = ids.as_mut().filter(|table| table.len == seq) {
            table.extend(entries);
        }
    }

    /// Confirms by its line what the entry of a kind without a number suggests.
    fn is_sure(
        &self,
        filter: &HeadFilter,
        sieve: &Sieve,
        seq: u64,
        entry: &Entry,
        wait: Wait,
    ) -> Read<bool> {
        if !sieve.is_ambiguous(entry) {
            return Ok(true);
        }
        let records = self.together(Seq(seq), &[*entry], wait)?;
        Ok(records
            .first()
            .is_some_and(|record| filter.admits(&record.head)))
    }

    /// The records of neighbours.
    fn together(&self, from: Seq, entries: &[Entry], wait: Wait) -> Read<Vec<Record>> {
        // What is no event at either end, however long, is not read.
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

    fn entries(&self, from: u64, count: usize, wait: Wait) -> Read<Vec<Entry>> {
        Ok(self.index().read(from, count, wait)?)
    }

    fn entry(&self, seq: u64, wait: Wait) -> Read<Entry> {
        Ok(self.index().entry(seq, wait)?)
    }
}

impl From<IndexError> for ReadFault {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::Io(error) if error.kind() == io::ErrorKind::WouldBlock => Self::WouldBlock,
            // Whatever is wrong with it, a new one may do.
            IndexError::Io(_) | IndexError::Wrong => Self::WrongIndex,
        }
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

/// How many of these lines are not too many bytes; at least one.
fn fitting(entries: &[Entry], bytes: usize) -> usize {
    let mut size = 0;
    let fit = entries.iter().take_while(|entry| {
        size += entry.len as usize;
        size <= bytes
    });
    fit.count().max(1).min(entries.len())
}

/// Stretches of neighbouring seqs, upwards or downwards.
fn runs(seqs: &[Seq]) -> impl Iterator<Item = &[Seq]> {
    let mut left = seqs;
    std::iter::from_fn(move || {
        let step = match left {
            [] => return None,
            [a, b, ..] if b.0 == a.0 + 1 => 1,
            [a, b, ..] if a.0 == b.0 + 1 => -1,
            [_, ..] => 0,
        };
        let follows = |pair: &[Seq]| pair[1].0 as i64 - pair[0].0 as i64 == step;
        let count = match step {
            0 => 1,
            _ => 1 + left.windows(2).take_while(|pair| follows(pair)).count(),
        };
        let (run, rest) = left.split_at(count);
        left = rest;
        Some(run)
    })
}

/// A filter as far as entries can tell.
struct Sieve {
    kinds: Vec<Kind>,
    filter: HeadFilter,
    micros: Range<i64>,
}

impl Sieve {
    fn new(filter: &HeadFilter) -> Self {
        let micros = |time: Option<EventTime>| time.map(|time| time.utc().timestamp_micros());
        Self {
            kinds: filter.kinds.iter().map(|kind| Kind::of(kind)).collect(),
            micros: micros(filter.from).unwrap_or(i64::MIN)
                ..micros(filter.until).unwrap_or(i64::MAX),
            filter: filter.clone(),
        }
    }

    fn admits(&self, entry: &Entry) -> bool {
        !entry.is_damaged()
            && (self.kinds.is_empty() || self.kinds.iter().any(|kind| entry.is_of(*kind)))
            && self
                .filter
                .source
                .is_none_or(|source| entry.source() == source)
            && self.micros.contains(&entry.micros)
    }

    fn is_ambiguous(&self, entry: &Entry) -> bool {
        let mut kinds = self.kinds.iter();
        kinds.any(|kind| kind.is_ambiguous() && entry.is_of(*kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_neighbours_in_one_direction() {
        let seqs = [3, 4, 5, 9, 8, 7, 1, 1, 2].map(Seq);
        let found: Vec<Vec<u64>> = runs(&seqs)
            .map(|run| run.iter().map(|seq| seq.0).collect())
            .collect();
        assert_eq!(found, [vec![3, 4, 5], vec![9, 8, 7], vec![1], vec![1, 2]]);
        assert_eq!(runs(&[]).count(), 0);
    }
}
