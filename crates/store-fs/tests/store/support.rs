use std::{fs, path::Path};

use core_model::{
    Catalog, Claims, ConversationId, Draft, Event, EventBody, EventId, EventTime, ExecutionStatus,
    Limit, LogReader, Message, Metadata, NewRecord, Record, Seq, Source, Summary, UtcTime,
    event::MessageEvent,
    port::{Claim, Claimed},
};
use serde_json::json;
use store_fs::{FsLog, FsStore, Options};
use tempfile::TempDir;

pub(crate) fn store(root: &Path) -> FsStore {
    FsStore::open(root, Options::default()).unwrap()
}

/// A store in a new folder with one conversation.
pub(crate) async fn one_conversation() -> (TempDir, FsStore, ConversationId) {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    let metadata = metadata(ConversationId::random());
    store.create(&metadata).await.unwrap();
    (root, store, metadata.id)
}

/// Like [`one_conversation`], with its log open and `count` messages in it.
pub(crate) async fn one_log(count: usize) -> (TempDir, FsStore, ConversationId, FsLog) {
    let (root, store, id) = one_conversation().await;
    let log = store.open_log(id).await.unwrap();
    let records = (0..count).map(message).collect();
    log.append(records, Some(Seq(0))).await.unwrap();
    (root, store, id, log)
}

/// The right to write a conversation.
pub(crate) async fn claim(store: &FsStore, id: ConversationId) -> Claim {
    match store.claim(id).await.unwrap() {
        Claimed::Mine(claim) => claim,
        Claimed::Theirs(holder) => panic!("{holder:?} has it"),
    }
}

pub(crate) fn summary(status: ExecutionStatus) -> Summary {
    Summary {
        status,
        updated_at: UtcTime::now(),
    }
}

pub(crate) fn message(number: usize) -> NewRecord {
    let body =
        EventBody::MessageEvent(MessageEvent::new(Message::user(format!("number {number}"))));
    let mut draft = Draft::new(Source::User, body);
    draft.id = EventId(format!("message-{number}"));
    NewRecord::encode(&draft.at(EventTime::now(), None)).unwrap()
}

/// A record with these very bytes.
pub(crate) fn raw(line: &str) -> NewRecord {
    let event = Event::from_slice(line.as_bytes()).unwrap();
    NewRecord {
        bytes: line.to_owned().into(),
        ..NewRecord::encode(&event).unwrap()
    }
}

pub(crate) async fn all(log: &FsLog) -> Vec<Record> {
    let mut records = Vec::new();
    let mut cursor = Seq(0);
    loop {
        let page = log.read(cursor, Limit::records(5000)).await.unwrap();
        let Some(last) = page.last() else {
            return records;
        };
        cursor = last.seq.after(1);
        records.extend(page);
    }
}

pub(crate) fn ids(records: &[Record]) -> Vec<&str> {
    records
        .iter()
        .map(|record| record.head.id.as_str())
        .collect()
}

pub(crate) async fn find(log: &FsLog, id: &str) -> Option<Seq> {
    log.find(&id.into()).await.unwrap()
}

/// The bytes of the torn tails that were moved aside in a folder, the oldest first.
pub(crate) fn torn(folder: &Path) -> Vec<String> {
    let names = names(folder).into_iter();
    names
        .filter(|name| name.starts_with("events.jsonl.torn-"))
        .map(|name| fs::read_to_string(folder.join(name)).unwrap())
        .collect()
}

pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Metadata as the first version of the format writes it; later fields take their defaults.
pub(crate) fn metadata(id: ConversationId) -> Metadata {
    serde_json::from_value(json!({
        "format": 1, "id": id, "created_at": "2026-11-22T19:31:36.469689Z", "title": null,
        "agent": {"kind": "Agent"},
        "workspace": {"working_dir": "workspace/project", "kind": "LocalWorkspace"},
        "max_iterations": 500, "stuck_detection": true,
        "confirmation_policy": {"kind": "NeverConfirm"}, "security_analyzer": null,
        "hook_config": null, "tags": {"team": "blue"}, "secrets": {"TOKEN": {"value": "sealed"}},
        "client_tools": [], "tool_module_qualnames": {}, "user_id": null, "autotitle": true,
        "parent_conversation_id": null, "forked_from_conversation_id": null,
        "forked_from_event_id": null, "snapshot": null,
    }))
    .unwrap()
}
