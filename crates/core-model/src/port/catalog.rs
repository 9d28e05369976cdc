use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Extent, LogReader, StoreError};
use crate::{ConversationId, ConversationKey, ExecutionStatus, Metadata, UtcTime};

/// What a list knows of a conversation without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    pub id: ConversationId,
    pub created_at: UtcTime,
    pub updated_at: UtcTime,
    pub status: ExecutionStatus,
    /// What this is true of.
    pub extent: Extent,
    /// How large its log is, in bytes.
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

/// How a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether new events can be made durable now, or why not, in words a person can act on.
    pub ready: Result<(), String>,
    /// What was found since the store was opened, the newest last; at most a hundred.
    pub notices: Vec<Notice>,
}

/// The conversations of a store. What a call returns holds at some moment during the call: it has all
/// that was acknowledged before, through whichever server.
#[async_trait]
pub trait Catalog: Send + Sync {
    /// Makes a conversation with an empty log and puts it on the list; durable when this returns.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the id is taken.
    async fn create(&self, metadata: &Metadata) -> Result<(), StoreError>;

    /// Opens a log for reading.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or [`StoreError::Damaged`] when the metadata cannot be read.
    async fn open(&self, id: ConversationId) -> Result<Arc<dyn LogReader>, StoreError>;

    /// A page of the list.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn list(&self, query: &ListQuery) -> Result<ListPage, StoreError>;

    /// How many conversations there are, of one status or in all.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn count(&self, status: Option<ExecutionStatus>) -> Result<u64, StoreError>;

    /// A conversation's row; none where there is no such conversation.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn row(&self, id: ConversationId) -> Result<Option<Row>, StoreError>;

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

    /// What lists show of several conversations that nobody writes, in their order: each the JSON of
    /// [`crate::ConversationInfo::listed`]. None where the store does not have that ready, or it would
    /// not be true of the whole log: then it follows from the metadata and the log.
    ///
    /// # Errors
    /// When the store cannot be read at all.
    async fn infos(&self, ids: &[ConversationId]) -> Result<Vec<Option<Bytes>>, StoreError> {
        Ok(vec![None; ids.len()])
    }

    /// Removes a conversation and all it stored, but not its agent's workspace. A writer that holds a
    /// claim of this server's is fenced.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::OwnedElsewhere`] or a write error.
    async fn delete(&self, id: ConversationId) -> Result<(), StoreError>;

    /// How the store is, now.
    fn health(&self) -> Health;

    /// Gives back all claims and makes all durable that may be late, at the end of all changes. A store
    /// that is dropped does what it can of this.
    ///
    /// # Errors
    /// When that fails; what was acknowledged stays so.
    async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
