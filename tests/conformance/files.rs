//! The store on files keeps the promises of the ports.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot continue fails"
)]

mod suite;

use std::{sync::Arc, thread, time::Duration};

use core_model::{Store, port::DeliveryRecords};
use store_fs::{FsStore, OpenError, Options};
use tempfile::TempDir;

/// The store under test, in a folder of its own.
struct Tested {
    files: FsStore,
    store: Arc<dyn Store>,
    folder: TempDir,
}

impl Tested {
    fn open(folder: TempDir) -> Self {
        for _ in 0..10_000 {
            match FsStore::open(folder.path(), Options::default()) {
                Ok(files) => {
                    let store = Arc::new(files.clone());
                    return Self {
                        files,
                        store,
                        folder,
                    };
                }
                // A call that was dropped still has the store before.
                Err(OpenError::Locked { .. }) => thread::sleep(Duration::from_millis(1)),
                Err(error) => panic!("{error}"),
            }
        }
        panic!("the store before is still in use")
    }
}

impl suite::Subject for Tested {
    const CASES: u32 = 24;

    fn empty() -> Self {
        Self::open(tempfile::tempdir().unwrap())
    }

    fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    fn records(&self) -> Arc<dyn DeliveryRecords> {
        let folder = self.folder.path().join(".deliveries");
        self.files.keep_deliveries(&folder).unwrap();
        Arc::new(self.files.clone())
    }

    fn reopen(self) -> Self {
        let Self {
            files,
            store,
            folder,
        } = self;
        drop((files, store));
        Self::open(folder)
    }

    /// The folder is locked.
    fn another(&self) -> Option<Self> {
        None
    }

    fn die(&self) {
        panic!("there is no other server");
    }
}
