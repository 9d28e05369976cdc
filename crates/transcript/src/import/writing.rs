use std::sync::Arc;

use core_model::{ConversationId, EventLog, Limit, Metadata, NewRecord, Seq, Store, StoreError};

use super::ImportError;

/// A conversation in the store that gets these lines and no others.
pub(super) struct Writing {
    log: Arc<dyn EventLog>,
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
        Ok(Self {
            log: store.open(id).await?,
            id,
            put: Seq(0),
        })
    }

    /// Appends the lines that are not there yet.
    pub(super) async fn put(&mut self, mut records: Vec<NewRecord>) -> Result<(), ImportError> {
        let known = self.log.len().0.saturating_sub(self.put.0) as usize;
        let known = known.min(records.len());
        let fresh = records.split_off(known);
        self.compare(&records).await?;
        if !fresh.is_empty() {
            let len = Some(self.put);
            self.put = self.log.append(fresh, len).await?;
        }
        Ok(())
    }

    async fn compare(&mut self, records: &[NewRecord]) -> Result<(), ImportError> {
        let end = self.put.after(records.len());
        let mut expected = records.iter();
        while self.put < end {
            let left = (end.0 - self.put.0) as usize;
            let stored = self.log.read(self.put, Limit::records(left)).await?;
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

    /// The whole log.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the log has more lines than were put.
    pub(super) fn end(self) -> Result<Arc<dyn EventLog>, ImportError> {
        if self.log.len() == self.put {
            Ok(self.log)
        } else {
            Err(StoreError::Exists(self.id).into())
        }
    }
}
