//! The rows of all conversations in memory, in both orders. A row has a slot, and whatever leads to it
//! knows the slot's number.

use std::hash::{BuildHasher, RandomState};

use core_model::{
    ConversationId, ConversationOrder, ExecutionStatus,
    port::{ListPage, ListQuery},
};
use hashbrown::HashTable;

use super::{
    order::{Key, Order},
    row::{Compact, Place, STATUSES},
};

/// About 80 bytes a conversation in all.
#[derive(Default)]
pub(crate) struct Rows {
    slots: Vec<Slot>,
    /// Slots without a row.
    free: Vec<u32>,
    by_id: HashTable<u32>,
    /// Ids are chosen by clients.
    hasher: RandomState,
    created: Order,
    updated: Order,
    counts: [u64; STATUSES.len()],
    /// Bytes of `.infos` that rows lead to.
    infos: u64,
}

/// A row with its id; laid out so that nothing is lost between the fields.
#[derive(Clone, Copy)]
struct Slot {
    id: ConversationId,
    created: i64,
    updated: i64,
    len: u64,
    bytes: u64,
    info_at: u64,
    info_len: u32,
    status: u8,
}

impl Slot {
    fn new(id: ConversationId, row: &Compact, info: Place) -> Self {
        Self {
            id,
            created: row.created,
            updated: row.updated,
            len: row.len,
            bytes: row.bytes,
            info_at: info.at,
            info_len: info.len,
            status: row.status,
        }
    }

    fn compact(&self) -> Compact {
        Compact {
            created: self.created,
            updated: self.updated,
            len: self.len,
            bytes: self.bytes,
            status: self.status,
        }
    }

    fn info(&self) -> Place {
        Place {
            at: self.info_at,
            len: self.info_len,
        }
    }

    fn counter(&self) -> usize {
        usize::from(self.status) % STATUSES.len()
    }
}

impl Rows {
    pub(crate) fn with_capacity(rows: usize) -> Self {
        Self {
            slots: Vec::with_capacity(rows),
            by_id: HashTable::with_capacity(rows),
            ..Self::default()
        }
    }

