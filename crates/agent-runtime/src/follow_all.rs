use std::{collections::VecDeque, fmt, str::FromStr, sync::Arc};

use bytes::Bytes;
use core_model::{
    ConversationId, EventLog, Limit, Seq, StoreError,
    port::{Change, FeedEntry},
};

use crate::{End, RuntimeError, common::Core};

/// Entries of the feed that are looked at together.
const ENTRIES: usize = 64;
/// What a follower holds at a time.
const PAGE: Limit = Limit {
    records: 64,
    bytes: 8 * 1024,
};

/// A place in the order over all conversations: before the event `seq` of the change at `position`.
/// Its text is opaque to clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// A part of the feed's id, for a cursor means nothing in another feed.
    feed: u64,
    position: u64,
    /// 0 for the beginning of the change.
    seq: u64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}-{}", self.feed, self.position, self.seq)
    }
}

impl FromStr for Cursor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let cursor = || {
            let mut parts = text.split('-');
            let feed = parts.next().filter(|feed| feed.len() == 16)?;
            let cursor = Self {
                feed: u64::from_str_radix(feed, 16).ok()?,
                position: parts.next()?.parse().ok()?,
                seq: parts.next()?.parse().ok()?,
            };
            parts.next().is_none().then_some(cursor)
        };
        cursor().ok_or_else(|| format!("`{text}` is no cursor"))
    }
}

/// Where a follower of all conversations begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AllStart {
    /// With what happens from now on.
    #[default]
    Live,
    /// With everything that is still stored.
    Beginning,
    At(Cursor),
}

/// What a follower wants to hear of. Empty: everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllFilter {
    pub conversations: Vec<ConversationId>,
    /// Class names of events.
    pub kinds: Vec<String>,
    /// All of these tags, each with that value or with any.
    pub tags: Vec<(String, Option<String>)>,
}

/// What a follower of all conversations is told. `cursor` is where to go on after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllFrame {
    /// A logged event, as the JSON text of its line.
    Event {
        cursor: Cursor,
        conversation: ConversationId,
        seq: Seq,
        json: Bytes,
    },
    /// A conversation is gone, with all its events.
    Deleted {
        cursor: Cursor,
        conversation: ConversationId,
    },
}

/// Reads what happens in all conversations, in one order, and then keeps up: each logged event once,
/// those of one conversation in its log's order. Costs a cursor and at most one page; logs are opened
/// one at a time.
///
/// Events of a conversation that is deleted before they are read are left out. A filter on tags reads
/// the conversation's metadata once for each of its changes.
pub struct AllFollower {
    core: Arc<Core>,
    filter: AllFilter,
    cursor: Cursor,
    entries: VecDeque<FeedEntry>,
    page: VecDeque<AllFrame>,
    /// The log read last, for most often it is the next one too.
    log: Option<(ConversationId, Arc<dyn EventLog>)>,
}

impl AllFollower {
    pub(crate) async fn new(
        core: Arc<Core>,
        start: AllStart,
        filter: AllFilter,
    ) -> Result<Self, RuntimeError> {
        let feed = core.store.feed_id().as_u64_pair().0;
        let at = |position| Cursor {
            feed,
            position,
            seq: 0,
        };
        let cursor = match start {
            AllStart::Live => at(core.store.feed_len().await),
            AllStart::Beginning => {
                // What the last stop left unnoted belongs to the beginning too.
                core.until_settled().await;
                at(0)
            }
            AllStart::At(cursor) => {
                if cursor.feed != feed || cursor.position > core.store.feed_len().await {
                    return Err(RuntimeError::CursorExpired);
                }
                cursor
            }
        };
        Ok(Self {
            core,
            filter,
            cursor,
            entries: VecDeque::new(),
            page: VecDeque::new(),
            log: None,
        })
    }

