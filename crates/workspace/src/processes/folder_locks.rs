use std::{
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    path::Path,
};

use tokio::sync::Mutex;

/// More than the folders that are usually prepared at once; two that share a lock only wait a little.
const LOCKS: usize = 16;

/// One lock a folder, held while it is made a repository.
#[derive(Default)]
pub(crate) struct FolderLocks([Mutex<()>; LOCKS]);

impl FolderLocks {
    pub(crate) fn of(&self, folder: &Path) -> &Mutex<()> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(folder);
        &self.0[hash as usize % LOCKS]
    }
}
