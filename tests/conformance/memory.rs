//! The store in memory keeps the promises of the ports.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot continue fails"
)]

mod suite;

use std::sync::Arc;

use core_model::{Store, port::DeliveryRecords};
use store_memory::MemoryStore;

/// The store under test. It outlives the server that is opened again: another one takes its place.
struct Tested {
    server: MemoryStore,
    store: Arc<dyn Store>,
}

impl From<MemoryStore> for Tested {
    fn from(server: MemoryStore) -> Self {
        let store = Arc::new(server.clone());
        Self { server, store }
    }
}

impl suite::Subject for Tested {
    const CASES: u32 = 200;

    fn empty() -> Self {
        MemoryStore::new("first").into()
    }

    fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    fn records(&self) -> Arc<dyn DeliveryRecords> {
        self.server.keep_deleted(true);
        Arc::new(self.server.clone())
    }

    fn reopen(self) -> Self {
        self.server.server("first").into()
    }

    fn another(&self) -> Option<Self> {
        Some(self.server.server("second").into())
    }

    fn die(&self) {
        self.server.die();
    }
}
