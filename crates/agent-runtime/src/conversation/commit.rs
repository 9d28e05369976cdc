use std::sync::Arc;

use core_model::{
    ConversationState, Event, Metadata, NewRecord, Seq, Snapshot, StoreError, port::Fault,
};

use crate::{
    RuntimeError, conversation::batch::CommitBatch, residency::live_conversation::LiveConversation,
};

/// The one writer of a conversation: of its log, and of its metadata.
pub(super) struct Writer {
    live: Arc<LiveConversation>,
    state: Arc<ConversationState>,
    len: Seq,
}

impl Writer {
    pub(super) fn new(live: Arc<LiveConversation>) -> Self {
        let now = live.now();
        Self {
            live,
            state: now.state,
            len: now.len,
        }
    }

    /// An empty batch after all that was committed.
    pub(super) fn batch(&self) -> CommitBatch {
        CommitBatch::new(Arc::clone(&self.state), self.metadata())
    }

    /// Makes a batch true: durable, then visible, then answered. Metadata goes first. False when it
    /// could not be made durable; that is what was answered then.
    pub(super) async fn commit(&mut self, mut batch: CommitBatch) -> bool {
        let announce = batch.announce;
        let has_events = !batch.events.is_empty();
        let answers = std::mem::take(&mut batch.answers);
        if let Err(error) = self.make_durable(batch).await {
            for (answer, _) in answers {
                answer.send(Err(error.again())).ok();
            }
            return false;
        }
        if announce || has_events {
            self.live.published.send_modify(|now| {
                *now = now.advanced(self.len, Arc::clone(&self.state), announce);
            });
        }
        if has_events {
            self.live.list();
        }
        for (answer, result) in answers {
            answer.send(result).ok();
        }
        true
    }

    /// Stores the state with the metadata, so that the next reader folds only the tail; does nothing when
    /// that is stored already. `resume`: the run that a stop paused is to start again.
    pub(super) async fn store_snapshot(&mut self, resume: bool) {
        let metadata = self.metadata();
        let bytes = self.live.log.size();
        let is_stored = |of: &Snapshot| of.as_of == self.len && of.bytes == bytes;
        if metadata.snapshot.as_ref().is_some_and(is_stored) && metadata.resume == resume {
            return;
        }
        let mut batch = self.batch();
        let state = (*self.state).clone();
        batch.change_metadata(|metadata| {
            metadata.resume = resume;
            metadata.snapshot = Some(Snapshot {
                as_of: self.len,
                bytes,
                state,
            });
        });
        if let Err(error) = self.make_durable(batch).await {
            tracing::warn!(
                conversation.id = %self.live.id, %error,
                "the state was not stored; it is folded from the log when next needed"
            );
        }
    }

    /// Whether the run that a stop paused is to start again.
    pub(super) fn resumes(&self) -> bool {
        self.metadata().resume
    }

    async fn make_durable(&mut self, batch: CommitBatch) -> Result<(), RuntimeError> {
        if let Some(metadata) = batch.changed_metadata() {
            self.store_metadata(metadata).await?;
        }
        if batch.events.is_empty() {
            return Ok(());
        }
        self.len = self.append(&batch.events).await?;
        self.state = batch.into_state();
        Ok(())
    }

    /// Followers are told by the event that follows, if one does.
    async fn store_metadata(&self, metadata: &Arc<Metadata>) -> Result<(), RuntimeError> {
        self.live.runtime.store.set_metadata(metadata).await?;
        self.live.published.send_if_modified(|now| {
            *now = now.with_metadata(Arc::clone(metadata));
            false
        });
        Ok(())
    }

    async fn append(&self, events: &[Event]) -> Result<Seq, RuntimeError> {
        let records: Result<Vec<NewRecord>, _> = events.iter().map(NewRecord::encode).collect();
        let records =
            records.map_err(|error| RuntimeError::Internal(format!("encoding: {error}")))?;
        let appended = self.live.log.append(records, Some(self.len)).await;
        appended.map_err(|error| {
            tracing::error!(conversation.id = %self.live.id, %error, "nothing was appended");
            error.into()
        })
    }

    fn metadata(&self) -> Arc<Metadata> {
        Arc::clone(&self.live.published.borrow().metadata)
    }
}

impl RuntimeError {
    /// The same error for one more of those who waited for the same commit.
    fn again(&self) -> Self {
        match self {
            Self::NotFound(id) => Self::NotFound(*id),
            Self::Store(StoreError::Conflict { expected, found }) => {
                Self::Store(StoreError::Conflict {
                    expected: *expected,
                    found: *found,
                })
            }
            Self::Store(error) => {
                let fault = error.fault();
                let fault = fault.unwrap_or_else(|| Fault::other(error.to_string()));
                Self::Store(StoreError::Poisoned(fault))
            }
            Self::UnknownEvent(_)
            | Self::CursorExpired
            | Self::AlreadyRunning
            | Self::RunLimit { .. }
            | Self::Busy
            | Self::Stopping
            | Self::Invalid(_)
            | Self::Internal(_) => Self::Internal(self.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use core_model::Draft;
    use tokio::sync::oneshot;

    use super::*;
    use crate::live_fixture::LiveFixture;

    fn title(batch: &mut CommitBatch, title: &str) {
        batch.change_metadata(|metadata| metadata.title = Some(title.to_owned()));
        batch.push(Draft::state("title", title));
    }

    #[tokio::test]
    async fn metadata_is_stored_and_shown_with_the_event_that_announces_it() {
        let LiveFixture {
            live,
            store,
            folder: _folder,
        } = LiveFixture::new(&[]).await;
        let mut writer = Writer::new(Arc::clone(&live));
        let mut batch = writer.batch();
        title(&mut batch, "new");
        assert!(writer.commit(batch).await);
        assert_eq!(live.now().metadata.title.as_deref(), Some("new"));
        let stored = store.metadata(live.id).await.unwrap();
        assert_eq!(stored.title.as_deref(), Some("new"));
        assert_eq!(live.log.len(), Seq(1));
    }

    #[tokio::test]
    async fn an_event_is_not_appended_when_the_metadata_it_announces_cannot_be_stored() {
        let LiveFixture {
            live,
            store: _store,
            folder,
        } = LiveFixture::new(&[]).await;
        let mut writer = Writer::new(Arc::clone(&live));
        std::fs::remove_dir_all(folder.path().join("conversations")).unwrap();
        let mut batch = writer.batch();
        title(&mut batch, "lost");
        let (answer, answered) = oneshot::channel();
        batch.answers.push((answer, Ok(())));
        assert!(!writer.commit(batch).await);
        assert!(matches!(
            answered.await.unwrap(),
            Err(RuntimeError::Store(_) | RuntimeError::NotFound(_))
        ));
        let now = live.now();
        assert_eq!((now.len, now.metadata.title.as_ref()), (Seq(0), None));
    }
}
