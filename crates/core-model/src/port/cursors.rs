use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{LogReader, Outcome, StoreError};
use crate::{ConversationId, Metadata, Seq, UtcTime};

/// One conversation among all that ever were: an id may be used again after a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Incarnation {
    #[serde(rename = "conversation_id")]
    pub id: ConversationId,
    pub created_at: UtcTime,
}

/// A fact about how far one follower outside this process got. Later notes outrank earlier ones about
/// the same thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "note", rename_all = "snake_case")]
pub enum Note {
    /// The follower is wanted, under this name for people. Events before `since` are not for it.
    Follower {
        name: String,
        since: Option<UtcTime>,
    },
    /// Nobody wants it since then.
    Removed { at: UtcTime },
    /// Everything that the feed told before `position` has been dealt with.
    Feed { feed: Uuid, position: u64 },
    /// The next event of a conversation that it wants. Was it taken back by somebody: when.
    Cursor {
        #[serde(flatten)]
        conversation: Incarnation,
        next: Seq,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rewound: Option<UtcTime>,
    },
    /// All conversations were taken back to their start: cursors before this note count no more.
    Rewound { at: UtcTime },
    /// It refused these events for good.
    Dead(Box<DeadLetter>),
    /// It took a dead letter after all.
    Revived { id: String },
}

/// Events of one conversation that a receiver refused for good. They stay in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The delivery's id.
    pub id: String,
    #[serde(flatten)]
    pub conversation: Incarnation,
    pub first_seq: Seq,
    pub last_seq: Seq,
    /// How many events that is; fewer than seqs where a filter leaves some out.
    pub events: u64,
    pub at: UtcTime,
    pub attempts: u32,
    /// [`Outcome::Dead`] or [`Outcome::Dropped`].
    pub outcome: Outcome,
    /// What the receiver said last.
    pub status: Option<u16>,
    pub reason: String,
}

/// A deleted conversation that waits, since then, for followers who have yet to hear of all its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Departed {
    pub conversation: Incarnation,
    pub deleted_at: UtcTime,
}

/// Where followers outside this process stand, and the deleted conversations they are not through
/// with.
///
/// A follower is named by up to 64 letters, digits and dashes.
#[async_trait]
pub trait Cursors: Send + Sync {
    /// Who has notes here.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn followers(&self) -> Result<Vec<String>, StoreError>;

    /// All notes about a follower, in the order they were put down; none for one that is new. Notes that
    /// a crash cut off or that are damaged are left out, with a warning.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn notes(&self, follower: &str) -> Result<Vec<Note>, StoreError>;

    /// Puts down more notes. The end of this process leaves them, and after [`Self::sync`] a power cut
    /// too; a power cut before that may take any of them. Callers take turns: one writer a follower.
    ///
    /// # Errors
    /// When they cannot be written: none, some or all were.
    async fn append(&self, follower: &str, notes: Vec<Note>) -> Result<(), StoreError>;

    /// Makes durable what was put down.
    ///
    /// # Errors
    /// When that fails. What was put down since the last success may be lost.
    async fn sync(&self, follower: &str) -> Result<(), StoreError>;

    /// Puts these notes in the place of all others, whole or not at all, durably.
    ///
    /// # Errors
    /// When they cannot be written.
    async fn replace(&self, follower: &str, notes: Vec<Note>) -> Result<(), StoreError>;

    /// Drops all notes about a follower.
    ///
    /// # Errors
    /// When they cannot be removed.
    async fn forget(&self, follower: &str) -> Result<(), StoreError>;

    /// The deleted conversations that wait.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn departed(&self) -> Result<Vec<Departed>, StoreError>;

    /// Opens a deleted conversation that waits: what it was, and its log, which takes no events.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when it does not wait (any more); [`StoreError::Damaged`].
    async fn open_departed(
        &self,
        conversation: Incarnation,
    ) -> Result<(Metadata, Arc<dyn LogReader>), StoreError>;

    /// Removes what is left of a deleted conversation; one that is gone already is fine.
    ///
    /// # Errors
    /// When it cannot be removed.
    async fn discard(&self, conversation: Incarnation) -> Result<(), StoreError>;
}
