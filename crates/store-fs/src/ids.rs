use hashbrown::HashTable;

use crate::entry::Entry;

/// Where the events of a log stand by their ids: 8 bytes an event and what a hash table adds. The
/// index confirms each hit.
#[derive(Default)]
pub(crate) struct IdTable {
    places: HashTable<(u32, u32)>,
    /// How many lines it knows.
    pub(crate) len: u64,
}

impl IdTable {
    /// Adds the entries that follow those it knows.
    pub(crate) fn extend(&mut self, entries: &[Entry]) {
        for entry in entries {
            if let (false, Ok(seq)) = (entry.is_damaged(), u32::try_from(self.len)) {
                let hash = entry.id_hash();
                let rehash = |(hash, _): &(u32, u32)| spread(*hash);
                self.places.insert_unique(spread(hash), (hash, seq), rehash);
            }
            self.len += 1;
        }
    }

    /// Where events stand that may have an id of this hash.
    pub(crate) fn candidates(&self, hash: u32) -> Vec<u64> {
        let mut found: Vec<u64> = self
            .places
            .iter_hash(spread(hash))
            .filter(|(other, _)| *other == hash)
            .map(|(_, seq)| u64::from(*seq))
            .collect();
        found.sort_unstable();
        found
    }
}

/// The table looks at the upper bits too.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}
