use std::{
    ops::Range,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use core_model::{
    ConversationId, Draft, Event, EventId, EventTime, Extent, HeadFilter, Limit, LogReader,
    NewRecord, Record, Seq, StoreError,
};
use uuid::Uuid;

/// A log in memory.
#[derive(Default)]
pub(super) struct Log {
    records: Mutex<Vec<Record>>,
    deleted: AtomicBool,
}

impl Log {
    pub(super) fn push(&self, drafts: Vec<Draft>) -> (Seq, Seq) {
        let mut records = self.records.lock().unwrap();
        let from = Seq(records.len() as u64);
        for draft in drafts {
            let last = records.last().map(|last| last.head.timestamp);
            let event: Event = draft.at(EventTime::now_after(last), None);
            let NewRecord { head, bytes } = NewRecord::encode(&event).unwrap();
            let seq = Seq(records.len() as u64);
            records.push(Record { seq, head, bytes });
        }
        (from, Seq(records.len() as u64))
    }

    pub(super) fn ids(&self) -> Vec<EventId> {
        let records = self.records.lock().unwrap();
        records
            .iter()
            .map(|record| record.head.id.clone())
            .collect()
    }

    /// Deletes it, and returns what is left of it.
    pub(super) fn take(&self) -> Self {
        self.deleted.store(true, Ordering::SeqCst);
        Self {
            records: Mutex::new(self.records.lock().unwrap().clone()),
            ..Self::default()
        }
    }

    pub(super) fn size(&self) -> u64 {
        let records = self.records.lock().unwrap();
        records.iter().map(|record| record.bytes.len() as u64).sum()
    }

    pub(super) fn cut(&self, len: usize) {
        self.records.lock().unwrap().truncate(len);
    }

    fn there(&self) -> Result<MutexGuard<'_, Vec<Record>>, StoreError> {
        if self.deleted.load(Ordering::SeqCst) {
            return Err(StoreError::NotFound(ConversationId(Uuid::nil())));
        }
        Ok(self.records.lock().unwrap())
    }
}

#[async_trait]
impl LogReader for Log {
    fn visible(&self) -> Extent {
        let version = self.size();
        let len = Seq(self.records.lock().unwrap().len() as u64);
        Extent { len, version }
    }

    async fn grown(&self, _: Seq) -> Result<Extent, StoreError> {
        unreachable!("webhooks wait for the feed")
    }

    async fn read(&self, from: Seq, limit: Limit) -> Result<Vec<Record>, StoreError> {
        let records = self.there()?;
        let mut bytes = 0;
        let some = records.iter().skip(from.0 as usize).take(limit.records);
        let fitting = some.take_while(|record| {
            let first = bytes == 0;
            bytes += record.bytes.len();
            first || bytes <= limit.bytes
        });
        Ok(fitting.cloned().collect())
    }

    async fn read_at(&self, seqs: &[Seq], _: usize) -> Result<Vec<Record>, StoreError> {
        let records = self.there()?;
        let found = seqs.iter().filter_map(|seq| records.get(seq.0 as usize));
        Ok(found.cloned().collect())
    }

    async fn find(&self, _: &EventId) -> Result<Option<Seq>, StoreError> {
        unreachable!("webhooks look for no ids")
    }

    async fn since(&self, time: EventTime) -> Result<Seq, StoreError> {
        let records = self.there()?;
        let before = records.partition_point(|record| record.head.timestamp < time);
        Ok(Seq(before as u64))
    }

    async fn select(
        &self,
        filter: &HeadFilter,
        range: Range<Seq>,
        backwards: bool,
        limit: usize,
    ) -> Result<Vec<Seq>, StoreError> {
        let records = self.there()?;
        let mut seqs: Vec<Seq> = records
            .iter()
            .filter(|record| range.contains(&record.seq) && filter.admits(&record.head))
            .map(|record| record.seq)
            .collect();
        if backwards {
            seqs.reverse();
        }
        seqs.truncate(limit);
        Ok(seqs)
    }

    async fn count(&self, _: &HeadFilter) -> Result<u64, StoreError> {
        unreachable!("webhooks count nothing")
    }
}
