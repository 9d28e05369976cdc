//! Rows in the order of a time, by their places.

use core_model::ConversationId;

/// Places in a chunk at most; changing one moves no more than that.
const CHUNK: usize = 512;

/// Microseconds since the epoch, then the id.
pub(super) type Key = (i64, ConversationId);

/// Places of rows, ordered by keys that the caller looks up: 4 bytes a row, found by bisection. No chunk
/// is empty.
#[derive(Default)]
pub(super) struct Order(Vec<Vec<u32>>);

impl Order {
    /// Of places that are sorted already.
    pub(super) fn of(sorted: impl Iterator<Item = u32>) -> Self {
        let mut order = Self::default();
        sorted.for_each(|place| order.push(place));
        order
    }

    pub(super) fn insert(&mut self, place: u32, key: impl Fn(u32) -> Key) {
        let (at, within) = self.find(key(place), key);
        if at == self.0.len() {
            return self.push(place);
        }
        let chunk = &mut self.0[at];
        chunk.insert(within, place);
        if chunk.len() > CHUNK {
            let upper = chunk.split_off(CHUNK / 2);
            self.0.insert(at + 1, upper);
        }
    }

    /// Takes out a place whose key is as it was when it came in.
    pub(super) fn remove(&mut self, place: u32, key: impl Fn(u32) -> Key) {
        let (at, within) = self.find(key(place), key);
        let Some(chunk) = self.0.get_mut(at) else {
            return;
        };
        if chunk.get(within) != Some(&place) {
            return;
        }
        chunk.remove(within);
        if chunk.is_empty() {
            self.0.remove(at);
        } else if chunk.len() < CHUNK / 4 {
            self.join(at);
            self.join(at.saturating_sub(1));
        }
    }

    /// From the row with this key on, or from the begin.
    pub(super) fn up(
        &self,
        first: Option<Key>,
        key: impl Fn(u32) -> Key,
    ) -> impl Iterator<Item = u32> {
        let (at, within) = first.map_or((0, 0), |first| self.find(first, key));
        let rest = self.0.get(at..).unwrap_or_default();
        rest.iter().flatten().skip(within).copied()
    }

    /// From the row with this key back, or from the end.
    pub(super) fn down(
        &self,
        first: Option<Key>,
        key: impl Fn(u32) -> Key,
    ) -> impl Iterator<Item = u32> {
        let (at, within) = match first {
            Some(first) => self.find(first, key),
            None => (self.0.len(), 0),
        };
        let own = self.0.get(at).map_or(&[][..], |chunk| &chunk[..=within]);
        let before = self.0[..at].iter().rev();
        let before = before.flat_map(|chunk| chunk.iter().rev());
        own.iter().rev().chain(before).copied()
    }

    /// Most come sorted: they fill chunks.
    fn push(&mut self, place: u32) {
        match self.0.last_mut() {
            Some(last) if last.len() < CHUNK => last.push(place),
            Some(_) | None => self.0.push(vec![place]),
        }
    }

    /// The first place whose key is not less: its chunk, and where in it.
    fn find(&self, wanted: Key, key: impl Fn(u32) -> Key) -> (usize, usize) {
        let ends_before = |chunk: &Vec<u32>| chunk.last().is_none_or(|last| key(*last) < wanted);
        let at = self.0.partition_point(ends_before);
        let within = self.0.get(at).map_or(0, |chunk| {
            chunk.partition_point(|place| key(*place) < wanted)
        });
        (at, within)
    }

    /// Makes one of a chunk and the next if they fit, so that rows that move leave no small chunks.
    fn join(&mut self, at: usize) {
        let fits = |pair: &[Vec<u32>]| pair[0].len() + pair[1].len() <= CHUNK;
        if self.0.get(at..at + 2).is_some_and(fits) {
            let next = self.0.remove(at + 1);
            self.0[at].extend(next);
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn it_stays_in_order_and_compact_whatever_moves() {
        // Keys of 4,000 rows, moved about by a fixed pattern; equal times are told apart by ids.
        let mut times: Vec<i64> = (0..4_000).map(|n| n * 7_919 % 1_000).collect();
        let key = |times: &[i64], place: u32| {
            let id = ConversationId(Uuid::from_u128(u128::from(place)));
            (times[place as usize], id)
        };
        let mut order = Order::default();
        for place in 0..4_000 {
            order.insert(place, |place| key(&times, place));
        }
        for round in 0..20_000_u32 {
            let place = round * 613 % 4_000;
            order.remove(place, |place| key(&times, place));
            times[place as usize] = i64::from(1_000 + round);
            order.insert(place, |place| key(&times, place));
        }
        let mut expected: Vec<u32> = (0..4_000).collect();
        expected.sort_unstable_by_key(|place| key(&times, *place));
        let key = |place| key(&times, place);
        assert_eq!(order.up(None, key).collect::<Vec<_>>(), expected);
        let middle = Some(key(expected[1_234]));
        assert_eq!(order.up(middle, key).collect::<Vec<_>>(), expected[1_234..]);
        let mut down: Vec<u32> = order.down(middle, key).collect();
        down.reverse();
        assert_eq!(down, expected[..=1_234]);
        assert!(
            order.0.len() < 4 * 4_000 / CHUNK,
            "{} chunks",
            order.0.len()
        );
        for place in expected {
            order.remove(place, key);
        }
        assert!(order.0.is_empty());
    }
}