    pub(crate) fn get(&self, id: ConversationId) -> Option<Compact> {
        self.place(id).map(|place| self.slot(place).compact())
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// In the order of their creation.
    pub(crate) fn all(&self) -> impl Iterator<Item = (ConversationId, Compact, Place)> {
        let places = self.created.up(None, |place| self.by_created(place));
        places.map(|place| {
            let slot = self.slot(place);
            (slot.id, slot.compact(), slot.info())
        })
    }

    /// Adds a row at a start, without its place in the orders; [`Self::sort`] follows.
    pub(crate) fn push(&mut self, id: ConversationId, row: &Compact, info: Place) {
        if self.place(id).is_none() {
            self.place_slot(Slot::new(id, row, info));
        }
    }

    /// Sorts rows that were pushed.
    pub(crate) fn sort(&mut self) {
        self.created = sorted(self.slots.len(), |place| self.by_created(place));
        self.updated = sorted(self.slots.len(), |place| self.by_updated(place));
    }

    /// Sets a row, and returns the one before. A changed one forgets its info.
    pub(crate) fn put(&mut self, id: ConversationId, row: Compact) -> Option<Compact> {
        let old = self.get(id);
        if old == Some(row) {
            return old;
        }
        self.remove(id);
        let place = self.place_slot(Slot::new(id, &row, Place::default()));
        let slots = &self.slots;
        self.created.insert(place, |place| by_created(slots, place));
        self.updated.insert(place, |place| by_updated(slots, place));
        old
    }

    pub(crate) fn remove(&mut self, id: ConversationId) -> Option<Compact> {
        let hash = self.hasher.hash_one(id);
        let slots = &self.slots;
        let found = self
            .by_id
            .find_entry(hash, |place| slots[*place as usize].id == id);
        let (place, _) = found.ok()?.remove();
        let old = slots[place as usize];
        self.created.remove(place, |place| by_created(slots, place));
        self.updated.remove(place, |place| by_updated(slots, place));
        self.free.push(place);
        self.counts[old.counter()] -= 1;
        self.infos -= old.info().bytes();
        Some(old.compact())
    }

    pub(crate) fn count(&self, status: Option<ExecutionStatus>) -> u64 {
        let of = |wanted| {
            let at = STATUSES.iter().position(|status| *status == wanted);
            at.map_or(0, |at| self.counts[at])
        };
        status.map_or(self.by_id.len() as u64, of)
    }

    /// A page, in time that depends on its length and on what the status filter passes over.
    pub(crate) fn list(&self, query: &ListQuery) -> ListPage {
        let first = query.first.and_then(|id| self.place(id));
        let created = |place| self.by_created(place);
        let updated = |place| self.by_updated(place);
        let places: Box<dyn Iterator<Item = u32>> = match query.order {
            ConversationOrder::Created => Box::new(self.created.up(first.map(created), created)),
            ConversationOrder::CreatedDescending => {
                Box::new(self.created.down(first.map(created), created))
            }
            ConversationOrder::Updated => Box::new(self.updated.up(first.map(updated), updated)),
            ConversationOrder::UpdatedDescending => {
                Box::new(self.updated.down(first.map(updated), updated))
            }
        };
        let mut rows = places
            .map(|place| self.slot(place))
            .map(|slot| slot.compact().row(slot.id))
            .filter(|row| query.status.is_none_or(|wanted| row.status == wanted));
        let page = rows.by_ref().take(query.limit).collect();
        ListPage {
            rows: page,
            next: rows.next().map(|row| row.id),
        }
    }

    /// Where what lists show of a conversation is kept, if it is.
    pub(crate) fn info(&self, id: ConversationId) -> Option<Place> {
        let info = self.place(id).map(|place| self.slot(place).info())?;
        (info.len > 0).then_some(info)
    }

    pub(crate) fn set_info(&mut self, id: ConversationId, info: Place) {
        if let Some(place) = self.place(id) {
            let slot = &mut self.slots[place as usize];
            self.infos -= slot.info().bytes();
            self.infos += info.bytes();
            (slot.info_at, slot.info_len) = (info.at, info.len);
        }
    }

    pub(crate) fn forget_infos(&mut self) {
        for slot in &mut self.slots {
            (slot.info_at, slot.info_len) = (0, 0);
        }
        self.infos = 0;
    }

    /// Bytes of `.infos` that are in use.
    pub(crate) fn infos(&self) -> u64 {
        self.infos
    }

    /// Gives a row a slot, all but its place in the orders.
    fn place_slot(&mut self, slot: Slot) -> u32 {
        let place = match self.free.pop() {
            Some(place) => {
                self.slots[place as usize] = slot;
                place
            }
            None => {
                self.slots.push(slot);
                (self.slots.len() - 1) as u32
            }
        };
        let (slots, hasher) = (&self.slots, &self.hasher);
        let hash = |place: &u32| hasher.hash_one(slots[*place as usize].id);
        self.by_id.insert_unique(hash(&place), place, hash);
        self.counts[slot.counter()] += 1;
        self.infos += slot.info().bytes();
        place
    }

    fn place(&self, id: ConversationId) -> Option<u32> {
        let hash = self.hasher.hash_one(id);
        self.by_id
            .find(hash, |place| self.slot(*place).id == id)
            .copied()
    }

    fn slot(&self, place: u32) -> &Slot {
        &self.slots[place as usize]
    }

    fn by_created(&self, place: u32) -> Key {
        by_created(&self.slots, place)
    }

    fn by_updated(&self, place: u32) -> Key {
        by_updated(&self.slots, place)
    }
}

/// With the keys beside their places, which is faster than to look them up again and again.
fn sorted(count: usize, key: impl Fn(u32) -> Key) -> Order {
    let mut keys: Vec<(Key, u32)> = (0..count as u32).map(|place| (key(place), place)).collect();
    keys.sort_unstable();
    Order::of(keys.into_iter().map(|(_, place)| place))
}

fn by_created(slots: &[Slot], place: u32) -> Key {
    let slot = &slots[place as usize];
    (slot.created, slot.id)
}

fn by_updated(slots: &[Slot], place: u32) -> Key {
    let slot = &slots[place as usize];
    (slot.updated, slot.id)
}

#[cfg(test)]
mod tests;
