use std::{collections::VecDeque, sync::Arc};

use core_model::{
    ConversationId, HeadFilter, Limit, LogReader, Record, Seq, StoreError, UtcTime, port::FeedEntry,
};

use crate::residency::runtime_state::RuntimeState;

/// What a follower holds at a time.
const PAGE: Limit = Limit {
    records: 64,
    bytes: 8 * 1024,
};
/// Places of events of the wanted kinds that are looked for at a time.
const SELECTED: usize = 1024;

/// Reads the events of one change after another. The log read last stays open, because most often it is
/// the next one too.
pub(super) struct Logs {
    runtime: Arc<RuntimeState>,
    /// Which kinds are wanted; none: all.
    heads: Option<HeadFilter>,
    open: Option<Open>,
    /// Where the wanted events of the change that is being read stand, as far as they were looked for.
    selected: VecDeque<Seq>,
}

struct Open {
    id: ConversationId,
    created_at: UtcTime,
    log: Arc<dyn LogReader>,
}

impl Logs {
    pub(super) fn new(runtime: Arc<RuntimeState>, kinds: &[String]) -> Self {
        let heads = || HeadFilter {
            kinds: kinds.to_vec(),
            ..HeadFilter::default()
        };
        Self {
            runtime,
            heads: (!kinds.is_empty()).then(heads),
            open: None,
            selected: VecDeque::new(),
        }
    }

    /// Some of the wanted events of `from..to`, which may be none, and up to where that is all of them.
    ///
    /// # Errors
    /// When the log cannot be opened or read.
    ///
    /// # Cancel safety
    /// A dropped call can be made again.
    pub(super) async fn read(
        &mut self,
        entry: &FeedEntry,
        from: Seq,
        to: Seq,
    ) -> Result<(Vec<Record>, Seq), StoreError> {
        let log = self.open(entry).await?;
        let Some(heads) = &self.heads else {
            let limit = Limit {
                records: PAGE.records.min(to.0.saturating_sub(from.0) as usize),
                ..PAGE
            };
            let mut records = log.read(from, limit).await?;
            // The log passes over damaged lines, so it may have read on too far.
            records.retain(|record| record.seq < to);
            let read_to = records.last().map_or(to, |last| last.seq.after(1));
            return Ok((records, read_to));
        };
        if self.selected.is_empty() {
            self.selected = log.select(heads, from..to, false, SELECTED).await?.into();
        }
        let wanted: Vec<Seq> = self.selected.iter().copied().take(PAGE.records).collect();
        let Some(last) = wanted.last().copied() else {
            return Ok((Vec::new(), to));
        };
        let records = log.read_at(&wanted, PAGE.bytes).await?;
        // It may have ended early, for size.
        let done = records.last().map_or(last, |record| record.seq);
        while self.selected.front().is_some_and(|seq| *seq <= done) {
            self.selected.pop_front();
        }
        Ok((records, done.after(1)))
    }

    /// Another change comes.
    pub(super) fn next_change(&mut self) {
        self.selected.clear();
    }

    pub(super) fn close(&mut self) {
        self.open = None;
    }

    async fn open(&mut self, entry: &FeedEntry) -> Result<Arc<dyn LogReader>, StoreError> {
        let id = entry.conversation;
        if let Some(open) = &self.open
            && open.id == id
            && open.created_at == entry.created_at
        {
            return Ok(Arc::clone(&open.log));
        }
        let log = self.runtime.store.open(id).await?;
        self.open = Some(Open {
            id,
            created_at: entry.created_at,
            log: Arc::clone(&log),
        });
        Ok(log)
    }
}
