use async_trait::async_trait;

use super::{Extent, NewRecord, StoreError, Summary};
use crate::{ConversationKey, Metadata};

/// The first lines of another conversation's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    pub of: ConversationKey,
    /// How far. The log may be longer by now.
    pub extent: Extent,
}

/// A conversation that is made with a log. Until it is published nobody can see, list, count, open, claim or
/// delete it, and its id is free. One that is dropped before, or whose server ends, leaves nothing.
///
/// After an error it can only be dropped.
#[async_trait]
pub trait StagedConversation: Send {
    /// How far its log is.
    fn extent(&self) -> Extent;

    /// Adds records at the end of its log. They need not be durable yet.
    ///
    /// # Errors
    /// When they cannot be written.
    ///
    /// # Cancel safety
    /// A dropped call may still append; then it can only be dropped.
    async fn append(&mut self, records: Vec<NewRecord>) -> Result<(), StoreError>;

    /// Makes the conversation durable as a whole, then puts it on the list and tells the feed that it was created
    /// and has grown. `metadata` has the id that it was staged under.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when another conversation has the id by now, or a write error; then nothing
    /// is left of it.
    ///
    /// # Cancel safety
    /// A dropped call publishes it as a whole, or leaves nothing.
    async fn publish(
        self: Box<Self>,
        metadata: &Metadata,
        summary: Summary,
    ) -> Result<(), StoreError>;
}
