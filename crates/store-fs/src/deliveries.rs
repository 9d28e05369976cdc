//! `webhooks/`: how far followers outside this process got, and the deleted conversations that wait for
//! them.

mod delivery_note;
mod note_files;
mod outbox;
#[cfg(test)]
mod tests;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use core_model::{
    ConversationKey, LogReader, Metadata, StoreError, UtcTime,
    port::{
        Cursor, DeadLetter, DeletedConversation, DeliveryRecords, FeedPosition, FollowerRecords,
    },
};

use crate::{
    FsLog,
    error::blocking,
    layout,
    lock::FolderLock,
    meta::{parent, read_metadata},
    open_log::LogContext,
};

pub(crate) use delivery_note::DeliveryNote;
pub(crate) use note_files::NoteFiles;
pub(crate) use outbox::Outbox;

/// The port [`DeliveryRecords`] on files, made by [`FsStore::keep_deliveries`]. Clones are the same. While one
/// lives, the store's folder stays locked. Its async methods need a tokio runtime.
#[derive(Clone)]
pub struct FsDeliveryRecords(pub(crate) Arc<DeliveryFolder>);

pub(crate) struct DeliveryFolder {
    pub(crate) folder: PathBuf,
    pub(crate) notes: NoteFiles,
    pub(crate) outbox: Outbox,
    pub(crate) keeps_deleted: AtomicBool,
    /// Stores of other folders may keep their records here too: one at a time does.
    pub(crate) lock: OnceLock<FolderLock>,
    context: LogContext,
}

impl FsDeliveryRecords {
    /// From now on a conversation that is deleted is removed at once, because no follower wants it.
    pub fn stop_keeping_deleted(&self) {
        self.0.keeps_deleted.store(false, Ordering::Release);
    }

    pub(crate) fn open(folder: &Path, context: LogContext) -> io::Result<Self> {
        let outbox = layout::outbox(folder);
        for one in [folder, &outbox] {
            if !context.disk.exists(one) {
                context.disk.create_dir(one)?;
            }
            // Also one that is there: the process that made it may have ended before this.
            context.disk.sync_dir(parent(one))?;
        }
        Ok(Self(Arc::new(DeliveryFolder {
            notes: NoteFiles::new(Arc::clone(&context.disk), folder.to_owned()),
            outbox: Outbox::new(Arc::clone(&context.disk), outbox),
            keeps_deleted: AtomicBool::new(true),
            lock: OnceLock::new(),
            folder: folder.to_owned(),
            context,
        })))
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&DeliveryFolder) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let kept = Arc::clone(&self.0);
        blocking(&self.0.folder, move || work(&kept)).await
    }

    async fn append(&self, follower: &str, notes: Vec<DeliveryNote>) -> Result<(), StoreError> {
        let follower = follower.to_owned();
        self.run(move |kept| kept.notes.append(&follower, &notes))
            .await
    }
}

impl DeliveryFolder {
    /// As the port's method. Blocks.
    pub(crate) fn open_deleted(
        &self,
        conversation: ConversationKey,
    ) -> Result<(Metadata, FsLog), StoreError> {
        let (id, folder) = (conversation.id, self.outbox.path(conversation));
        let metadata = read_metadata(self.context.disk.as_ref(), &folder, id)?;
        let log = FsLog::load_deleted(id, &folder, self.context.clone())?;
        Ok((metadata, log))
    }

    /// Whether the cursor of a conversation can still be of use.
    fn has(&self, conversation: &ConversationKey) -> bool {
        // In this order: one that is being deleted is in the outbox before it leaves the list.
        let row = self.context.catalog.row(conversation.id);
        row.is_some_and(|row| row.created_at == conversation.created_at)
            || self.context.disk.exists(&self.outbox.path(*conversation))
    }
}

#[async_trait]
impl DeliveryRecords for FsDeliveryRecords {
    async fn followers(&self) -> Result<Vec<String>, StoreError> {
        self.run(|kept| kept.notes.followers()).await
    }

    async fn load(&self, follower: &str) -> Result<Option<FollowerRecords>, StoreError> {
        let follower = follower.to_owned();
        self.run(move |kept| Ok(delivery_note::fold(kept.notes.read(&follower)?)))
            .await
    }

    async fn put_follower(
        &self,
        follower: &str,
        name: &str,
        since: Option<UtcTime>,
        position: Option<FeedPosition>,
    ) -> Result<(), StoreError> {
        let name = name.to_owned();
        let mut notes = vec![DeliveryNote::Follower { name, since }];
        notes.extend(position.map(DeliveryNote::Feed));
        self.append(follower, notes).await
    }

    async fn mark_removed(&self, follower: &str, at: UtcTime) -> Result<(), StoreError> {
        let notes = vec![DeliveryNote::Removed { at }];
        self.append(follower, notes).await
    }

    async fn put_position(&self, follower: &str, position: FeedPosition) -> Result<(), StoreError> {
        let notes = vec![DeliveryNote::Feed(position)];
        self.append(follower, notes).await
    }

    async fn put_cursors(
        &self,
        follower: &str,
        cursors: Vec<(ConversationKey, Cursor)>,
    ) -> Result<(), StoreError> {
        let notes = cursors
            .into_iter()
            .map(|(conversation, cursor)| DeliveryNote::Cursor {
                conversation,
                cursor,
            });
        self.append(follower, notes.collect()).await
    }

    async fn rewind_all(&self, follower: &str, at: UtcTime) -> Result<(), StoreError> {
        let notes = vec![DeliveryNote::Rewound { at }];
        self.append(follower, notes).await
    }

    async fn push_dead_letter(&self, follower: &str, letter: DeadLetter) -> Result<(), StoreError> {
        let notes = vec![DeliveryNote::Dead(Box::new(letter))];
        self.append(follower, notes).await
    }

    async fn remove_dead_letter(&self, follower: &str, id: &str) -> Result<(), StoreError> {
        let notes = vec![DeliveryNote::Restored { id: id.to_owned() }];
        self.append(follower, notes).await
    }

    async fn flush(&self, follower: &str) -> Result<(), StoreError> {
        let follower = follower.to_owned();
        self.run(move |kept| kept.notes.sync(&follower, |of| kept.has(of)))
            .await
    }

    async fn forget(&self, follower: &str) -> Result<(), StoreError> {
        let follower = follower.to_owned();
        self.run(move |kept| kept.notes.forget(&follower)).await
    }

    async fn deleted(&self) -> Result<Vec<DeletedConversation>, StoreError> {
        self.run(|kept| kept.outbox.list()).await
    }

    async fn open_deleted(
        &self,
        conversation: ConversationKey,
    ) -> Result<(Metadata, Arc<dyn LogReader>), StoreError> {
        self.run(move |kept| {
            let (metadata, log) = kept.open_deleted(conversation)?;
            Ok((metadata, Arc::new(log) as Arc<dyn LogReader>))
        })
        .await
    }

    async fn discard(&self, conversation: ConversationKey) -> Result<(), StoreError> {
        self.run(move |kept| kept.outbox.discard(conversation))
            .await
    }
}
