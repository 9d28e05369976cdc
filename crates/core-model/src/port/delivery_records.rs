use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Delivery, DeliverySubject, LogReader, Outcome, StoreError};
use crate::{ConversationKey, Metadata, Seq, UtcTime};

/// Dead letters that are kept of one follower; one more removes the oldest.
pub const MAX_DEAD_LETTERS: usize = 1000;

/// What is recorded of the followers outside this process (webhooks): how far each got, what it
/// refused, and the deleted conversations whose events it has yet to receive.
///
/// A follower is named by up to 64 letters, digits and dashes. Callers take turns: one writer a
/// follower.
///
/// **Durability.** What [`Self::change`] recorded is seen by the next [`Self::load`], and the end of this
/// process leaves it. A loss of power leaves what was
/// recorded before the last successful [`Self::flush`], and of what came later only some, in the order
/// in which it was recorded. So a caller that records a cursor after the receiver has the events sends
/// some of them twice, but never none; and one that flushes a dead letter before it records the cursor
/// that passes over its events does not lose both.
///
/// **Several servers.** A webhook will be claimed as a conversation is. Each method that writes then
/// takes the claim's fencing token after the follower's name, and fails as fenced once another server
/// has the webhook. On the file system and in memory the claim is always ours, so there is no token
/// yet.
#[async_trait]
pub trait DeliveryRecords: Send + Sync {
    /// The followers that anything is recorded of.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn followers(&self) -> Result<Vec<String>, StoreError>;

    /// All that is recorded of a follower; none for one that is new. What a crash cut off or damaged is
    /// left out, with a warning.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn load(&self, follower: &str) -> Result<Option<FollowerRecords>, StoreError>;

    /// Records changes of a follower, in their order: they mean what [`FollowerRecords::apply`] does.
    ///
    /// # Errors
    /// When they cannot be written; some of them may be.
    async fn change(&self, follower: &str, changes: Vec<FollowerChange>) -> Result<(), StoreError>;

    /// Makes durable what was recorded of a follower. A store whose writes are durable when they return
    /// has nothing to do here. This is also where a store may tidy up: cursors of conversations that
    /// are neither there nor among [`Self::deleted`] may go.
    ///
    /// # Errors
    /// When that fails. What was recorded since the last success may be lost.
    async fn flush(&self, follower: &str) -> Result<(), StoreError>;

    /// Removes all records of a follower; one that has none is fine.
    ///
    /// # Errors
    /// When they cannot be removed.
    async fn forget_follower(&self, follower: &str) -> Result<(), StoreError>;

    /// The deleted conversations that wait.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn deleted(&self) -> Result<Vec<DeletedConversation>, StoreError>;

    /// Opens a deleted conversation that waits: its metadata, and its log, which takes no events.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when it does not wait (any more); [`StoreError::Damaged`].
    async fn open_deleted(
        &self,
        conversation: ConversationKey,
    ) -> Result<(Metadata, Arc<dyn LogReader>), StoreError>;

    /// Removes what is left of a deleted conversation; one that is gone already is fine.
    ///
    /// # Errors
    /// When it cannot be removed.
    async fn discard(&self, conversation: ConversationKey) -> Result<(), StoreError>;
}

/// Where a follower continues in one conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The next event that it wants.
    pub next: Seq,
    /// When a person last rewound it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewound: Option<UtcTime>,
}

/// A position in a feed. In another feed it means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedPosition {
    pub feed: Uuid,
    pub position: u64,
}

/// A deleted conversation that waits, since then, for followers who have yet to receive all its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeletedConversation {
    pub conversation: ConversationKey,
    pub deleted_at: UtcTime,
}

