//! Records how far an endpoint got: after the fact, in few writes and fewer flushes.

use std::{collections::HashMap, future::pending, pin::Pin, sync::Arc, time::Duration};

use core_model::{
    ConversationKey, Store, StoreError, UtcTime,
    port::{Cursor, DeadLetter, FeedPosition, FollowerChange},
};
use tokio::time::{Instant, sleep_until};

/// How long a loss of power may take what was recorded, which would bring doubles.
const FLUSH_INTERVAL: Duration = Duration::from_millis(250);
/// How long the position in the feed may be behind, from which a start reads again.
const POSITION_INTERVAL: Duration = Duration::from_secs(1);
/// How long a failed write waits for the next try.
const RETRY_DELAY: Duration = Duration::from_secs(5);

type Saving = Pin<Box<dyn Future<Output = Saved> + Send>>;

pub(crate) struct Recorder {
    follower: String,
    store: Arc<dyn Store>,
    unsaved: Unsaved,
    position_due: Instant,
    saving: Option<Saving>,
    not_before: Instant,
    flushed_at: Instant,
    /// Whether anything was recorded since.
    unflushed: bool,
    failing: bool,
}

/// What is to be recorded.
#[derive(Clone, Default)]
struct Unsaved {
    /// Durably before the cursors, so that a cursor that passes over a dead letter is never all that
    /// is left of it.
    dead_letters: Vec<FollowerChange>,
    cursors: HashMap<ConversationKey, Cursor>,
    position: Option<FeedPosition>,
}

/// What became of one write.
struct Saved {
    all: Unsaved,
    flushed: bool,
    outcome: Result<(), StoreError>,
}

impl Recorder {
    pub(crate) fn new(follower: String, store: Arc<dyn Store>) -> Self {
        let now = Instant::now();
        Self {
            follower,
            store,
            unsaved: Unsaved::default(),
            position_due: now,
            saving: None,
            not_before: now,
            flushed_at: now,
            unflushed: false,
            failing: false,
        }
    }

    /// Where a conversation continues.
    pub(crate) fn put_cursor(&mut self, of: ConversationKey, cursor: Cursor) {
        self.unsaved.cursors.insert(of, cursor);
    }

    /// A position in the feed before which everything is dealt with.
    pub(crate) fn put_position(&mut self, position: FeedPosition) {
        if self.unsaved.position.is_none() {
            self.position_due = Instant::now() + POSITION_INTERVAL;
        }
        self.unsaved.position = Some(position);
    }

    pub(crate) fn push_dead_letter(&mut self, letter: DeadLetter) {
        let change = FollowerChange::DeadLetter(Box::new(letter));
        self.unsaved.dead_letters.push(change);
    }

    pub(crate) fn remove_dead_letter(&mut self, id: String) {
        let change = FollowerChange::Restored { id };
        self.unsaved.dead_letters.push(change);
    }

    /// Whether nothing is left to be recorded.
    pub(crate) fn is_done(&self) -> bool {
        self.saving.is_none() && self.unsaved.is_empty() && !self.unflushed
    }

    /// Does what there is to do, one write at a time; returns after each, and else waits.
    ///
    /// # Cancel safety
    /// Safe: what was begun continues in the next call.
    pub(crate) async fn work(&mut self) {
        loop {
            if let Some(saving) = &mut self.saving {
                let saved = saving.await;
                self.saving = None;
                self.finish(saved);
                return;
            }
            match self.due() {
                None => pending().await,
                Some(due) if due > Instant::now() => sleep_until(due).await,
                Some(_) => self.begin(),
            }
        }
    }

    /// Records durably that a person rewound a conversation to here.
    ///
    /// # Errors
    /// When that fails; it is not tried again.
    pub(crate) async fn rewind(
        &mut self,
        of: ConversationKey,
        cursor: Cursor,
    ) -> Result<(), StoreError> {
        self.change_now(cursor_of(of, cursor)).await?;
        // What is older must not come after it.
        self.unsaved.cursors.remove(&of);
        Ok(())
    }

    /// Records durably that a person rewound all conversations.
    ///
    /// # Errors
    /// When that fails; it is not tried again.
    pub(crate) async fn rewind_all(&mut self, at: UtcTime) -> Result<(), StoreError> {
        self.change_now(FollowerChange::Rewound { at }).await?;
        self.unsaved.cursors.clear();
        self.unsaved.position = None;
        Ok(())
    }

    async fn change_now(&mut self, change: FollowerChange) -> Result<(), StoreError> {
        self.finish_saving().await;
        self.store.change(&self.follower, vec![change]).await?;
        self.store.flush(&self.follower).await
    }

