//! What a store does for the rest of the product. `store-fs` does it with files; the ports are
//! shaped so that a distributed engine could: an append takes the length it expects, and the feed is
//! one order over all logs.

mod catalog;
mod deliveries;
mod delivery_records;
mod fault;
mod feed;
mod log;
mod receipts;

use thiserror::Error;

use crate::{ConversationId, Seq};

pub use catalog::{Catalog, ConversationOrder, ListPage, ListQuery, Notice, Row};
pub use deliveries::{
    Attempt, Deliveries, DeliveriesError, Delivery, DeliveryFailure, DeliveryList, DeliverySubject,
    Lag, Outcome, Probes, Rewind, Rewound, WebhookForm, WebhookInfo, WebhookState,
};
pub use delivery_records::{
    Cursor, DeadLetter, DeletedConversation, DeliveryRecords, FeedPosition, FollowerRecords,
    MAX_DEAD_LETTERS,
};
pub use fault::{Fault, FaultKind};
pub use feed::{Change, Feed, FeedEntry};
pub use log::{EventLog, Head, HeadFilter, Limit, NewRecord, Record};
pub use receipts::{Digest, RECEIPT_HOURS, RECEIPTS, Receipt, Receipts};

/// All that a server needs of its store.
pub trait Store: Catalog + Feed + Receipts {}

impl<T: Catalog + Feed + Receipts> Store for T {}

/// What can go wrong with a store, in any implementation.
#[derive(Debug, Error)]
pub enum StoreError {
    #[error("no such conversation: {0}")]
    NotFound(ConversationId),
    #[error("conversation {0} already exists")]
    Exists(ConversationId),
    #[error("another writer appended first: expected {expected} events, found {found}")]
    Conflict { expected: Seq, found: Seq },
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
    /// What is wrong with the disk, where that is the reason.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Poisoned(fault) => Some(fault.clone()),
            Self::Io { source, .. } => Some(Fault::of(source)),
            Self::NotFound(_)
            | Self::Exists(_)
            | Self::Conflict { .. }
            | Self::Damaged { .. }
            | Self::TooManyReceipts { .. } => None,
        }
    }
}
