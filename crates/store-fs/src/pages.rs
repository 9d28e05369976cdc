//! Reading: entries from the index, then the bytes they name, and no more.

mod fault;
mod lines;
mod runs;
mod sieve;

use std::ops::Range;

use core_model::{EventId, EventTime, HeadFilter, Limit, Record, Seq};

use self::{fault::Read, runs::runs, sieve::Sieve};
use crate::{
    disk::Wait,
    entry::{Entry, IdBytes},
    error::lock,
    ids::IdTable,
    open_log::OpenLog,
};

pub(crate) use fault::ReadFault;
pub(crate) use lines::head;

/// Entries looked through at a time.
const STRIDE: usize = 4096;

impl OpenLog {
    /// Records from `from` on.
    pub(crate) fn records(&self, from: Seq, limit: Limit, wait: Wait) -> Read<Vec<Record>> {
        let extent = self.extent();
        let mut from = from.0;
        // Past lines that are not events, so that an empty answer means the end.
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
        let earlier = |entry: &Entry| entry.micros < wanted;
        Ok(Seq(self.index().partition_point(len, wait, earlier)?))
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
            // No filter: then as many as are wanted will do, except for lines that are not events.
            let stride = if filter == &HeadFilter::default() {
                STRIDE.min(limit - found.len())
            } else {
                STRIDE
            };
            let count = (left.end - left.start).min(stride as u64);
            let first = if backwards {
                left.end - count
            } else {
                left.start
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

    /// How many lines are not events, or turned out not to be what was written.
    pub(crate) fn damaged(&self, wait: Wait) -> Read<u64> {
        let suspects = lock(&self.suspects).len() as u64;
        Ok(self.index().damaged(wait)? + suspects)
    }

    /// Keeps the table of ids up with the log, unless a search has it: that continues by itself.
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

    fn entries(&self, from: u64, count: usize, wait: Wait) -> Read<Vec<Entry>> {
        Ok(self.index().read(from, count, wait)?)
    }

    fn entry(&self, seq: u64, wait: Wait) -> Read<Entry> {
        Ok(self.index().entry(seq, wait)?)
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
