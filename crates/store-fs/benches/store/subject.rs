use std::{
    fs::{self, File, OpenOptions},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use core_model::{Catalog, ConversationId, Metadata};
use serde_json::json;
use store_fs::{FsLog, FsStore, Options};
use tokio::runtime::Runtime;

use crate::lines::{head, line};

/// A store with one conversation, whose log was filled without going through the store.
pub(crate) struct Subject {
    pub(crate) root: PathBuf,
    pub(crate) id: ConversationId,
    pub(crate) bytes: u64,
}

impl Subject {
    /// A log of `events` lines of `width` bytes, their line break included.
    pub(crate) fn make(root: &Path, events: usize, width: usize) -> Self {
        let id = ConversationId::random();
        let runtime = Runtime::new().unwrap();
        let store = store(root);
        runtime.block_on(store.create(&metadata(id))).unwrap();
        let path = store.folder(id).join("events.jsonl");
        let file = OpenOptions::new().append(true).open(path).unwrap();
        let mut file = BufWriter::with_capacity(1 << 20, file);
        for number in 0..events {
            writeln!(file, "{}", line(&head(number), width - 1)).unwrap();
        }
        file.into_inner().unwrap().sync_all().unwrap();
        let subject = Self {
            root: root.to_owned(),
            id,
            bytes: (events * width) as u64,
        };
        // Makes its index.
        drop(runtime.block_on(store.open_log(id)).unwrap());
        sync(&subject.index());
        subject
    }

    pub(crate) fn open(&self, runtime: &Runtime) -> (FsStore, FsLog) {
        let store = store(&self.root);
        let log = runtime.block_on(store.open_log(self.id)).unwrap();
        (store, log)
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.root.join(self.id.to_string()).join("events.idx")
    }

    pub(crate) fn forget_index(&self) {
        fs::remove_file(self.index()).unwrap();
    }
}

pub(crate) fn store(root: &Path) -> FsStore {
    FsStore::open(root, Options::default()).unwrap()
}

/// What is still on its way to the disk would disturb the next figures.
pub(crate) fn sync(path: &Path) {
    File::open(path).unwrap().sync_all().unwrap();
}

pub(crate) fn metadata(id: ConversationId) -> Metadata {
    serde_json::from_value(json!({
        "format": 1, "id": id, "created_at": "2026-11-22T19:31:36.469689Z", "title": null,
        "agent": {"kind": "Agent"},
        "workspace": {"working_dir": "workspace/project", "kind": "LocalWorkspace"},
        "max_iterations": 500, "stuck_detection": true,
        "confirmation_policy": {"kind": "NeverConfirm"}, "security_analyzer": null,
        "hook_config": null, "tags": {}, "secrets": {}, "client_tools": [],
        "tool_module_qualnames": {}, "user_id": null, "autotitle": true,
        "parent_conversation_id": null, "forked_from_conversation_id": null,
        "forked_from_event_id": null, "snapshot": null,
    }))
    .unwrap()
}
