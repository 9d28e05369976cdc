use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use core_model::ConversationId;

use crate::{
    common::{Core, lock},
    shared::Shared,
};

/// The conversations in memory: at most one of each id, kept while somebody uses it and for a while
/// after.
#[derive(Default)]
pub(crate) struct Shelf {
    places: Mutex<HashMap<ConversationId, Place>>,
    /// Moves with each deletion, under the lock of the places.
    removals: AtomicU64,
}

struct Place {
    /// Dropped when the conversation was not asked for during the idle time.
    kept: Option<Arc<Shared>>,
    known: Weak<Shared>,
    last_used: Instant,
}

impl Shelf {
    pub(crate) fn get(&self, id: ConversationId) -> Option<Arc<Shared>> {
        let mut places = lock(&self.places);
        let place = places.get_mut(&id)?;
        let shared = place.known.upgrade()?;
        place.kept = Some(Arc::clone(&shared));
        place.last_used = Instant::now();
        Some(shared)
    }

    /// As [`Self::get`], without counting as a use.
    pub(crate) fn peek(&self, id: ConversationId) -> Option<Arc<Shared>> {
        lock(&self.places).get(&id)?.known.upgrade()
    }

    /// Keeps a conversation no longer than somebody uses it.
    pub(crate) fn let_go(&self, id: ConversationId) {
        let kept = lock(&self.places)
            .get_mut(&id)
            .and_then(|place| place.kept.take());
        drop(kept);
    }

    /// How many conversations were deleted so far.
    pub(crate) fn removals(&self) -> u64 {
        self.removals.load(Ordering::Acquire)
    }

    /// Adds a conversation that was read after `removals` deletions, unless somebody else was faster;
    /// the one that is there in the end. None when there were more deletions since: it may be gone.
    pub(crate) fn put(&self, shared: Arc<Shared>, removals: u64) -> Option<Arc<Shared>> {
        let mut places = lock(&self.places);
        if self.removals() != removals {
            return None;
        }
        let there = places
            .get(&shared.id)
            .and_then(|place| place.known.upgrade());
        let shared = there.unwrap_or(shared);
        let place = Place {
            known: Arc::downgrade(&shared),
            kept: Some(Arc::clone(&shared)),
            last_used: Instant::now(),
        };
        places.insert(shared.id, place);
        Some(shared)
    }

    pub(crate) fn remove(&self, id: ConversationId) {
        let mut places = lock(&self.places);
        self.removals.fetch_add(1, Ordering::AcqRel);
        places.remove(&id);
    }

    pub(crate) fn clear(&self) {
        let places = std::mem::take(&mut *lock(&self.places));
        drop(places);
    }

    pub(crate) fn all(&self) -> Vec<Arc<Shared>> {
        lock(&self.places)
            .values()
            .filter_map(|place| place.known.upgrade())
            .collect()
    }

    /// Forgets now and then what nobody uses.
    pub(crate) fn spawn_reaper(&self, core: &Arc<Core>) {
        let ttl = core.config.idle_ttl;
        let weak = Arc::downgrade(core);
        core.tokio.spawn(async move {
            loop {
                tokio::time::sleep((ttl / 4).max(Duration::from_millis(50))).await;
                let Some(core) = weak.upgrade() else { return };
                core.shelf.forget_unused(ttl);
            }
        });
    }

    fn forget_unused(&self, ttl: Duration) {
        let mut dropped = Vec::new();
        let mut places = lock(&self.places);
        for place in places.values_mut() {
            if place.last_used.elapsed() >= ttl {
                dropped.extend(place.kept.take());
            }
        }
        drop(places);
        drop(dropped);
        lock(&self.places).retain(|_, place| place.known.strong_count() > 0);
    }
}
