mod frame;
mod logs;

use std::{collections::VecDeque, sync::Arc};

use core_model::{
    ConversationId, Record, Seq, StoreError,
    port::{Change, FeedEntry},
};

use self::logs::Logs;
use crate::{
    RuntimeError,
    residency::{Residency, published::End},
};

pub use self::frame::{AllFilter, AllFrame, AllStart, Cursor};

/// Entries of the feed that are looked at together.
const ENTRIES: usize = 64;

/// Reads what happens in all conversations, in one order, and then keeps up: each logged event once,
/// those of one conversation in its log's order. Costs a cursor and at most one page; logs are opened
/// one at a time.
///
/// Events of a conversation that is deleted before they are read are left out. A filter on tags reads
/// the conversation's metadata once for each of its changes.
pub struct AllFollower {
    residency: Arc<Residency>,
    filter: AllFilter,
    cursor: Cursor,
    entries: VecDeque<FeedEntry>,
    logs: Logs,
}

impl AllFollower {
    pub(crate) async fn new(
        residency: Arc<Residency>,
        start: AllStart,
        filter: AllFilter,
    ) -> Result<Self, RuntimeError> {
        let runtime = Arc::clone(&residency.runtime);
        let beginning = Cursor {
            feed: runtime.store.feed_id().as_u64_pair().0,
            position: 0,
            seq: 0,
        };
        let cursor = match start {
            AllStart::Live => beginning.at(runtime.store.feed_len().await?),
            AllStart::Beginning => {
                // What the last stop left unrecorded belongs to the beginning too.
                runtime.recovery.until_recovered().await;
                beginning
            }
            AllStart::At(cursor) => {
                let foreign = cursor.feed != beginning.feed;
                if foreign || cursor.position > runtime.store.feed_len().await? {
                    return Err(RuntimeError::CursorExpired);
                }
                cursor
            }
        };
        Ok(Self {
            logs: Logs::new(runtime, &filter.kinds),
            residency,
            filter,
            cursor,
            entries: VecDeque::new(),
        })
    }

    /// Where to continue later: after everything that was sent, and everything that was left out since.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// The next frames, at least one, as soon as there are some.
    ///
    /// # Errors
    /// The reason why no more will come. What was not sent comes again after [`Self::cursor`].
    ///
    /// # Cancel safety
    /// A dropped call loses nothing.
    pub async fn next_page(&mut self) -> Result<Vec<AllFrame>, End> {
        let runtime = Arc::clone(&self.residency.runtime);
        tokio::select! {
            biased;
            () = runtime.until_stopping() => Err(End::ServerStopping),
            page = self.page() => page,
        }
    }

    /// Reads the feed until there is something to send. The cursor moves together with what is sent, and
    /// nothing is waited for after that.
    async fn page(&mut self) -> Result<Vec<AllFrame>, End> {
        loop {
            // A filter may admit nothing for long, and none of the reads need ever wait.
            tokio::task::consume_budget().await;
            let Some(entry) = self.entries.front().copied() else {
                self.read_feed().await?;
                continue;
            };
            let conversation = entry.conversation;
            let frame = match entry.change {
                _ if !self.wants(conversation) => None,
                Change::Created => {
                    let tagged = self.is_current(&entry).await? && self.is_tagged(&entry).await?;
                    tagged.then(|| AllFrame::Created {
                        cursor: self.after(&entry),
                        conversation,
                    })
                }
                Change::Deleted => Some(AllFrame::Deleted {
                    cursor: self.after(&entry),
                    conversation,
                }),
                Change::Appended { from, to } => {
                    let page = self.events(&entry, from, to).await?;
                    if page.is_empty() {
                        continue;
                    }
                    return Ok(page);
                }
            };
            self.pass(&entry);
            if let Some(frame) = frame {
                return Ok(vec![frame]);
            }
        }
    }

    /// Gets more of the feed; waits for it if need be.
    async fn read_feed(&mut self) -> Result<(), End> {
        // Nothing is kept open while nothing happens.
        self.logs.close();
        let (store, position) = (&self.residency.runtime.store, self.cursor.position);
        let read = async {
            let len = store.feed_grown(position).await?;
            Ok((len, store.feed_entries(position, ENTRIES).await?))
        };
        let (len, entries) = read.await.map_err(|error: StoreError| {
            tracing::error!(%error, "a follower cannot read the feed");
            End::Failed
        })?;
        if entries.is_empty() {
            // Only entries that mean nothing.
            self.cursor = self.cursor.at(len);
        }
        self.entries.extend(entries);
        Ok(())
    }

