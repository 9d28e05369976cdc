//! A conversation in memory on a real store, for unit tests.

use std::sync::Arc;

use core_model::{
    ConversationState, Event, Extent, LlmSettings, Metadata, Store, Workspace, WorkspaceKind,
};
use serde_json::json;
use store_fs::FsStore;

use crate::{
    RuntimeConfig,
    residency::{live_conversation::LiveConversation, runtime_state::RuntimeState},
};

pub(crate) struct LiveFixture {
    pub(crate) live: Arc<LiveConversation>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) folder: tempfile::TempDir,
}

impl LiveFixture {
    /// Its state is as if `events` had happened; they are not in its log.
    pub(crate) async fn new(events: &[Event]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = FsStore::open(&folder.path().join("conversations"), Default::default());
        let store: Arc<dyn Store> = Arc::new(store.unwrap());
        let workspace = Workspace {
            working_dir: folder.path().display().to_string(),
            kind: WorkspaceKind::LocalWorkspace,
        };
        let metadata = Metadata::new(json!({}), workspace);
        store.create(&metadata).await.unwrap();
        let log = store.open(metadata.id).await.unwrap();
        let config = RuntimeConfig::new(
            [7; 32],
            LlmSettings::default(),
            folder.path(),
            folder.path().join("conversations"),
        );
        let runtime = Arc::new(RuntimeState::new(config, Arc::clone(&store)));
        let mut state = ConversationState::new(&metadata);
        for event in events {
            state.apply(event);
        }
        Self {
            live: LiveConversation::new(runtime, log, Extent::default(), metadata, state),
            store,
            folder,
        }
    }
}
