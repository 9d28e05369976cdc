//! The ports of a store: `store-fs` implements them with files, `store-memory` in memory. A database can
//! implement them too: every write is made under a claim, whose epoch the store checks, and the feed is one
//! order over all logs.

mod catalog;
mod claims;
mod deliveries;
mod delivery_records;
mod fault;
mod feed;
mod log;
mod receipts;
mod spending_records;
mod staging;

use thiserror::Error;

use crate::ConversationId;

pub use catalog::{Catalog, ConversationOrder, Health, ListPage, ListQuery, Notice, Row};
pub use claims::{Claim, Claimed, Claims, Holder};
pub use deliveries::{
    Attempt, Deliveries, DeliveriesError, Delivery, DeliveryFailure, DeliveryList, DeliverySubject,
    Lag, Outcome, Probes, Rewind, Rewound, WebhookForm, WebhookInfo, WebhookState,
};
pub use delivery_records::{
    Cursor, DeadLetter, DeletedConversation, DeliveryRecords, FeedPosition, FollowerChange,
    FollowerRecords, MAX_DEAD_LETTERS,
};
pub use fault::{Fault, FaultKind};
pub use feed::{Change, Feed, FeedEntry};
pub use log::{Extent, Head, HeadFilter, Limit, LogReader, LogWriter, NewRecord, Record, Summary};
pub use receipts::{Digest, RECEIPT_HOURS, RECEIPTS, Receipt, Receipts};
pub use spending_records::{SpendingRecord, SpendingRecords};
pub use staging::{Prefix, StagedConversation};

/// All that a server needs of its store.
pub trait Store: Catalog + Claims + Feed + Receipts + DeliveryRecords + SpendingRecords {}

impl<T> Store for T where T: Catalog + Claims + Feed + Receipts + DeliveryRecords + SpendingRecords {}

/// What can go wrong with a store, in any implementation.
#[derive(Debug, Error)]
pub enum StoreError {
    #[error("no such conversation: {0}")]
    NotFound(ConversationId),
    #[error("conversation {0} already exists")]
    Exists(ConversationId),
    /// The claim for this write is lost: another writer may write now, and this one never can again.
    #[error("another writer has taken over")]
    Fenced,
    #[error("conversation {id} is owned by another server ({})", holder.server)]
    OwnedElsewhere { id: ConversationId, holder: Holder },
    /// The store cannot be reached for now.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    #[error("the log takes no more events since an earlier write failed: {0}")]
    Poisoned(Fault),
    #[error("{path}: {source}")]
    Io {
        path: String,
        source: std::io::Error,
    },
    #[error("{path}: damaged: {reason}")]
    Damaged { path: String, reason: String },
    #[error("{limit} requests with an Idempotency-Key are remembered, and no more can be")]
    TooManyReceipts { limit: usize },
}

impl StoreError {
    /// The problem of the disk, if that is the reason.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Poisoned(fault) => Some(fault.clone()),
            Self::Io { source, .. } => Some(Fault::of(source)),
            Self::NotFound(_)
            | Self::Exists(_)
            | Self::Fenced
            | Self::OwnedElsewhere { .. }
            | Self::Unavailable(_)
            | Self::Damaged { .. }
            | Self::TooManyReceipts { .. } => None,
        }
    }
}
