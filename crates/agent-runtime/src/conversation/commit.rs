use std::sync::Arc;

use core_model::{
    ConversationState, Extent, Metadata, NewRecord, Snapshot, StoreError,
    port::{Claim, Claimed},
};
use tokio::sync::watch;

use crate::{
    RuntimeError,
    conversation::batch::CommitBatch,
    residency::{catch_up::catch_up, live_conversation::LiveConversation, published::summary},
};

/// The one writer of a conversation, by right of its claim: of its log, and of its metadata.
pub(super) struct Writer {
    live: Arc<LiveConversation>,
    state: Arc<ConversationState>,
    pub(super) claim: Claim,
    /// The claim is lost: nothing is written any more.
    fenced: bool,
}

impl Writer {
    /// What is published has to be true of the claim's extent.
    pub(super) fn new(live: Arc<LiveConversation>, claim: Claim) -> Self {
        let state = live.now().state;
        Self {
            live,
            state,
            claim,
            fenced: false,
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
                *now = now.advanced(self.extent(), Arc::clone(&self.state), announce);
            });
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
        let extent = self.extent();
        let is_stored = |of: &Snapshot| of.extent == extent;
        let is_stored = metadata.snapshot.as_ref().is_some_and(is_stored);
        if self.fenced || is_stored && metadata.resume == resume {
            return;
        }
        let mut batch = self.batch();
        let state = (*self.state).clone();
        batch.change_metadata(|metadata| {
            metadata.resume = resume;
            metadata.snapshot = Some(Snapshot { extent, state });
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

    /// Whether the claim is lost: nothing is written any more.
    pub(super) fn is_fenced(&self) -> bool {
        self.fenced
    }

    /// From now on nothing is written.
    pub(super) fn fence(&mut self) {
        self.fenced = true;
    }

    /// Says who has the conversation instead.
    pub(super) async fn owned_elsewhere(&self) -> RuntimeError {
        let holder = self.live.runtime.store.holder(self.live.id).await;
        RuntimeError::OwnedElsewhere {
            holder: holder.ok().flatten(),
        }
    }

    /// Publishes that the run is over although the log does not take that, and has lists show it.
    pub(super) async fn lose_run(&mut self) {
        if !self.fenced {
            self.live.lose_run();
            self.move_row().await;
        }
    }

    /// Has lists show the conversation as it is.
    pub(super) async fn move_row(&mut self) {
        let summary = self.live.now().summary();
        if let Err(error) = self.claim.log.append(Vec::new(), summary).await {
            tracing::warn!(
                conversation.id = %self.live.id, %error,
                "lists show an earlier state of the conversation"
            );
        }
    }

    async fn make_durable(&mut self, batch: CommitBatch) -> Result<(), RuntimeError> {
        if let Some(metadata) = batch.changed_metadata() {
            self.store_metadata(metadata).await?;
        }
        if batch.events.is_empty() {
            return Ok(());
        }
        self.append(&batch).await?;
        let before = std::mem::replace(&mut self.state, batch.into_state());
        let metadata = self.metadata();
        let key = metadata.settings.api_key_name.as_deref();
        let spent = self.state.spent().since(&before.spent());
        self.live.runtime.spending.add(key, spent);
        Ok(())
    }

    /// Followers see it with the event that announces it.
    async fn store_metadata(&mut self, metadata: &Arc<Metadata>) -> Result<(), RuntimeError> {
        if let Err(error) = self.claim.log.set_metadata(metadata).await {
            return Err(self.refused(error).await);
        }
        self.live.published.send_if_modified(|now| {
            *now = now.with_metadata(Arc::clone(metadata));
            false
        });
        Ok(())
    }

    async fn append(&mut self, batch: &CommitBatch) -> Result<(), RuntimeError> {
        let records = batch.events.iter().map(NewRecord::encode);
        let records: Vec<NewRecord> = records
            .collect::<Result<_, _>>()
            .map_err(|error| RuntimeError::Internal(format!("encoding: {error}")))?;
        let summary = summary(batch.state(), &self.metadata());
        match self.claim.log.append(records, summary).await {
            Ok(_extent) => Ok(()),
            Err(error) => Err(self.refused(error).await),
        }
    }

    async fn refused(&mut self, error: StoreError) -> RuntimeError {
        if matches!(error, StoreError::Fenced) {
            self.fence();
            return self.owned_elsewhere().await;
        }
        tracing::error!(conversation.id = %self.live.id, %error, "nothing was appended");
        error.into()
    }

    fn extent(&self) -> Extent {
        self.claim.log.extent()
    }

    fn metadata(&self) -> Arc<Metadata> {
        Arc::clone(&self.live.published.borrow().metadata)
    }
}

/// Takes the right to write a conversation, and reads what another server appended meanwhile.
pub(super) async fn claim(live: &Arc<LiveConversation>) -> Result<Claim, RuntimeError> {
    match live.runtime.store.claim(live.id).await? {
        Claimed::Mine(claim) => {
            catch_up(live, claim.log.extent()).await?;
            Ok(claim)
        }
        Claimed::Theirs(holder) => Err(RuntimeError::OwnedElsewhere {
            holder: Some(holder),
        }),
    }
}

/// Waits until a claim is lost.
///
/// # Cancel safety
/// Loses nothing.
pub(super) async fn claim_lost(lost: &mut watch::Receiver<bool>) {
    if lost.wait_for(|lost| *lost).await.is_err() {
        // The store says no more about it; writes are fenced all the same.
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use core_model::{Draft, Seq};
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
        let claim = claim(&live).await.unwrap();
        let mut writer = Writer::new(Arc::clone(&live), claim);
        let mut batch = writer.batch();
        title(&mut batch, "new");
        assert!(writer.commit(batch).await);
        assert_eq!(live.now().metadata.title.as_deref(), Some("new"));
        let stored = store.metadata(live.id).await.unwrap();
        assert_eq!(stored.title.as_deref(), Some("new"));
        assert_eq!(live.log.visible().len, Seq(1));
    }

    #[tokio::test]
    async fn an_event_is_not_appended_when_the_metadata_it_announces_cannot_be_stored() {
        let LiveFixture {
            live,
            store: _store,
            folder,
        } = LiveFixture::new(&[]).await;
        let claim = claim(&live).await.unwrap();
        let mut writer = Writer::new(Arc::clone(&live), claim);
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
        assert_eq!(
            (now.extent.len, now.metadata.title.as_ref()),
            (Seq(0), None)
        );
    }
}
