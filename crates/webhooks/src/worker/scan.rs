//! Looking through all conversations, where the feed does not tell: at a webhook's beginning from the
//! start, after it was rewound to it, and when the feed was lost.

use std::{future::pending, pin::Pin, time::Duration};

use core_model::{ConversationId, ConversationOrder, Row, Store, StoreError, port::ListQuery};

/// Conversations that are looked at at a time.
const PAGE: usize = 256;

pub(super) struct Scan {
    /// The list of conversations may not be complete, or cannot be read, before.
    not_before: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Whether what was deleted has been looked through.
    deleted: bool,
    /// The next page's first one.
    next: Option<ConversationId>,
}

/// What a step of it found.
pub(super) enum Found {
    /// All deleted conversations are to be looked at.
    Deleted,
    Rows(Vec<Row>),
    /// These are the last ones.
    LastRows(Vec<Row>),
}

impl Scan {
    pub(super) fn after(recovered: impl Future<Output = ()> + Send + 'static) -> Self {
        Self {
            not_before: Some(Box::pin(recovered)),
            ..Self::now()
        }
    }

    pub(super) fn now() -> Self {
        Self {
            not_before: None,
            deleted: false,
            next: None,
        }
    }

    /// Waits until there is something to look through, and room for what is found.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn may_continue(scan: &mut Option<Self>, room: bool) {
        let Some(scan) = scan.as_mut().filter(|_| room) else {
            return pending().await;
        };
        if let Some(waiting) = &mut scan.not_before {
            waiting.await;
            scan.not_before = None;
        }
    }

    /// Lets some time go by before the next step.
    pub(super) fn pause(&mut self, pause: Duration) {
        self.not_before = Some(Box::pin(tokio::time::sleep(pause)));
    }

    /// Looks at some more.
    ///
    /// # Errors
    /// When the list cannot be read; the next call tries again.
    pub(super) async fn step(&mut self, store: &dyn Store) -> Result<Found, StoreError> {
        if !std::mem::replace(&mut self.deleted, true) {
            return Ok(Found::Deleted);
        }
        let query = ListQuery {
            status: None,
            first: self.next,
            limit: PAGE,
            order: ConversationOrder::Created,
        };
        let page = store.list(&query).await?;
        // The last page is read again until all that follows it is known.
        self.next = page.next.or(self.next);
        match page.next {
            Some(_) => Ok(Found::Rows(page.rows)),
            None => Ok(Found::LastRows(page.rows)),
        }
    }
}