    /// A page of a change's events, which may be none: then there are more, or the change is passed.
    async fn events(
        &mut self,
        entry: &FeedEntry,
        from: Seq,
        to: Seq,
    ) -> Result<Vec<AllFrame>, End> {
        let resumed = self.cursor.position == entry.position;
        let from = from.max(Seq(if resumed { self.cursor.seq } else { 0 }));
        if from >= to || !self.is_current(entry).await? || !self.is_tagged(entry).await? {
            self.pass(entry);
            return Ok(Vec::new());
        }
        let read = self.logs.read(entry, from, to).await;
        // Checked again: the id may have been given to another one while its log was read.
        if !self.is_current(entry).await? {
            self.pass(entry);
            return Ok(Vec::new());
        }
        let (records, read_to) = match read {
            Ok(read) => read,
            Err(StoreError::NotFound(_)) => (Vec::new(), to),
            Err(error) => return self.unreadable(entry, from..to, &error),
        };
        let frames = records
            .into_iter()
            .map(|record| self.frame(entry, to, record))
            .collect();
        if read_to >= to {
            self.pass(entry);
        } else {
            self.cursor = self.cursor.at(entry.position);
            self.cursor.seq = read_to.0;
        }
        Ok(frames)
    }

    fn frame(&self, entry: &FeedEntry, to: Seq, record: Record) -> AllFrame {
        let next = record.seq.after(1);
        let cursor = if next < to {
            Cursor {
                seq: next.0,
                ..self.cursor.at(entry.position)
            }
        } else {
            self.after(entry)
        };
        AllFrame::Event {
            cursor,
            conversation: entry.conversation,
            seq: record.seq,
            json: record.bytes,
        }
    }

    /// What is damaged is reported and passed; any other error ends the follower before it, because it may
    /// be over when the client comes back.
    fn unreadable(
        &mut self,
        entry: &FeedEntry,
        events: std::ops::Range<Seq>,
        error: &StoreError,
    ) -> Result<Vec<AllFrame>, End> {
        let conversation = entry.conversation;
        if !matches!(error, StoreError::Damaged { .. }) {
            tracing::error!(
                conversation.id = %conversation, %error,
                "a follower of all conversations cannot read one and ends before it"
            );
            return Err(End::Failed);
        }
        tracing::error!(
            conversation.id = %conversation, %error,
            "a follower of all conversations skips events that cannot be read"
        );
        self.pass(entry);
        Ok(vec![AllFrame::Skipped {
            cursor: self.cursor,
            conversation,
            from: events.start,
            to: events.end,
        }])
    }

    fn wants(&self, id: ConversationId) -> bool {
        let wanted = &self.filter.conversations;
        wanted.is_empty() || wanted.contains(&id)
    }

    /// Whether an entry is about the conversation that has its id now.
    async fn is_current(&self, entry: &FeedEntry) -> Result<bool, End> {
        let id = entry.conversation;
        let row = self
            .residency
            .runtime
            .store
            .row(id)
            .await
            .map_err(|error| {
                tracing::error!(conversation.id = %id, %error, "a follower cannot read the list");
                End::Failed
            })?;
        Ok(row.is_some_and(|row| row.created_at == entry.created_at))
    }

    /// Whether the conversation has the tags that are wanted. One whose tags are damaged may have them.
    async fn is_tagged(&self, entry: &FeedEntry) -> Result<bool, End> {
        let wanted = &self.filter.tags;
        if wanted.is_empty() {
            return Ok(true);
        }
        let id = entry.conversation;
        let tags = match self.residency.cache.peek(id) {
            Some(live) => live.now().metadata.settings.tags.clone(),
            None => match self.residency.runtime.store.metadata(id).await {
                Ok(metadata) => metadata.settings.tags,
                Err(StoreError::NotFound(_)) => return Ok(false),
                Err(StoreError::Damaged { .. }) => return Ok(true),
                Err(error) => {
                    tracing::error!(conversation.id = %id, %error, "a follower cannot read its tags");
                    return Err(End::Failed);
                }
            },
        };
        Ok(wanted.iter().all(|(key, value)| {
            let found = tags.get(key);
            found.is_some_and(|found| value.as_ref().is_none_or(|value| value == found))
        }))
    }

    /// The place after an entry.
    fn after(&self, entry: &FeedEntry) -> Cursor {
        self.cursor.at(entry.position + 1)
    }

    /// Continues after the next entry.
    fn pass(&mut self, entry: &FeedEntry) {
        self.entries.pop_front();
        self.cursor = self.after(entry);
        self.logs.next_change();
    }
}
