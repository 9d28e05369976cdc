use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, Weak},
    time::{Duration, Instant},
};

use core_model::ConversationId;
use tokio::sync::watch;

use crate::{command::CommandRequest, lock::lock, residency::live_conversation::LiveConversation};

/// Deletions that are remembered because a conversation may be read from the store meanwhile.
const ENDED: usize = 1024;

/// The conversations in memory: at most one of each id, found while it is in use, and kept for a while
/// after. Of those that are not in use only so many are kept.
pub(crate) struct ConversationCache {
    /// How many are kept.
    limit: usize,
    places: Mutex<Places>,
    /// Counts the deletions that have ended; changes under the lock of the places.
    removals: watch::Sender<u64>,
}

#[derive(Default)]
struct Places {
    by_id: HashMap<ConversationId, Place>,
    /// Those that are kept, by their last use.
    kept: BTreeMap<u64, ConversationId>,
    /// Those that are being deleted.
    leaving: HashSet<ConversationId>,
    /// The last deletions that ended, and whether the conversation is gone.
    ended: VecDeque<(ConversationId, bool)>,
    uses: u64,
}

struct Place {
    /// Dropped when the conversation was not used during the idle time, or others were used since.
    kept: Option<Arc<LiveConversation>>,
    known: Weak<LiveConversation>,
    /// The number of the last use, and when it was.
    used: u64,
    last_used: Instant,
}

impl ConversationCache {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            places: Mutex::default(),
            removals: watch::Sender::new(0),
        }
    }

    pub(crate) fn get(&self, id: ConversationId) -> Option<Arc<LiveConversation>> {
        let mut places = lock(&self.places);
        let live = places.by_id.get(&id)?.known.upgrade()?;
        let surplus = places.keep(&live, self.limit);
        drop(places);
        release(surplus);
        Some(live)
    }

    /// As [`Self::get`], without counting as a use.
    pub(crate) fn peek(&self, id: ConversationId) -> Option<Arc<LiveConversation>> {
        lock(&self.places).by_id.get(&id)?.known.upgrade()
    }

    /// Keeps a conversation no longer than it is in use.
    pub(crate) fn keep_no_longer(&self, id: ConversationId) {
        let kept = lock(&self.places).drop_kept(id);
        drop(kept);
    }

    /// How many conversations were deleted so far.
    pub(crate) fn removals(&self) -> u64 {
        *self.removals.borrow()
    }

    /// Adds a conversation that was read after `removals` deletions, unless it was added meanwhile;
    /// returns the one that is there in the end. None when it was deleted since, or is being deleted.
    pub(crate) fn put(
        &self,
        live: Arc<LiveConversation>,
        removals: u64,
    ) -> Option<Arc<LiveConversation>> {
        let mut places = lock(&self.places);
        let since = (self.removals() - removals) as usize;
        // What ended too long ago to be known may have been this one.
        let mut ended = places.ended.iter().rev().take(since);
        let gone = since > places.ended.len() || ended.any(|ended| *ended == (live.id, true));
        if gone || places.leaving.contains(&live.id) {
            return None;
        }
        let there = places.by_id.get(&live.id);
        let there = there.and_then(|place| place.known.upgrade());
        let live = there.unwrap_or(live);
        let surplus = places.keep(&live, self.limit);
        drop(places);
        release(surplus);
        Some(live)
    }

    /// Announces a deletion: until it ends, the conversation is not brought into memory. False when
    /// another one is under way already.
    pub(crate) fn begin_removal(&self, id: ConversationId) -> bool {
        lock(&self.places).leaving.insert(id)
    }

    /// Ends a deletion, and forgets the conversation if that is gone.
    pub(crate) fn end_removal(&self, id: ConversationId, gone: bool) {
        let mut places = lock(&self.places);
        places.leaving.remove(&id);
        let kept = match gone {
            true => places.drop_kept(id),
            false => None,
        };
        if gone {
            places.by_id.remove(&id);
        }
        if places.ended.len() == ENDED {
            places.ended.pop_front();
        }
        places.ended.push_back((id, gone));
        self.removals.send_modify(|removals| *removals += 1);
        drop(places);
        drop(kept);
    }

    /// Waits until no deletion of this conversation is under way.
    pub(crate) async fn until_no_removal(&self, id: ConversationId) {
        let mut removals = self.removals.subscribe();
        loop {
            // Marked as seen before it is looked, because the lock may not be taken inside the watch.
            removals.mark_unchanged();
            if !lock(&self.places).leaving.contains(&id) {
                return;
            }
            // It cannot close: this holds the sender.
            removals.changed().await.ok();
        }
    }

    pub(crate) fn clear(&self) {
        let mut places = lock(&self.places);
        let all = (
            std::mem::take(&mut places.by_id),
            std::mem::take(&mut places.kept),
        );
        drop(places);
        drop(all);
    }

    pub(crate) fn all(&self) -> Vec<Arc<LiveConversation>> {
        lock(&self.places)
            .by_id
            .values()
            .filter_map(|place| place.known.upgrade())
            .collect()
    }

    /// Forgets what was not used for `ttl`.
    pub(crate) fn forget_unused(&self, ttl: Duration) {
        let mut dropped = Vec::new();
        let mut places = lock(&self.places);
        let oldest = |places: &Places| {
            let (_, id) = places.kept.first_key_value()?;
            let place = places.by_id.get(id)?;
            (place.last_used.elapsed() >= ttl).then_some(*id)
        };
        while let Some(id) = oldest(&places) {
            dropped.extend(places.drop_kept(id));
        }
        drop(places);
        drop(dropped);
        let known = |_: &ConversationId, place: &mut Place| place.known.strong_count() > 0;
        lock(&self.places).by_id.retain(known);
    }
}

impl Places {
    /// Counts a use. What is kept beyond the limit then is to be given up.
    fn keep(&mut self, live: &Arc<LiveConversation>, limit: usize) -> Vec<Arc<LiveConversation>> {
        self.uses += 1;
        live.note_read();
        let place = Place {
            kept: Some(Arc::clone(live)),
            known: Arc::downgrade(live),
            used: self.uses,
            last_used: Instant::now(),
        };
        if let Some(old) = self.by_id.insert(live.id, place) {
            self.kept.remove(&old.used);
        }
        self.kept.insert(self.uses, live.id);
        let mut surplus = Vec::new();
        while self.kept.len() > limit.max(1) {
            let Some((_, id)) = self.kept.pop_first() else {
                break;
            };
            surplus.extend(self.drop_kept(id));
        }
        surplus
    }

    /// Keeps a conversation no longer; the caller drops it outside of the lock.
    fn drop_kept(&mut self, id: ConversationId) -> Option<Arc<LiveConversation>> {
        let place = self.by_id.get_mut(&id)?;
        self.kept.remove(&place.used);
        let kept = place.kept.take()?;
        if Arc::strong_count(&kept) == 1 {
            self.by_id.remove(&id);
        }
        Some(kept)
    }
}

/// Releases conversations that were not used for the longest time. Those that are followed or worked on
/// stay as long as that lasts, and are found; an actor that has nothing to do ends.
fn release(surplus: Vec<Arc<LiveConversation>>) {
    for live in surplus {
        if !live.is_followed() {
            live.suggest(CommandRequest::LeaveMemory);
        }
    }
}
