use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard},
};

use core_model::port::{FollowerRecords, Holder, RECEIPTS, SpendingRecord};
use tokio::sync::watch;
use uuid::Uuid;

use crate::{lock::lock, receipt_table::ReceiptTable, state::State};

/// One server on a store in memory. Clones are the same server; [`Self::server`] makes another one on the
/// same store.
///
/// A server loses its claims when its last clone is dropped, or when it is taken for dead
/// ([`Self::die`]). Readers and fenced writers may outlive it.
///
/// ```
/// use core_model::{Catalog, Claims, Metadata, Workspace, WorkspaceKind, port::Claimed};
/// use store_memory::MemoryStore;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let workspace = Workspace {
///     working_dir: "workspace/project".to_owned(),
///     kind: WorkspaceKind::LocalWorkspace,
/// };
/// let metadata = Metadata::new(serde_json::json!({"kind": "Agent"}), workspace);
/// let store = MemoryStore::new("a");
/// store.create(&metadata).await?;
/// let claim = store.claim(metadata.id).await?;
/// assert!(matches!(claim, Claimed::Mine(_)));
///
/// let other = store.server("b");
/// assert!(matches!(other.claim(metadata.id).await?, Claimed::Theirs(holder) if holder.server == "a"));
/// store.die();
/// assert!(matches!(other.claim(metadata.id).await?, Claimed::Mine(_)));
/// # Ok::<(), core_model::StoreError>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct MemoryStore {
    pub(crate) shared: Arc<Shared>,
    pub(crate) server: Arc<Server>,
}

/// What all servers on a store share.
pub(crate) struct Shared {
    pub(crate) feed_id: Uuid,
    state: Mutex<State>,
    /// How long the feed is.
    pub(crate) feed_len: watch::Sender<u64>,
    pub(crate) receipts: Mutex<ReceiptTable>,
    pub(crate) spending: Mutex<SpendingRecord>,
    /// What is recorded of followers, by their names.
    pub(crate) followers: Mutex<BTreeMap<String, FollowerRecords>>,
}

/// Ends with the last clone of its handle.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) number: u64,
    shared: Arc<Shared>,
}

impl MemoryStore {
    /// An empty store, and the first server on it.
    #[must_use]
    pub fn new(server: &str) -> Self {
        let shared = Arc::new(Shared {
            feed_id: Uuid::new_v4(),
            state: Mutex::default(),
            feed_len: watch::Sender::new(0),
            receipts: Mutex::new(ReceiptTable::new(RECEIPTS)),
            spending: Mutex::default(),
            followers: Mutex::default(),
        });
        Self::on(shared, server)
    }

    /// Another server on the same store, under an id of its own.
    #[must_use]
    pub fn server(&self, server: &str) -> Self {
        Self::on(Arc::clone(&self.shared), server)
    }

    /// From now on other servers take this one for dead: it loses its claims and can claim nothing more.
    pub fn die(&self) {
        self.shared.state().end_server(self.server.number);
    }

    fn on(shared: Arc<Shared>, server: &str) -> Self {
        let holder = Holder {
            server: server.to_owned(),
            address: None,
        };
        let number = shared.state().add_server(holder);
        let server = Arc::new(Server {
            number,
            shared: Arc::clone(&shared),
        });
        Self { shared, server }
    }
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let feed_id = &self.feed_id;
        f.debug_struct("Shared")
            .field("feed_id", feed_id)
            .finish_non_exhaustive()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.state().end_server(self.number);
    }
}