    /// Where to go on later: after everything that was told, and everything that was left out since.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        // What waits in the page was not told yet.
        match self.page.front() {
            None => self.cursor,
            Some(AllFrame::Event { cursor, seq, .. }) if cursor.seq > 0 => Cursor {
                seq: seq.0,
                ..*cursor
            },
            Some(AllFrame::Event { cursor, seq, .. }) => Cursor {
                position: cursor.position.saturating_sub(1),
                seq: seq.0,
                ..*cursor
            },
            Some(AllFrame::Deleted { cursor, .. }) => Cursor {
                position: cursor.position.saturating_sub(1),
                seq: 0,
                ..*cursor
            },
        }
    }

    /// The next frames, at least one, as soon as there are some.
    ///
    /// # Errors
    /// The reason why no more will come.
    ///
    /// # Cancel safety
    /// A dropped call loses nothing.
    pub async fn next_page(&mut self) -> Result<Vec<AllFrame>, End> {
        let core = Arc::clone(&self.core);
        tokio::select! {
            biased;
            () = core.until_stopping() => Err(End::ServerStopping),
            page = self.fill() => {
                page?;
                Ok(self.page.drain(..).collect())
            }
        }
    }

    async fn fill(&mut self) -> Result<(), End> {
        while self.page.is_empty() {
            let Some(entry) = self.entries.front().copied() else {
                self.look_on().await?;
                continue;
            };
            let wanted = self.filter.conversations.is_empty()
                || self.filter.conversations.contains(&entry.conversation);
            match entry.change {
                Change::Appended { from, to } if wanted => self.read(entry, from, to).await?,
                Change::Deleted if wanted && self.filter.tags.is_empty() => {
                    self.pass(entry);
                    self.page.push_back(AllFrame::Deleted {
                        cursor: self.cursor,
                        conversation: entry.conversation,
                    });
                }
                Change::Created | Change::Appended { .. } | Change::Deleted => self.pass(entry),
            }
        }
        Ok(())
    }

    /// Gets more of the feed; waits for it if need be.
    async fn look_on(&mut self) -> Result<(), End> {
        let len = self.core.store.feed_grown(self.cursor.position).await;
        let entries = self.core.store.feed_entries(self.cursor.position, ENTRIES);
        let entries = entries.await.map_err(|error| {
            tracing::error!(%error, "a follower cannot read the feed");
            End::Failed
        })?;
        if entries.is_empty() {
            // Only entries that tell nothing.
            self.cursor.position = len;
            self.cursor.seq = 0;
        }
        self.entries.extend(entries);
        Ok(())
    }

    /// Reads a page of a change's events.
    async fn read(&mut self, entry: FeedEntry, from: Seq, to: Seq) -> Result<(), End> {
        let resumed = self.cursor.position == entry.position;
        let from = match resumed {
            true => from.max(Seq(self.cursor.seq)),
            false => from,
        };
        let log = match self.open(entry.conversation).await {
            Ok(Some(log)) => log,
            // Gone, or not of the tags that are wanted.
            Ok(None) => {
                self.pass(entry);
                return Ok(());
            }
            Err(error) => {
                tracing::error!(
                    conversation.id = %entry.conversation, %error,
                    "a follower of all conversations passes one over that cannot be read"
                );
                self.pass(entry);
                return Ok(());
            }
        };
        let limit = Limit {
            records: PAGE.records.min((to.0 - from.0) as usize),
            ..PAGE
        };
        let records = match log.read(from, limit).await {
            Ok(records) => records,
            Err(error) => {
                tracing::error!(
                    conversation.id = %entry.conversation, %error,
                    "a follower of all conversations passes events over that cannot be read"
                );
                Vec::new()
            }
        };
        let read_to = records.last().map_or(to, |last| last.seq.after(1));
        if read_to >= to || from >= to {
            self.pass(entry);
        } else {
            self.cursor.position = entry.position;
            self.cursor.seq = read_to.0;
        }
        let due = records.into_iter().filter(|record| record.seq < to);
        for record in due {
            let kinds = &self.filter.kinds;
            if !kinds.is_empty() && !kinds.iter().any(|kind| record.head.kind == *kind) {
                continue;
            }
            let next = record.seq.after(1);
            let cursor = Cursor {
                feed: self.cursor.feed,
                position: entry.position + u64::from(next >= to),
                seq: if next >= to { 0 } else { next.0 },
            };
            self.page.push_back(AllFrame::Event {
                cursor,
                conversation: entry.conversation,
                seq: record.seq,
                json: record.bytes,
            });
        }
        Ok(())
    }

    /// The conversation's log; none if it is gone, or lacks a tag.
    async fn open(&mut self, id: ConversationId) -> Result<Option<Arc<dyn EventLog>>, StoreError> {
        let opened = async {
            if !self.filter.tags.is_empty() && !self.is_tagged(id).await? {
                return Ok(None);
            }
            if let Some((known, log)) = &self.log
                && *known == id
            {
                return Ok(Some(Arc::clone(log)));
            }
            self.core.store.open(id).await.map(Some)
        }
        .await;
        match opened {
            Ok(Some(log)) => {
                self.log = Some((id, Arc::clone(&log)));
                Ok(Some(log))
            }
            Ok(None) | Err(StoreError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn is_tagged(&self, id: ConversationId) -> Result<bool, StoreError> {
        let has = |tags: &std::collections::BTreeMap<String, String>| {
            let has = |(key, value): &(String, Option<String>)| {
                let found = tags.get(key);
                found.is_some_and(|found| value.as_ref().is_none_or(|value| value == found))
            };
            self.filter.tags.iter().all(has)
        };
        match self.core.shelf.peek(id) {
            Some(shared) => Ok(has(&shared.now().metadata.tags)),
            None => Ok(has(&self.core.store.metadata(id).await?.tags)),
        }
    }

    /// Goes on after an entry.
    fn pass(&mut self, entry: FeedEntry) {
        self.entries.pop_front();
        self.cursor.position = entry.position + 1;
        self.cursor.seq = 0;
        if self.entries.is_empty() {
            // Not kept open while nothing happens.
            self.log = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_from_its_text() {
        let cursor = Cursor {
            feed: 0xfeed,
            position: 12,
            seq: 3,
        };
        assert_eq!(cursor.to_string(), "000000000000feed-12-3");
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for bad in [
            "",
            "x",
            "feed-1-2",
            "000000000000feed-1",
            "000000000000feed-1-2-3",
            "000000000000feed--1",
        ] {
            assert!(bad.parse::<Cursor>().is_err(), "{bad}");
        }
    }
}
