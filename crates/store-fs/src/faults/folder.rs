//! The entries of a simulated folder.

use std::{collections::BTreeMap, ffi::OsString, path::Path};

use super::plan::Random;

type Names = BTreeMap<OsString, usize>;

/// Names and what they lead to, in the cache and on the medium.
#[derive(Default)]
pub(crate) struct Entries {
    cache: Names,
    medium: Names,
    /// What happened since the last sync, in order; each happens as a whole.
    changes: Vec<Vec<(OsString, Option<usize>)>>,
}

impl Entries {
    pub(crate) fn get(&self, name: &std::ffi::OsStr) -> Option<usize> {
        self.cache.get(name).copied()
    }

    pub(crate) fn names(&self) -> Vec<OsString> {
        self.cache.keys().cloned().collect()
    }

    /// Lets names lead elsewhere, or nowhere.
    pub(crate) fn set(&mut self, change: &[(&Path, Option<usize>)]) {
        let change: Vec<_> = change
            .iter()
            .map(|(path, node)| (path.file_name().unwrap().to_owned(), *node))
            .collect();
        apply(&mut self.cache, &change);
        self.changes.push(change);
    }

    pub(crate) fn sync(&mut self) {
        self.medium = self.cache.clone();
        self.changes.clear();
    }

    pub(crate) fn drop_unsynced(&mut self) {
        self.cache = self.medium.clone();
        self.changes.clear();
    }

    /// Nothing, the first, or any of the changes reach the medium.
    pub(crate) fn cut_power(&mut self, random: &mut Random) {
        let changes = std::mem::take(&mut self.changes);
        let first = random.below(changes.len() + 1);
        let how = random.below(3);
        for (number, change) in changes.iter().enumerate() {
            let there = match how {
                0 => false,
                1 => number < first,
                _ => random.one_in(2),
            };
            if there {
                apply(&mut self.medium, change);
            }
        }
        self.drop_unsynced();
    }
}

fn apply(names: &mut Names, change: &[(OsString, Option<usize>)]) {
    for (name, node) in change {
        match node {
            Some(node) => names.insert(name.clone(), *node),
            None => names.remove(name),
        };
    }
}
