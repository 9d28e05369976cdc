//! One request's events: which, and their bytes.

use std::sync::Arc;

use bytes::Bytes;
use core_model::{EventBody, EventTime, HeadFilter, Limit, LogReader, Record, Seq, StoreError};

/// State updates that are looked at for the end of a turn, from the newest back.
const UPDATES: usize = 64;
/// What one look at them may bring in.
const UPDATE_BYTES: usize = 1 << 20;
const STATE_UPDATE: &str = "ConversationStateUpdateEvent";

/// Which events go into a request, and how many.
#[derive(Clone, Debug)]
pub(crate) struct Portion {
    pub(crate) filter: Option<HeadFilter>,
    pub(crate) events: usize,
    /// Of the whole body. One event goes alone, however large it is.
    pub(crate) bytes: usize,
}

/// The events of one request.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) first: Seq,
    pub(crate) last: Seq,
    pub(crate) events: u64,
    /// A JSON array of the events as the log has them.
    pub(crate) body: Bytes,
    /// When the first one happened.
    pub(crate) oldest: EventTime,
}

impl Batch {
    /// Tells it from other batches of the same log.
    pub(crate) fn content(&self) -> String {
        format!("{}-{}", self.first.0, self.last.0)
    }
}

/// What a look at the log found.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) batch: Option<Batch>,
    /// Everything before this is in the batch or is not wanted.
    pub(crate) read_to: Seq,
    /// Whether no more would have fitted in.
    pub(crate) full: bool,
}

/// The first portion of `from..to`.
///
/// # Errors
/// When the log cannot be read.
pub(crate) async fn read(
    log: &Arc<dyn LogReader>,
    from: Seq,
    to: Seq,
    portion: &Portion,
) -> Result<Found, StoreError> {
    let (records, read_to) = match &portion.filter {
        None => read_all(log, from, to, portion).await?,
        Some(filter) => read_selected(log, filter, from, to, portion).await?,
    };
    Ok(assemble(&records, read_to, portion))
}

async fn read_all(
    log: &Arc<dyn LogReader>,
    from: Seq,
    to: Seq,
    portion: &Portion,
) -> Result<(Vec<Record>, Seq), StoreError> {
    let there = usize::try_from(to.0.saturating_sub(from.0)).unwrap_or(usize::MAX);
    let mut records = Vec::new();
    let mut at = from;
    let mut bytes = 0;
    // A read may bring in less than it may, and passes over damaged lines.
    while records.len() < portion.events.min(there) && bytes < portion.bytes {
        let limit = Limit {
            records: portion.events.min(there) - records.len(),
            bytes: portion.bytes - bytes,
        };
        let mut read = log.read(at, limit).await?;
        read.retain(|record| record.seq < to);
        let Some(last) = read.last() else {
            return Ok((records, to));
        };
        at = last.seq.after(1);
        bytes += read.iter().map(|record| record.bytes.len()).sum::<usize>();
        records.append(&mut read);
    }
    Ok((records, at))
}

async fn read_selected(
    log: &Arc<dyn LogReader>,
    filter: &HeadFilter,
    from: Seq,
    to: Seq,
    portion: &Portion,
) -> Result<(Vec<Record>, Seq), StoreError> {
    let seqs = log.select(filter, from..to, false, portion.events).await?;
    let mut records = Vec::new();
    let mut bytes = 0;
    let mut at = 0;
    while at < seqs.len() && bytes < portion.bytes {
        let read = log.read_at(&seqs[at..], portion.bytes - bytes).await?;
        let Some(last) = read.last() else { break };
        at += seqs[at..].partition_point(|seq| *seq <= last.seq);
        bytes += read.iter().map(|record| record.bytes.len()).sum::<usize>();
        records.extend(read);
    }
    let read_to = match seqs.get(at) {
        Some(next) if bytes >= portion.bytes => *next,
        // The filter may admit more behind the last one.
        _ if seqs.len() >= portion.events => seqs.last().map_or(to, |last| last.after(1)),
        _ => to,
    };
    Ok((records, read_to))
}

fn assemble(records: &[Record], mut read_to: Seq, portion: &Portion) -> Found {
    let (mut taken, mut size) = (0, 2);
    for record in records {
        let more = record.bytes.len() + usize::from(taken > 0);
        if taken > 0 && (size + more > portion.bytes || taken >= portion.events) {
            read_to = record.seq;
            break;
        }
        size += more;
        taken += 1;
    }
    let left_over = taken < records.len();
    let records = &records[..taken];
    let full = left_over || taken >= portion.events || size >= portion.bytes;
    let batch = records.first().zip(records.last()).map(|(first, last)| {
        let mut body = Vec::with_capacity(size);
        body.push(b'[');
        for (nth, record) in records.iter().enumerate() {
            if nth > 0 {
                body.push(b',');
            }
            body.extend_from_slice(&record.bytes);
        }
        body.push(b']');
        Batch {
            first: first.seq,
            last: last.seq,
            events: taken as u64,
            body: body.into(),
            oldest: first.head.timestamp,
        }
    });
    Found {
        batch,
        read_to,
        full,
    }
}

/// What happened in a stretch of a log, as far as it matters for deliveries about the conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Happened {
    /// A run ended, for whatever reason.
    pub(crate) turn_ended: bool,
    /// Something that shows in a conversation's details: its status, a pause, an interrupt, its tags.
    pub(crate) changed: bool,
}

/// # Errors
/// When the log cannot be read.
pub(crate) async fn happened(
    log: &Arc<dyn LogReader>,
    from: Seq,
    to: Seq,
) -> Result<Happened, StoreError> {
    let kinds = [STATE_UPDATE, "PauseEvent", "InterruptEvent"];
    let filter = HeadFilter {
        kinds: kinds.map(str::to_owned).into(),
        ..HeadFilter::default()
    };
    let seqs = log.select(&filter, from..to, true, UPDATES).await?;
    let records = log.read_at(&seqs, UPDATE_BYTES).await?;
    let mut happened = Happened::default();
    for record in &records {
        if record.head.kind != STATE_UPDATE {
            happened.changed = true;
            continue;
        }
        // A line that is not an event says nothing about runs.
        let Ok(event) = record.event() else { continue };
        let EventBody::ConversationStateUpdateEvent(update) = event.body else {
            continue;
        };
        let ended = update.key == "execution_status" && update.value != "running";
        happened.turn_ended |= ended;
        happened.changed |= ended || update.key == "tags";
    }
    Ok(happened)
}
