//! The contents of a simulated file.

use std::{collections::BTreeSet, ops::Range};

use super::plan::Random;

/// Small, so that short logs already span several.
pub(crate) const PAGE: usize = 256;

/// A file in the cache and on the medium.
#[derive(Default)]
pub(crate) struct Pages {
    cache: Vec<u8>,
    medium: Vec<u8>,
    dirty: BTreeSet<usize>,
    /// Written to the cache, but not to the medium, by a sync that failed: the cache holds them as
    /// clean.
    lost: BTreeSet<usize>,
    /// The shortest it has been since the last sync.
    shortest: Option<usize>,
    /// What happened since the last sync, in order.
    changes: Vec<Change>,
}

enum Change {
    Write(usize, Vec<u8>),
    SetLen(usize),
}

impl Pages {
    pub(crate) fn len(&self) -> u64 {
        self.cache.len() as u64
    }

    pub(crate) fn read(&self, buffer: &mut [u8], at: u64) -> usize {
        let from = self.cache.get(at as usize..).unwrap_or_default();
        let count = from.len().min(buffer.len());
        buffer[..count].copy_from_slice(&from[..count]);
        count
    }

    pub(crate) fn write(&mut self, bytes: &[u8], at: u64) {
        let at = at as usize;
        put(&mut self.cache, bytes, at);
        for page in at / PAGE..(at + bytes.len()).div_ceil(PAGE) {
            self.dirty.insert(page);
            self.lost.remove(&page);
        }
        self.changes.push(Change::Write(at, bytes.to_vec()));
    }

    pub(crate) fn set_len(&mut self, len: u64) {
        let len = len as usize;
        let before = self.cache.len();
        if len < before {
            self.shortest = Some(self.shortest.map_or(len, |shortest| shortest.min(len)));
            if !len.is_multiple_of(PAGE) {
                // The rest of the last page is zeroed.
                self.dirty.insert(len / PAGE);
            }
        }
        self.cache.resize(len, 0);
        self.dirty.retain(|page| page * PAGE < len);
        self.lost.retain(|page| page * PAGE < len);
        self.changes.push(Change::SetLen(len));
    }

    pub(crate) fn sync(&mut self) {
        if let Some(shortest) = self.shortest {
            self.medium.truncate(shortest);
        }
        self.medium.resize(self.cache.len(), 0);
        for page in std::mem::take(&mut self.dirty) {
            let range = within(page, self.cache.len());
            self.medium[range.clone()].copy_from_slice(&self.cache[range]);
        }
        self.shortest = None;
        self.changes.clear();
    }

    /// Some pages reach the medium, the others never will, and the next sync knows nothing of it.
    pub(crate) fn fail_sync(&mut self, random: &mut Random) {
        let dropped = random.one_in(3);
        for page in std::mem::take(&mut self.dirty) {
            let range = within(page, self.cache.len());
            if random.one_in(3) {
                let bytes = self.cache[range.clone()].to_vec();
                put(&mut self.medium, &bytes, range.start);
            } else {
                self.lost.insert(page);
            }
        }
        self.changes.clear();
        if dropped {
            self.evict_lost();
        }
    }

    /// The cache forgets pages that it holds as clean: they are read from the medium again.
    pub(crate) fn evict_lost(&mut self) {
        for page in std::mem::take(&mut self.lost) {
            for at in within(page, self.cache.len()) {
                self.cache[at] = self.medium.get(at).copied().unwrap_or(0);
            }
        }
    }

    pub(crate) fn drop_unsynced(&mut self) {
        let medium = std::mem::take(&mut self.medium);
        self.restart(medium);
    }

    pub(crate) fn cut_power(&mut self, random: &mut Random) {
        let left = match random.below(4) {
            0 => std::mem::take(&mut self.medium),
            1 | 2 => self.some_pages(random),
            _ => self.first_changes(random),
        };
        self.restart(left);
    }

    fn restart(&mut self, left: Vec<u8>) {
        *self = Self {
            cache: left.clone(),
            medium: left,
            ..Self::default()
        };
    }