/// Events of one conversation that a receiver refused for good. They stay in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The delivery's id.
    pub id: String,
    #[serde(flatten)]
    pub conversation: ConversationKey,
    pub first_seq: Seq,
    pub last_seq: Seq,
    /// How many events that is; fewer than seqs where a filter leaves some out.
    pub events: u64,
    pub at: UtcTime,
    pub attempts: u32,
    /// [`Outcome::Dead`] or [`Outcome::Dropped`].
    pub outcome: Outcome,
    /// The receiver's last answer.
    pub status: Option<u16>,
    pub reason: String,
}

impl DeadLetter {
    /// As a list of deliveries shows it.
    #[must_use]
    pub fn to_delivery(&self) -> Delivery {
        Delivery {
            id: self.id.clone(),
            subject: DeliverySubject::Events,
            conversation_id: Some(self.conversation.id),
            first_seq: Some(self.first_seq),
            last_seq: Some(self.last_seq),
            events: self.events,
            outcome: self.outcome,
            attempts: self.attempts,
            status: self.status,
            reason: Some(self.reason.clone()),
            at: self.at,
            milliseconds: None,
        }
    }
}

/// All that is recorded of one follower.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FollowerRecords {
    /// Its name for people.
    pub name: String,
    /// Events before this are not for it; none: all are.
    pub since: Option<UtcTime>,
    /// Nobody wants it since then.
    pub removed: Option<UtcTime>,
    /// Everything that the feed has before this has been dealt with.
    pub position: Option<FeedPosition>,
    pub cursors: HashMap<ConversationKey, Cursor>,
    /// When all conversations were last rewound to their start.
    pub rewound: Option<UtcTime>,
    /// The oldest first; at most [`MAX_DEAD_LETTERS`].
    pub dead_letters: VecDeque<DeadLetter>,
}

impl FollowerRecords {
    /// What recording a change means.
    pub fn apply(&mut self, change: FollowerChange) {
        match change {
            FollowerChange::Wanted { name, since } => {
                (self.name, self.since, self.removed) = (name, since, None);
            }
            FollowerChange::Removed { at } => self.removed = Some(at),
            FollowerChange::Position(position) => self.position = Some(position),
            FollowerChange::Cursor {
                conversation,
                cursor,
            } => {
                self.cursors.insert(conversation, cursor);
            }
            FollowerChange::Rewound { at } => {
                self.cursors.clear();
                self.since = None;
                self.position = None;
                self.rewound = Some(at);
            }
            FollowerChange::DeadLetter(letter) => {
                self.dead_letters.push_back(*letter);
                if self.dead_letters.len() > MAX_DEAD_LETTERS {
                    self.dead_letters.pop_front();
                }
            }
            FollowerChange::Restored { id } => {
                self.dead_letters.retain(|letter| letter.id != id);
            }
        }
    }
}

/// One change of what is recorded of a follower. Its JSON is a line of the follower's file in a store on
/// files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "note", rename_all = "snake_case")]
pub enum FollowerChange {
    /// It is wanted (again), under this name for people. Events before `since` are not for it; none: all
    /// are. Cursors and dead letters stay.
    #[serde(rename = "follower")]
    Wanted {
        name: String,
        since: Option<UtcTime>,
    },
    /// Nobody wants it since then. Its records stay until [`DeliveryRecords::forget_follower`].
    Removed { at: UtcTime },
    /// Everything that the feed has before this position has been dealt with.
    #[serde(rename = "feed")]
    Position(FeedPosition),
    /// Where it continues in a conversation.
    Cursor {
        #[serde(flatten)]
        conversation: ConversationKey,
        #[serde(flatten)]
        cursor: Cursor,
    },
    /// All conversations are rewound to their start: cursors and the position in the feed no longer count,
    /// and no event is too old. Dead letters stay.
    Rewound { at: UtcTime },
    /// It refused these events for good. Beyond [`MAX_DEAD_LETTERS`] the oldest one goes.
    #[serde(rename = "dead")]
    DeadLetter(Box<DeadLetter>),
    /// It took a dead letter after all. One that is unknown is fine.
    #[serde(rename = "revived")]
    Restored { id: String },
}
