use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{EventLog, StoreError};
use crate::{ConversationId, ConversationKey, ExecutionStatus, Metadata, Seq, UtcTime};

/// What a list knows of a conversation without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    pub id: ConversationId,
    pub created_at: UtcTime,
    pub updated_at: UtcTime,
    pub status: ExecutionStatus,
    /// How long its log is, in lines and in bytes.
    pub len: Seq,
    pub bytes: u64,
}

impl Row {
    /// Which conversation it is about, also if its id is used again later.
    #[must_use]
    pub fn key(&self) -> ConversationKey {
        ConversationKey {
            id: self.id,
            created_at: self.created_at,
        }
    }
}

/// In which order conversations are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConversationOrder {
    Created,
    Updated,
    #[default]
    CreatedDescending,
    UpdatedDescending,
}

/// One page of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListQuery {
    pub status: Option<ExecutionStatus>,
    /// The page's first conversation; one that is not there means the start.
    pub first: Option<ConversationId>,
    pub limit: usize,
    pub order: ConversationOrder,
}

/// The conversations of a page, and the next page's first one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListPage {
    pub rows: Vec<Row>,
    pub next: Option<ConversationId>,
}

/// Something a store found and mended, or left as it was, that a person should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    pub conversation_id: ConversationId,
    pub found_at: UtcTime,
    /// What was found and what became of it, in words.
    pub text: String,
}

/// The conversations of a store.
#[async_trait]
pub trait Catalog: Send + Sync {
    /// Makes a conversation with an empty log and puts its row on the list; durable when this
    /// returns.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the id is taken.
    async fn create(&self, metadata: &Metadata) -> Result<(), StoreError>;

    /// A page of the list, from memory. Right after a start it may lack what [`Self::check`] has yet
    /// to find.
    fn list(&self, query: &ListQuery) -> ListPage;

    /// How many conversations there are, of one status or in all, from memory.
    fn count(&self, status: Option<ExecutionStatus>) -> u64;

    /// A conversation's row, from memory.
    fn row(&self, id: ConversationId) -> Option<Row>;

    /// Puts down how a conversation stands now. Whoever follows the feed is led to the events between
    /// the length of the row before and this one's. Rows are no truth: one that a crash loses is
    /// found by [`Self::check`].
    fn note(&self, row: Row);

    /// Whether the store was closed in order the last time, so that the list is whole even before
    /// [`Self::check`].
    fn closed_in_order(&self) -> bool;

    /// Puts down that all is in order, at the end of all changes: then the next start need not look
    /// through everything. Dropping the store does it too, but a process that ends does not always get
    /// there.
    ///
    /// # Errors
    /// When it cannot be written; then the next start looks.
    async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Compares the list with what is stored: drops the rows of conversations that are gone, and puts
    /// down, from the metadata, those that are missing. Names the conversations that are to be looked
    /// into because their metadata is not true of their whole log, or a run was under way. Call it once
    /// after a start; until it returns, the list may be incomplete.
    ///
    /// # Errors
    /// When the store cannot be read at all.
    async fn check(&self) -> Result<Vec<ConversationId>, StoreError>;

    /// # Errors
    /// [`StoreError::NotFound`] or a read error.
    async fn metadata(&self, id: ConversationId) -> Result<Metadata, StoreError>;

    /// The metadata of several conversations, in their order. One that is gone, or cannot be read
    /// (the store warns of it), is none.
    ///
    /// # Errors
    /// When the store cannot be read at all.
    async fn metadata_of(
        &self,
        ids: &[ConversationId],
    ) -> Result<Vec<Option<Metadata>>, StoreError>;

    /// What lists show of several conversations at rest, in their order: each the JSON of
    /// [`crate::ConversationInfo::listed`]. None where the store does not have that at hand: then it
    /// follows from the metadata and the log. Means something only once [`Self::check`] is done, or
    /// when the store was closed in order.
    ///
    /// # Errors
    /// When the store cannot be read at all.
    async fn infos(&self, ids: &[ConversationId]) -> Result<Vec<Option<Bytes>>, StoreError> {
        Ok(vec![None; ids.len()])
    }

    /// Replaces a conversation's metadata as a whole; durable when this returns.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] or a write error.
    async fn set_metadata(&self, metadata: &Metadata) -> Result<(), StoreError>;

    /// Opens a log, mending what a crash left at its end, and putting that down in the metadata.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or [`StoreError::Damaged`] when the metadata cannot be read.
    async fn open(&self, id: ConversationId) -> Result<Arc<dyn EventLog>, StoreError>;

    /// Removes a conversation and all it stored, but not its agent's workspace.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] or a write error.
    async fn delete(&self, id: ConversationId) -> Result<(), StoreError>;

    /// The folder where a conversation's tools may keep files of their own.
    fn folder(&self, id: ConversationId) -> std::path::PathBuf;

    /// Whether new events can be made durable now, or why not.
    ///
    /// # Errors
    /// The reason in words a person can act on.
    fn ready(&self) -> Result<(), String>;

    /// What was found since the store was opened, the newest last; at most a hundred.
    fn notices(&self) -> Vec<Notice>;
}