    /// Pages in any order, each whole or torn; holes are zeros.
    fn some_pages(&mut self, random: &mut Random) -> Vec<u8> {
        let mut left = std::mem::take(&mut self.medium);
        if let Some(shortest) = self.shortest.filter(|_| random.one_in(2)) {
            left.truncate(shortest);
        }
        let (low, high) = (left.len(), self.cache.len());
        let len = match random.below(3) {
            0 => low,
            1 => high,
            _ => low.min(high) + random.below(low.abs_diff(high) + 1),
        };
        // Only a truncation makes a file shorter.
        let len = if len < low && self.shortest.is_none() {
            low
        } else {
            len
        };
        left.resize(len, 0);
        for page in &self.dirty {
            let mut range = within(*page, self.cache.len());
            match random.below(4) {
                0 => continue,
                1 => range.end = range.start + random.below(range.len() + 1),
                _ => {}
            }
            range.end = range.end.min(len);
            if !range.is_empty() {
                left[range.clone()].copy_from_slice(&self.cache[range]);
            }
        }
        left
    }

    /// What happened up to some moment, torn at any byte.
    fn first_changes(&mut self, random: &mut Random) -> Vec<u8> {
        let mut left = std::mem::take(&mut self.medium);
        let count = random.below(self.changes.len() + 1);
        for (number, change) in self.changes.iter().take(count).enumerate() {
            match change {
                Change::Write(at, bytes) => {
                    let torn = number + 1 == count && random.one_in(2);
                    let some = if torn {
                        random.below(bytes.len() + 1)
                    } else {
                        bytes.len()
                    };
                    put(&mut left, &bytes[..some], *at);
                }
                Change::SetLen(len) => left.resize(*len, 0),
            }
        }
        left
    }
}

fn put(file: &mut Vec<u8>, bytes: &[u8], at: usize) {
    let end = at + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[at..end].copy_from_slice(bytes);
}

fn within(page: usize, len: usize) -> Range<usize> {
    let start = (page * PAGE).min(len);
    start..(start + PAGE).min(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_synced_is_sure_to_stay() {
        let mut file = Pages::default();
        file.write(b"synced", 0);
        file.sync();
        file.write(b"not", 6);
        file.drop_unsynced();
        assert_eq!(file.cache, b"synced");
        file.set_len(2);
        file.drop_unsynced();
        assert_eq!(file.cache, b"synced");
        file.set_len(2);
        file.write(&[b'x'; 2 * PAGE], 4);
        file.sync();
        file.drop_unsynced();
        assert_eq!(file.cache[..5], *b"sy\0\0x");
        assert_eq!(file.len(), 4 + 2 * PAGE as u64);
    }

    #[test]
    fn a_sync_after_one_that_failed_brings_nothing_back() {
        let mut random = Random::new(1);
        let lost = (0..50).any(|_| {
            let mut file = Pages::default();
            file.write(b"lost", 0);
            file.fail_sync(&mut random);
            file.sync();
            file.drop_unsynced();
            file.cache == [0; 4]
        });
        assert!(lost);
    }

    #[test]
    fn a_power_cut_leaves_holes_torn_pages_and_whole_files() {
        let mut random = Random::new(2);
        let (mut holes, mut torn, mut whole, mut nothing) = (0, 0, 0, 0);
        for _ in 0..400 {
            let mut file = Pages::default();
            let bytes = [b'x'; 3 * PAGE];
            file.write(&bytes, 0);
            file.cut_power(&mut random);
            let there = file.cache.iter().filter(|byte| **byte == b'x').count();
            assert!(file.cache.iter().all(|byte| matches!(byte, b'x' | 0)));
            whole += usize::from(file.cache == bytes);
            nothing += usize::from(file.cache.is_empty());
            torn += usize::from(!there.is_multiple_of(PAGE));
            holes += usize::from(there < file.cache.len());
        }
        assert!(holes > 20 && torn > 20 && whole > 20 && nothing > 20);
    }
}
