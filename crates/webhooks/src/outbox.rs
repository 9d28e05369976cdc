//! Deleted conversations that wait until every webhook has delivered them.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use core_model::{ConversationKey, Store, StoreError, UtcTime};
use tokio::sync::Notify;

/// How long a deleted conversation waits at the most.
pub(crate) const MAX_WAIT_DAYS: u32 = 7;
const MAX_WAIT: Duration = Duration::from_secs(MAX_WAIT_DAYS as u64 * 24 * 60 * 60);
/// How often those that waited too long are looked for, while any wait.
const CLEAR_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// What all webhooks of a server share about what was deleted.
pub(crate) struct Outbox {
    store: Arc<dyn Store>,
    state: Mutex<State>,
    filled: Notify,
}

struct State {
    /// How far each webhook has read the feed; none: it may yet need anything that is here.
    read_to: Vec<Option<u64>>,
    items: HashMap<ConversationKey, Item>,
}

struct Item {
    /// A webhook that has read the feed up to here knows of the deletion.
    position: u64,
    deleted_at: UtcTime,
    /// Webhooks that need its events.
    holders: HashSet<usize>,
}

impl Item {
    /// One that the feed is yet to tell of.
    fn unannounced() -> Self {
        Self {
            position: u64::MAX,
            deleted_at: UtcTime::now(),
            holders: HashSet::new(),
        }
    }
}

impl Outbox {
    /// What an earlier process left is known to every webhook that has read the feed up to `position`.
    ///
    /// # Errors
    /// When the outbox cannot be read.
    pub(crate) async fn open(
        store: Arc<dyn Store>,
        position: u64,
        webhooks: usize,
    ) -> Result<Arc<Self>, StoreError> {
        let deleted = store.deleted().await?;
        let items = deleted.into_iter().map(|deleted| {
            let item = Item {
                position,
                deleted_at: deleted.deleted_at,
                holders: HashSet::new(),
            };
            (deleted.conversation, item)
        });
        let state = State {
            read_to: vec![None; webhooks],
            items: items.collect(),
        };
        Ok(Arc::new(Self {
            store,
            state: Mutex::new(state),
            filled: Notify::new(),
        }))
    }

    /// The feed told a webhook of a deletion; with `holds`, it needs the events.
    pub(crate) fn deleted(&self, of: ConversationKey, position: u64, webhook: usize, holds: bool) {
        let mut state = self.lock();
        let item = state.items.entry(of).or_insert_with(Item::unannounced);
        item.position = item.position.min(position);
        if holds {
            item.holders.insert(webhook);
        }
        drop(state);
        self.filled.notify_one();
    }

    /// A webhook found a conversation here that it needs, before the feed told.
    pub(crate) fn found(&self, of: ConversationKey, webhook: usize) {
        self.deleted(of, u64::MAX, webhook, true);
    }

    /// A webhook needs the events of a conversation if it waits here.
    pub(crate) fn hold(&self, of: &ConversationKey, webhook: usize) {
        if let Some(item) = self.lock().items.get_mut(of) {
            item.holders.insert(webhook);
        }
    }

    /// A webhook does not need them any more.
    pub(crate) fn release(&self, of: &ConversationKey, webhook: usize) {
        if let Some(item) = self.lock().items.get_mut(of) {
            item.holders.remove(&webhook);
        }
    }

    fn is_empty(&self) -> bool {
        self.lock().items.is_empty()
    }

    pub(crate) fn all(&self) -> Vec<ConversationKey> {
        self.lock().items.keys().copied().collect()
    }

    pub(crate) fn has(&self, of: &ConversationKey) -> bool {
        self.lock().items.contains_key(of)
    }

    /// How far a webhook has read the feed.
    pub(crate) fn read_to(&self, webhook: usize, position: u64) {
        if let Some(read_to) = self.lock().read_to.get_mut(webhook) {
            *read_to = Some(position);
        }
    }

    /// Removes what nobody needs, and what waited too long.
    pub(crate) async fn clear(&self) {
        for of in self.take_done(UtcTime::now()) {
            if let Err(error) = self.store.discard(of).await {
                tracing::warn!(
                    conversation.id = %of.id, %error,
                    "a deleted conversation is still in the outbox; it is removed after the next start"
                );
            }
        }
    }

    /// [`Self::clear`] in the background, unless there is nothing to clear.
    pub(crate) fn clear_soon(self: &Arc<Self>) {
        if !self.is_empty() {
            let outbox = Arc::clone(self);
            tokio::spawn(async move { outbox.clear().await });
        }
    }

    /// Clears it now and then, for as long as this is polled.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            self.clear().await;
            if self.is_empty() {
                self.filled.notified().await;
            }
            tokio::time::sleep(CLEAR_INTERVAL).await;
        }
    }

    fn take_done(&self, now: UtcTime) -> Vec<ConversationKey> {
        let mut state = self.lock();
        let State { read_to, items } = &mut *state;
        let everybody = read_to.iter().copied().min().flatten();
        let mut removed = Vec::new();
        items.retain(|of, item| {
            let waited = (now.0 - item.deleted_at.0).to_std().unwrap_or_default();
            let known = everybody.is_some_and(|everybody| item.position <= everybody);
            let done = item.holders.is_empty() && known;
            if !done && waited > MAX_WAIT {
                tracing::error!(
                    conversation.id = %of.id,
                    "a deleted conversation is removed after {MAX_WAIT_DAYS} days although a webhook did not get all of its events"
                );
            }
            let keep = !done && waited <= MAX_WAIT;
            if !keep {
                removed.push(*of);
            }
            keep
        });
        removed
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
