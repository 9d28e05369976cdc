use std::sync::Arc;

use core_model::{
    ConversationId, Limit, LogReader, LogWriter, Metadata, NewRecord, Seq, Store, StoreError,
    Summary, port::Claimed,
};

use super::error::ImportError;

/// A conversation in the store that gets these lines and no others.
pub(super) struct Writing {
    stored: Arc<dyn LogReader>,
    log: Box<dyn LogWriter>,
    id: ConversationId,
    /// How many lines have been put; fewer than the log has while an import continues that was cut
    /// short.
    put: Seq,
}

impl Writing {
    /// # Errors
    /// [`StoreError::Exists`] unless what exists is an import that was cut short: one without a
    /// snapshot.
    pub(super) async fn begin(store: &dyn Store, metadata: &Metadata) -> Result<Self, ImportError> {
        let id = metadata.id;
        match store.create(metadata).await {
            Err(StoreError::Exists(_)) if store.metadata(id).await?.snapshot.is_none() => {}
            made => made?,
        }
        let log = match store.claim(id).await? {
            Claimed::Mine(claim) => claim.log,
            Claimed::Theirs(holder) => {
                return Err(StoreError::OwnedElsewhere { id, holder }.into());
            }
        };
        Ok(Self {
            stored: store.open(id).await?,
            log,
            id,
            put: Seq(0),
        })
    }

    /// Appends the lines that are not there yet.
    pub(super) async fn put(
        &mut self,
        mut records: Vec<NewRecord>,
        summary: Summary,
    ) -> Result<(), ImportError> {
        let known = self.log.extent().len.0.saturating_sub(self.put.0) as usize;
        let known = known.min(records.len());
        let fresh = records.split_off(known);
        self.compare(&records).await?;
        if !fresh.is_empty() {
            self.put = self.log.append(fresh, summary).await?.len;
        }
        Ok(())
    }

    async fn compare(&mut self, records: &[NewRecord]) -> Result<(), ImportError> {
        let end = self.put.after(records.len());
        let mut expected = records.iter();
        while self.put < end {
            let left = (end.0 - self.put.0) as usize;
            let stored = self.stored.read(self.put, Limit::records(left)).await?;
            let same = stored.iter().take(left).all(|stored| {
                let same = expected.next().is_some_and(|new| new.bytes == stored.bytes);
                let in_line = stored.seq == self.put;
                self.put = self.put.after(1);
                same && in_line
            });
            if stored.is_empty() || !same {
                return Err(StoreError::Exists(self.id).into());
            }
        }
        Ok(())
    }

    /// The writer of the whole log.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the log has more lines than were put.
    pub(super) fn end(self) -> Result<Box<dyn LogWriter>, ImportError> {
        if self.log.extent().len == self.put {
            Ok(self.log)
        } else {
            Err(StoreError::Exists(self.id).into())
        }
    }
}
