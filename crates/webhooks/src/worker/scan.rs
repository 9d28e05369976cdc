//! Looking through all conversations, where the feed does not tell: at a webhook's beginning from the
//! start, after it was taken back to it, and when the feed was lost.

use std::{future::pending, pin::Pin};

use core_model::{
    ConversationId, ConversationKey, ConversationOrder, Seq, StoreError, port::ListQuery,
};

use super::{Worker, feed::AGAIN};

/// Conversations that are looked at at a time.
const PAGE: usize = 256;

pub(super) struct Scan {
    /// The list of conversations may not be whole before.
    settled: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Whether what was deleted has been looked through.
    departed: bool,
    /// The next page's first one.
    next: Option<ConversationId>,
}

impl Scan {
    pub(super) fn after(settled: impl Future<Output = ()> + Send + 'static) -> Self {
        Self {
            settled: Some(Box::pin(settled)),
            departed: false,
            next: None,
        }
    }

    pub(super) fn now() -> Self {
        Self {
            settled: None,
            departed: false,
            next: None,
        }
    }

    /// Waits until there is something to look through, and room for what is found.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn may_go_on(scan: &mut Option<Self>, room: bool) {
        let Some(scan) = scan.as_mut().filter(|_| room) else {
            return pending().await;
        };
        if let Some(settled) = &mut scan.settled {
            settled.await;
            scan.settled = None;
        }
    }
}

impl Worker {
    /// Looks at some more conversations.
    pub(super) async fn scan_on(&mut self) {
        let Some(scan) = &mut self.scan else { return };
        if !std::mem::replace(&mut scan.departed, true) {
            for of in self.outbox.all() {
                self.look_at_departed(of).await;
            }
            return;
        }
        let query = ListQuery {
            status: None,
            first: scan.next,
            limit: PAGE,
            order: ConversationOrder::Created,
        };
        let page = match self.hook.ports.source.list(&query).await {
            Ok(page) => page,
            Err(error) => return self.scan_failed(&error),
        };
        if let Some(scan) = &mut self.scan {
            // The last page is read again until all that follows it is known.
            scan.next = page.next.or(scan.next);
        }
        for row in &page.rows {
            let of = row.key();
            if let Some(place) = self.delivered.get_mut(&of)
                && place.next > row.extent.len
            {
                tracing::warn!(
                    webhook = self.hook.name, conversation.id = %of.id,
                    "delivered events were lost in a crash; it goes on at the log's end"
                );
                place.next = row.extent.len;
            }
            self.look_at(of, row.extent.len).await;
        }
        if page.next.is_none() {
            self.scanned_to = match self.hook.ports.source.feed_len().await {
                Ok(len) => len,
                Err(error) => return self.scan_failed(&error),
            };
            self.scan = None;
            self.delivered_to = self.scanned_to;
            self.forget_delivered();
            self.tell_outbox();
            self.clear_outbox();
        }
    }

    /// Tries again later.
    fn scan_failed(&mut self, error: &StoreError) {
        tracing::error!(webhook = self.hook.name, %error, "a webhook cannot read the list of conversations");
        if let Some(scan) = &mut self.scan {
            scan.settled = Some(Box::pin(tokio::time::sleep(AGAIN)));
        }
    }

    /// A deleted conversation that waits: the feed may not tell of it again. How long its log is shows
    /// when it is opened.
    pub(super) async fn look_at_departed(&mut self, of: ConversationKey) {
        let known = self.delivered.get(&of).map_or(Seq(0), |place| place.next);
        self.look_at(of, known.after(1)).await;
        if self.backlog.get(&of).is_some() {
            self.outbox.hold(&of, self.hook.index);
            self.backlog.depart(&of);
        }
    }

    pub(super) async fn look_at(&mut self, of: ConversationKey, len: Seq) {
        let known = self.delivered.get(&of).map(|place| place.next);
        let next = known.unwrap_or(Seq(0));
        if next >= len || !self.hook.wants(of.id) || self.backlog.get(&of).is_some() {
            return;
        }
        // Position 0 keeps the place in the feed from being put down before this one is through.
        self.grew(of, next, len, 0).await;
        let since = self.records.since.filter(|since| of.created_at < *since);
        if let Some(pending) = self.backlog.get_mut(&of) {
            pending.since = since.filter(|_| known.is_none());
        }
    }
}
