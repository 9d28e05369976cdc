//! Where an endpoint is in the feed, and in the list of conversations where the feed does not tell.

use std::{future::pending, pin::Pin, sync::Arc, time::Duration};

use core_model::{Store, StoreError, port::FeedEntry};

use super::scan::{Found, Scan};

/// Entries of the feed that are read at a time.
const ENTRIES: usize = 512;
/// How long growth is let gather before it is looked at: a busy server should not wake every webhook
/// for each of its events.
const GATHER_DELAY: Duration = Duration::from_millis(20);
/// How long to wait after the feed could not be read.
const RETRY_DELAY: Duration = Duration::from_secs(5);

type Growth = Pin<Box<dyn Future<Output = u64> + Send>>;

pub(super) struct FeedReader {
    store: Arc<dyn Store>,
    /// How far the feed was read.
    position: u64,
    growth: Option<Growth>,
    /// Where the feed ended when it was first looked at: what is before is overdue.
    overdue_to: u64,
    /// Up to where it may tell of events that were delivered.
    delivered_to: u64,
    scan: Option<Scan>,
    /// Where the feed ended when all conversations had been looked through.
    scanned_to: u64,
}

/// What an entry of the feed does not say itself.
#[derive(Clone, Copy)]
pub(super) struct EntryContext {
    /// What it tells happened before the start, and may have been delivered already.
    pub(super) may_be_delivered: bool,
    /// What it tells is found by looking through all conversations, and events before may be yet to be
    /// delivered.
    pub(super) is_scanned: bool,
}

/// What there is to read.
pub(super) enum Ready {
    /// The feed, which is at least so long.
    Feed(u64),
    /// The list of conversations.
    Scan,
}

impl FeedReader {
    /// Continues at a position of the feed; without one, looks through all conversations once
    /// `recovered` ends.
    pub(super) fn new(
        store: Arc<dyn Store>,
        position: Option<u64>,
        end: u64,
        recovered: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        Self {
            store,
            position: position.unwrap_or(end),
            growth: None,
            overdue_to: end,
            delivered_to: end,
            scan: position.is_none().then(|| Scan::after(recovered)),
            scanned_to: 0,
        }
    }

    /// How far the feed was read.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// What is to be thought of an entry at this position.
    pub(super) fn context(&self, position: u64) -> EntryContext {
        EntryContext {
            may_be_delivered: position < self.delivered_to,
            is_scanned: self.is_scanning() || position < self.scanned_to,
        }
    }

    /// Whether all conversations are being looked through.
    pub(super) fn is_scanning(&self) -> bool {
        self.scan.is_some()
    }

    /// Whether all that follows is news.
    pub(super) fn is_caught_up(&self) -> bool {
        !self.is_scanning() && self.position >= self.delivered_to
    }

    /// Whether all that was looked through has been told by the feed, too.
    pub(super) fn is_past_scan(&self) -> bool {
        !self.context(self.position).is_scanned
    }

    /// Looks through all conversations from now on.
    pub(super) fn scan_again(&mut self) {
        self.scan = Some(Scan::now());
    }

    /// Waits until there is something to read, and room for what is found.
    ///
    /// # Cancel safety
    /// Safe: what it waited for so far counts in the next call.
    pub(super) async fn ready(&mut self, room: bool) -> Ready {
        if room && self.growth.is_none() {
            self.growth = Some(self.wait_for_growth());
        }
        let Self { growth, scan, .. } = self;
        tokio::select! {
            len = grown(growth) => Ready::Feed(len),
            () = Scan::may_continue(scan, room) => Ready::Scan,
        }
    }

    fn wait_for_growth(&self) -> Growth {
        let store = Arc::clone(&self.store);
        let (position, overdue) = (self.position, self.position < self.overdue_to);
        Box::pin(async move {
            let Ok(len) = store.feed_grown(position).await else {
                // Reading the feed then shows why.
                tokio::time::sleep(RETRY_DELAY).await;
                return position;
            };
            if !overdue {
                tokio::time::sleep(GATHER_DELAY).await;
            }
            len
        })
    }

    /// There is more to read, up to `len`.
    pub(super) fn read_soon(&mut self, len: u64) {
        self.growth = Some(Box::pin(std::future::ready(len)));
    }

    /// Reads some of the feed, which is at least `len` long; no entries: there are none that tell anything up to there.
    ///
    /// # Errors
    /// When that fails; it is tried again after a while.
    pub(super) async fn read(&mut self, len: u64) -> Result<Vec<FeedEntry>, StoreError> {
        match self.store.feed_entries(self.position, ENTRIES).await {
            Ok(entries) => {
                self.position = match entries.last() {
                    Some(last) => last.position + 1,
                    None => self.position.max(len),
                };
                Ok(entries)
            }
            Err(error) => {
                self.growth = Some(Box::pin(async move {
                    tokio::time::sleep(RETRY_DELAY).await;
                    len
                }));
                Err(error)
            }
        }
    }

    /// Looks at some more of the conversations, if that is under way.
    ///
    /// # Errors
    /// When that fails; it is tried again after a while.
    pub(super) async fn scan(&mut self) -> Result<Option<Found>, StoreError> {
        let Some(scan) = &mut self.scan else {
            return Ok(None);
        };
        match scan.step(self.store.as_ref()).await {
            Ok(found) => Ok(Some(found)),
            Err(error) => {
                scan.pause(RETRY_DELAY);
                Err(error)
            }
        }
    }

    /// All conversations have been looked through.
    ///
    /// # Errors
    /// When the feed cannot tell how long it is; the last of them are looked at again after a while.
    pub(super) async fn end_scan(&mut self) -> Result<(), StoreError> {
        self.scanned_to = match self.store.feed_len().await {
            Ok(len) => len,
            Err(error) => {
                if let Some(scan) = &mut self.scan {
                    scan.pause(RETRY_DELAY);
                }
                return Err(error);
            }
        };
        self.scan = None;
        self.delivered_to = self.scanned_to;
        Ok(())
    }
}

async fn grown(growth: &mut Option<Growth>) -> u64 {
    match growth {
        Some(waiting) => {
            let len = waiting.await;
            *growth = None;
            len
        }
        None => pending().await,
    }
}
