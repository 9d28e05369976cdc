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
    changes: Vec<Change>,
}

struct Change {
    names: Vec<(OsString, Option<usize>)>,
    /// It is one half of this move between two folders.
    moved: Option<usize>,
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
        self.push(change, None);
    }

    /// As [`Self::set`], as one half of the move with this number.
    pub(crate) fn move_one(&mut self, path: &Path, node: Option<usize>, number: usize) {
        self.push(&[(path, node)], Some(number));
    }

    fn push(&mut self, change: &[(&Path, Option<usize>)], moved: Option<usize>) {
        let names: Vec<_> = change
            .iter()
            .map(|(path, node)| (path.file_name().unwrap().to_owned(), *node))
            .collect();
        apply(&mut self.cache, &names);
        self.changes.push(Change { names, moved });
    }

    /// Tells the moves that this made durable in this folder.
    pub(crate) fn sync(&mut self) -> Vec<usize> {
        self.medium = self.cache.clone();
        let changes = self.changes.drain(..);
        changes.filter_map(|change| change.moved).collect()
    }

    pub(crate) fn waits_for(&self, number: usize) -> bool {
        self.changes
            .iter()
            .any(|change| change.moved == Some(number))
    }

    pub(crate) fn drop_unsynced(&mut self) {
        self.cache = self.medium.clone();
        self.changes.clear();
    }

    /// Nothing, the first, or any of the changes reach the medium, and those moves that `moved` says.
    pub(crate) fn cut_power(&mut self, random: &mut Random, moved: &[bool]) {
        let changes = std::mem::take(&mut self.changes);
        let first = random.below(changes.len() + 1);
        let how = random.below(3);
        for (number, change) in changes.iter().enumerate() {
            let there = match how {
                0 => false,
                1 => number < first,
                _ => random.one_in(2),
            };
            if change.moved.map_or(there, |number| moved[number]) {
                apply(&mut self.medium, &change.names);
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
