use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Extent, LogReader, Prefix, StagedConversation, StoreError};
use crate::{ConversationId, ConversationKey, ExecutionStatus, Metadata, UtcTime};

/// What lists know of a conversation without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    pub id: ConversationId,
    pub created_at: UtcTime,
    pub updated_at: UtcTime,
    pub status: ExecutionStatus,
    /// The extent of the log for which this is right.
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

/// Something that a store found, and repaired or left as it was, and that a person should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    pub conversation_id: ConversationId,
    pub found_at: UtcTime,
    /// What was found and what was done, in words.
    pub text: String,
}

/// The health of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether new events can be made durable now, or why not, in words a person can act on.
    pub ready: Result<(), String>,
    /// What was found since the store was opened, the newest last; at most a hundred.
    pub notices: Vec<Notice>,
}

/// The conversations of a store. The result of a call is right at some moment during the call: it includes
/// everything that was acknowledged before, by any server.
#[async_trait]
pub trait Catalog: Send + Sync {
    /// Creates a conversation with an empty log and puts it on the list; durable when this returns.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the id is taken.
    async fn create(&self, metadata: &Metadata) -> Result<(), StoreError>;

    /// Begins a conversation that is made with a log: its first lines are those of another one, byte for
    /// byte, or there are none yet. A store that can has both share them.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the id is taken; [`StoreError::NotFound`] when there is no such log, or it
    /// never had that extent; or a read or write error.
    ///
    /// # Cancel safety
    /// A dropped call leaves nothing.
    async fn stage(
        &self,
        id: ConversationId,
        prefix: Option<Prefix>,
    ) -> Result<Box<dyn StagedConversation>, StoreError>;

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

    /// A conversation's row; none if there is no such conversation.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn row(&self, id: ConversationId) -> Result<Option<Row>, StoreError>;

    /// # Errors
    /// [`StoreError::NotFound`] or a read error.
    async fn metadata(&self, id: ConversationId) -> Result<Metadata, StoreError>;

    /// The metadata of several conversations, in their order. None for a conversation that is deleted, or
    /// cannot be read; the store then logs a warning.
    ///
    /// # Errors
    /// When the store cannot be read at all.
    async fn metadata_of(
        &self,
        ids: &[ConversationId],
    ) -> Result<Vec<Option<Metadata>>, StoreError>;

    /// What lists show of several conversations that nobody writes, in their order: each the JSON of
    /// [`crate::ConversationInfo::listed`]. None if the store does not have it ready, or it is not right for
    /// the whole log: the caller then makes it from the metadata and the log.
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

    /// The health of the store, now.
    fn health(&self) -> Health;

    /// Releases all claims and makes everything durable that may be late, after all changes. A store that is
    /// dropped does as much of this as it can.
    ///
    /// # Errors
    /// When that fails; what was acknowledged stays acknowledged.
    async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
