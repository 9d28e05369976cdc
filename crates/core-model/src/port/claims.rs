use async_trait::async_trait;
use tokio::sync::watch;

use super::{LogWriter, StoreError};
use crate::ConversationId;

/// The right to write one conversation. Dropping it releases it: the next claim by any server succeeds at
/// once.
pub struct Claim {
    pub log: Box<dyn LogWriter>,
    /// The fencing token: grows with each claim of the conversation. A write with a smaller one than the
    /// latest is refused, so that safety does not depend on clocks.
    pub epoch: u64,
    /// Turns true when another writer took over, the conversation was deleted, or this server is considered
    /// dead. Only a hint to stop early: what counts is that writes are fenced.
    pub lost: watch::Receiver<bool>,
}

/// A server that holds a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The server's own id.
    pub server: String,
    /// Where other servers reach it, if it is known.
    pub address: Option<String>,
}

/// The answer to a claim.
pub enum Claimed {
    Mine(Claim),
    /// Another server, which is alive, has it.
    Theirs(Holder),
}

/// Who may write which conversation.
#[async_trait]
pub trait Claims: Send + Sync {
    /// Takes the right to write a conversation, unless another server that is alive has it. A claim of
    /// a conversation that this server holds already succeeds and fences the earlier one. What the
    /// earlier writer had under way is visible or refused before this returns: after [`LogWriter::extent`]
    /// come only the new writer's own appends. Repairs what a crash left at the log's end.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Damaged`] when the metadata cannot be read.
    ///
    /// # Cancel safety
    /// A dropped call may have fenced the earlier writer.
    async fn claim(&self, id: ConversationId) -> Result<Claimed, StoreError>;

    /// The server that has it; none when no server that is alive does.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn holder(&self, id: ConversationId) -> Result<Option<Holder>, StoreError>;

    /// Conversations that no server holds and that need recovery: they run, or a crash may have left more in
    /// their log than the list says. At most `limit`. They are named until they are claimed. Waits until the
    /// store knows them, which after a start takes until it has checked what a crash may have left.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn orphans(&self, limit: usize) -> Result<Vec<ConversationId>, StoreError>;
}
