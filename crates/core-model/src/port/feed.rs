use async_trait::async_trait;
use uuid::Uuid;

use super::StoreError;
use crate::{ConversationId, ConversationKey, Seq, UtcTime};

/// One change of one conversation, at its place in the order over all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedEntry {
    /// Counts from 0; gaps are possible.
    pub position: u64,
    pub conversation: ConversationId,
    /// When that conversation was created: an id may be used again after a deletion, and entries about the
    /// first conversation are not about the second.
    pub created_at: UtcTime,
    pub change: Change,
}

impl FeedEntry {
    /// Which conversation it is about, also if its id is used again later.
    #[must_use]
    pub fn key(&self) -> ConversationKey {
        ConversationKey {
            id: self.conversation,
            created_at: self.created_at,
        }
    }
}

/// What happened to a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Created,
    /// Its log grew by the lines `from..to`.
    Appended {
        from: Seq,
        to: Seq,
    },
    Deleted,
}

/// What happens in all conversations, in one durable order. An entry appears after its events are
/// durable, and stays: a follower resumes from a position, also after a restart.
#[async_trait]
pub trait Feed: Send + Sync {
    /// Names this feed. A store whose feed was lost begins a new one, in which positions of the old
    /// one mean nothing.
    fn feed_id(&self) -> Uuid;

    /// The position that the next change will have; everything before it is durable when this returns.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn feed_len(&self) -> Result<u64, StoreError>;

    /// Entries from `from` on, up to `limit`; none means that there are no more up to the end that
    /// [`Self::feed_grown`] returned.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn feed_entries(&self, from: u64, limit: usize) -> Result<Vec<FeedEntry>, StoreError>;

    /// Waits until there are entries at `len` or after, and returns where they end for now.
    ///
    /// # Errors
    /// When the store cannot be read.
    ///
    /// # Cancel safety
    /// A dropped call loses nothing.
    async fn feed_grown(&self, len: u64) -> Result<u64, StoreError>;
}
