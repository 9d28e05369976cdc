use std::{
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    path::Path,
};

use tokio::sync::Mutex;

/// More folders than are made ready at once in most cases; two that share a turn only wait a little.
const TURNS: usize = 16;

/// Whose turn it is to make a folder ready.
#[derive(Default)]
pub(crate) struct FolderTurns([Mutex<()>; TURNS]);

impl FolderTurns {
    pub(crate) fn of(&self, folder: &Path) -> &Mutex<()> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(folder);
        &self.0[hash as usize % TURNS]
    }
}
