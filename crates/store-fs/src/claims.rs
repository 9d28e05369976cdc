//! Who may write which conversation. The folder's lock keeps other processes away, so that a claim is
//! always granted; it fences the writer that this process had before.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use core_model::{
    ConversationId, ConversationOrder, ExecutionStatus, LogWriter, Metadata, NewRecord, StoreError,
    Summary, UtcTime,
    port::{Claim, Claimed, Claims, Holder, ListQuery},
};
use tokio::sync::watch;

use crate::{
    AppendError, FsLog, FsStore,
    error::{blocking, lock},
    extent::Extent,
    open_log::OpenLog,
    queue::{Held, Listing, Right},
    store::Store,
};

/// The port [`LogWriter`] on files.
struct FsWriter {
    store: Arc<Store>,
    log: FsLog,
    epoch: u64,
    created_at: UtcTime,
    extent: Extent,
    /// How many times metadata was to be replaced. A call that was dropped may get there after a later one.
    replacements: Arc<AtomicU64>,
}

#[async_trait]
impl Claims for FsStore {
    async fn claim(&self, id: ConversationId) -> Result<Claimed, StoreError> {
        let claim = match self.0.claim_open(id) {
            Some(claim) => claim,
            None => {
                let store = Arc::clone(&self.0);
                blocking(&self.0.root, move || store.claim(id)).await?
            }
        };
        Ok(Claimed::Mine(claim))
    }

    async fn holder(&self, id: ConversationId) -> Result<Option<Holder>, StoreError> {
        self.run(move |store| {
            let holder = || Holder {
                server: store.run.to_string(),
                address: None,
            };
            Ok(store.is_held(id).then(holder))
        })
        .await
    }

    async fn orphans(&self, limit: usize) -> Result<Vec<ConversationId>, StoreError> {
        self.scanned().await?;
        self.run(move |store| Ok(store.orphans(limit))).await
    }
}

impl Store {
    /// As the port's method, where nothing has to be waited for: the log is open, and nobody writes to it.
    fn claim_open(self: &Arc<Self>, id: ConversationId) -> Option<Claim> {
        let slot = self.slot_in_use(id)?;
        let known = slot.try_lock().ok()?;
        let log = FsLog(known.upgrade()?);
        let created_at = self.context.catalog.row(id)?.created_at;
        let epoch = self.next_epoch();
        let lost = log.0.hold_if_rested(epoch)?;
        Some(self.granted(log, created_at, epoch, lost))
    }

    /// As the port's method. Blocks.
    fn claim(self: &Arc<Self>, id: ConversationId) -> Result<Claim, StoreError> {
        self.reopen_to_read(id);
        let slot = self.slot(id);
        // Held until the earlier writer is fenced, so that no metadata of its comes after this.
        let mut known = lock(&slot);
        let log = self.open_in_turn(id, &mut known)?;
        let created_at = match self.context.catalog.row(id) {
            Some(row) => row.created_at,
            None => self.metadata(id)?.created_at,
        };
        let epoch = self.next_epoch();
        let lost = log.0.hold(epoch);
        drop(known);
        if !log.0.rest() {
            log.0.give_back_claim(epoch);
            let reason = "an earlier write to the log has not ended";
            return Err(StoreError::Unavailable(reason.to_owned()));
        }
        Ok(self.granted(log, created_at, epoch, lost))
    }

    /// A claim whose log nobody else writes to any more.
    fn granted(
        self: &Arc<Self>,
        log: FsLog,
        created_at: UtcTime,
        epoch: u64,
        lost: watch::Receiver<bool>,
    ) -> Claim {
        self.start_scan.no_longer_unfit(log.0.id);
        let writer = FsWriter {
            store: Arc::clone(self),
            epoch,
            created_at,
            extent: log.0.extent(),
            replacements: Arc::default(),
            log,
        };
        Claim {
            log: Box::new(writer),
            epoch,
            lost,
        }
    }

