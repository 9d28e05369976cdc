use async_trait::async_trait;
use tokio::sync::watch;

use super::{LogWriter, StoreError};
use crate::ConversationId;

/// The right to write one conversation. Dropping it gives it back: the next claim of anybody succeeds
/// at once.
pub struct Claim {
    pub log: Box<dyn LogWriter>,
    /// The fencing token: grows with each claim of the conversation. A write under a smaller one than the
    /// latest is refused, so that safety depends on no clock.
    pub epoch: u64,
    /// Turns true when another writer took over, the conversation was deleted, or this server is taken
    /// for dead. Only a hint to stop early: what counts is that writes are fenced.
    pub lost: watch::Receiver<bool>,
}

/// A server that holds a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The server's own id.
    pub server: String,
    /// Where other servers reach it, if it told.
    pub address: Option<String>,
}

/// The answer to a claim.
pub enum Claimed {
    Mine(Claim),
    /// A server that is alive has it.
    Theirs(Holder),
}

/// Who may write which conversation.
#[async_trait]
pub trait Claims: Send + Sync {
    /// Takes the right to write a conversation, unless another server that is alive has it. A claim of
    /// a conversation that this server holds already succeeds and fences the earlier one. What the
    /// earlier writer had under way is visible or refused before this returns: nothing but its own
    /// appends comes after [`LogWriter::extent`]. Mends what a crash left at the log's end.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Damaged`] when the metadata cannot be read.
    ///
    /// # Cancel safety
    /// A dropped call may have fenced the earlier writer.
    async fn claim(&self, id: ConversationId) -> Result<Claimed, StoreError>;

    /// Who has it; none when nobody who is alive has.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn holder(&self, id: ConversationId) -> Result<Option<Holder>, StoreError>;

    /// Conversations that nobody holds and that somebody has to look after: they run, or a crash may have
    /// left more in their log than the list tells, until they are claimed. At most `limit`. Waits until the store knows, after a start as long as it looks through what
    /// a crash may have left.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn orphans(&self, limit: usize) -> Result<Vec<ConversationId>, StoreError>;
}