    /// Everything is to be recorded now.
    pub(crate) fn expedite(&mut self) {
        let now = Instant::now();
        self.position_due = now;
        self.not_before = now;
        self.flushed_at = now.checked_sub(FLUSH_INTERVAL).unwrap_or(now);
    }

    fn due(&self) -> Option<Instant> {
        let Unsaved {
            dead_letters,
            cursors,
            position,
        } = &self.unsaved;
        let now = !cursors.is_empty() || !dead_letters.is_empty();
        let position = position.is_some().then_some(self.position_due);
        let flush = self.unflushed.then_some(self.flushed_at + FLUSH_INTERVAL);
        let due = [now.then_some(self.not_before), position, flush];
        let due = due.into_iter().flatten().min()?;
        Some(due.max(self.not_before))
    }

    fn begin(&mut self) {
        let all = std::mem::take(&mut self.unsaved);
        let flushed = self.flushed_at + FLUSH_INTERVAL <= Instant::now();
        let (store, follower) = (Arc::clone(&self.store), self.follower.clone());
        self.saving = Some(Box::pin(async move {
            let outcome = all.save(store.as_ref(), &follower, flushed).await;
            Saved {
                all,
                flushed,
                outcome,
            }
        }));
    }

    async fn finish_saving(&mut self) {
        if let Some(saving) = self.saving.take() {
            let saved = saving.await;
            self.finish(saved);
        }
    }

    fn finish(&mut self, saved: Saved) {
        let now = Instant::now();
        match saved.outcome {
            Ok(()) => {
                self.unflushed = !saved.flushed;
                if saved.flushed {
                    self.flushed_at = now;
                }
                if std::mem::take(&mut self.failing) {
                    tracing::info!(
                        webhook.id = self.follower,
                        "how far a webhook got is recorded again"
                    );
                }
            }
            Err(error) => {
                self.unsaved.put_before(saved.all);
                self.not_before = now + RETRY_DELAY;
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::error!(
                        webhook.id = self.follower, %error,
                        "how far a webhook got cannot be recorded; a restart would deliver some events again"
                    );
                }
            }
        }
    }
}

impl Unsaved {
    fn is_empty(&self) -> bool {
        self.dead_letters.is_empty() && self.cursors.is_empty() && self.position.is_none()
    }

    async fn save(&self, store: &dyn Store, follower: &str, flush: bool) -> Result<(), StoreError> {
        if !self.dead_letters.is_empty() {
            store.change(follower, self.dead_letters.clone()).await?;
            store.flush(follower).await?;
        }
        let cursors = self.cursors.iter();
        let cursors = cursors.map(|(of, cursor)| cursor_of(*of, *cursor));
        let position = self.position.map(FollowerChange::Position);
        let changes: Vec<_> = cursors.chain(position).collect();
        if !changes.is_empty() {
            store.change(follower, changes).await?;
        }
        if flush {
            store.flush(follower).await?;
        }
        Ok(())
    }

    /// Adds what is older: what is newer outranks it.
    fn put_before(&mut self, older: Self) {
        for (of, cursor) in older.cursors {
            self.cursors.entry(of).or_insert(cursor);
        }
        let newer = std::mem::replace(&mut self.dead_letters, older.dead_letters);
        self.dead_letters.extend(newer);
        self.position = self.position.or(older.position);
    }
}

fn cursor_of(conversation: ConversationKey, cursor: Cursor) -> FollowerChange {
    FollowerChange::Cursor {
        conversation,
        cursor,
    }
}

#[cfg(test)]
mod tests {
    use core_model::Seq;

    use super::*;
    use crate::testing::Memory;

    #[tokio::test(start_paused = true)]
    async fn what_could_not_be_recorded_is_recorded_later_unless_it_is_outdated() {
        let memory = Memory::new();
        let (one, two) = (memory.make(0).unwrap(), memory.make(1).unwrap());
        let mut recorder = Recorder::new("it".to_owned(), Arc::clone(&memory) as _);
        let cursor = |next| Cursor {
            next: Seq(next),
            rewound: None,
        };
        memory.refuse(true);
        recorder.put_cursor(one, cursor(1));
        recorder.put_cursor(two, cursor(1));
        recorder.work().await;
        assert!(memory.records_of("it").is_none() && !recorder.is_done());
        memory.refuse(false);
        recorder.put_cursor(one, cursor(2));
        while !recorder.is_done() {
            recorder.work().await;
        }
        let records = memory.records_of("it").unwrap();
        let next = |of| records.cursors[of].next.0;
        assert_eq!((next(&one), next(&two)), (2, 1));
    }
}