    /// Conversations that run or may lack in the list what their logs say, and that nobody holds.
    fn orphans(&self, limit: usize) -> Vec<ConversationId> {
        let mut found = self.start_scan.unfit();
        if self.context.catalog.count(Some(ExecutionStatus::Running)) > 0 {
            let running = self.context.catalog.list(&ListQuery {
                status: Some(ExecutionStatus::Running),
                first: None,
                limit: usize::MAX,
                order: ConversationOrder::Created,
            });
            found.extend(running.rows.iter().map(|row| row.id));
        }
        let nobodys = found.into_iter().filter(|id| !self.is_held(*id));
        nobodys.take(limit).collect()
    }

    fn is_held(&self, id: ConversationId) -> bool {
        let log = self.open_already(id);
        log.is_some_and(|log| lock(&log.0.queue).held.is_some())
    }
}

impl OpenLog {
    /// Grants a claim, and fences the one before.
    fn hold(&self, epoch: u64) -> watch::Receiver<bool> {
        let (held, lost) = Held::new(epoch);
        lock(&self.queue).held = Some(held);
        lost
    }

    /// As [`Self::hold`], unless somebody writes to the log.
    fn hold_if_rested(&self, epoch: u64) -> Option<watch::Receiver<bool>> {
        let (held, lost) = Held::new(epoch);
        let mut queue = lock(&self.queue);
        let rests = !queue.committing && queue.closed.is_none();
        rests.then(|| queue.held = Some(held))?;
        Some(lost)
    }

    /// Gives back the claim of this epoch, if nobody has taken it.
    pub(crate) fn give_back_claim(&self, epoch: u64) {
        let mut queue = lock(&self.queue);
        if queue.is_held_by(epoch) {
            queue.held = None;
        }
    }
}

#[async_trait]
impl LogWriter for FsWriter {
    fn extent(&self) -> core_model::Extent {
        self.extent.into()
    }

    async fn append(
        &mut self,
        records: Vec<NewRecord>,
        summary: Summary,
    ) -> Result<core_model::Extent, StoreError> {
        let listing = Listing {
            created_at: self.created_at,
            summary,
        };
        if records.is_empty() {
            self.move_row(listing)?;
            return Ok(self.extent.into());
        }
        let lines = self.log.0.lines(&records)?;
        let bytes = self.extent.bytes + lines.size();
        let right = Right::Claim {
            epoch: self.epoch,
            expected: self.extent.len,
            listing,
        };
        let unanswered = Unanswered(self);
        let answer = unanswered.0.log.submit(lines, right).await;
        std::mem::forget(unanswered);
        let len = answer.map_err(|error| match error {
            AppendError::Conflict { .. } | AppendError::Store(StoreError::NotFound(_)) => {
                StoreError::Fenced
            }
            AppendError::Store(error) => error,
        })?;
        self.extent = Extent { len, bytes };
        Ok(self.extent.into())
    }

    async fn set_metadata(&mut self, metadata: &Metadata) -> Result<(), StoreError> {
        let (store, log) = (Arc::clone(&self.store), self.log.clone());
        let (metadata, epoch) = (metadata.clone(), self.epoch);
        let replacements = Arc::clone(&self.replacements);
        let own = replacements.fetch_add(1, Ordering::AcqRel) + 1;
        blocking(&self.log.0.folder, move || {
            store.set_metadata_if(&metadata, || {
                let is_latest = replacements.load(Ordering::Acquire) == own;
                if is_latest && lock(&log.0.queue).is_held_by(epoch) {
                    Ok(())
                } else {
                    Err(StoreError::Fenced)
                }
            })
        })
        .await
    }
}

impl FsWriter {
    /// Has the list say this of the log as it is.
    fn move_row(&self, listing: Listing) -> Result<(), StoreError> {
        match self.log.0.reopen() {
            Err(StoreError::NotFound(_)) => return Err(StoreError::Fenced),
            reopened => reopened?,
        }
        let queue = lock(&self.log.0.queue);
        if !queue.is_held_by(self.epoch) {
            return Err(StoreError::Fenced);
        }
        self.log.0.list(&queue, self.extent, listing);
        Ok(())
    }
}

impl Drop for FsWriter {
    fn drop(&mut self) {
        self.log.0.give_back_claim(self.epoch);
    }
}

/// An append whose answer is yet to come. Dropped before that, the writer no longer knows the log.
struct Unanswered<'a>(&'a FsWriter);

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        self.0.log.0.give_back_claim(self.0.epoch);
    }
}
