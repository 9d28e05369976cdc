use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use core_model::{
    Catalog, ConversationId, ConversationKey, Feed, Limit, LogReader, Metadata, Seq, StoreError,
    UtcTime, Workspace, WorkspaceKind,
    port::{Change, Cursor, DeliveryRecords, FeedPosition, FollowerChange},
};
use serde_json::json;
use tempfile::TempDir;
use uuid::Uuid;

use super::note_files::{MAX_LINES, NoteFiles};
use crate::{AppendError, FsLog, FsStore, OpenError, Options, faults::record, layout};

fn kept() -> (TempDir, FsStore) {
    let at = tempfile::tempdir().unwrap();
    let store = open(at.path());
    (at, store)
}

fn open(at: &Path) -> FsStore {
    let store = FsStore::open(&at.join("conversations"), Options::default()).unwrap();
    store.keep_deliveries(&at.join("webhooks")).unwrap();
    store
}

fn note_files(store: &FsStore) -> &NoteFiles {
    &store.0.deliveries.get().unwrap().notes
}

async fn put_position(store: &FsStore, follower: &str, position: u64) {
    let changes = vec![FollowerChange::Position(at(position))];
    store.change(follower, changes).await.unwrap();
}

fn file(at: &TempDir) -> PathBuf {
    at.path().join("webhooks/hook/cursors.jsonl")
}

/// A new one with so many events, which its row does not count yet.
fn conversation(store: &FsStore, events: u64) -> (ConversationKey, FsLog) {
    let workspace = Workspace {
        working_dir: "workspace/project".to_owned(),
        kind: WorkspaceKind::LocalWorkspace,
    };
    let metadata = Metadata::new(json!({"kind": "Agent"}), workspace);
    (create(store, &metadata), fill(store, metadata.id, events))
}

fn create(store: &FsStore, metadata: &Metadata) -> ConversationKey {
    store.create_blocking(metadata).unwrap();
    store.0.context.catalog.row(metadata.id).unwrap().key()
}

fn fill(store: &FsStore, id: ConversationId, events: u64) -> FsLog {
    let log = store.open_log_blocking(id).unwrap();
    let records: Vec<_> = (0..events).map(record).collect();
    log.append_blocking(&records, Some(Seq(0))).unwrap();
    log
}

fn at(position: u64) -> FeedPosition {
    let feed = Uuid::from_u128(7);
    FeedPosition { feed, position }
}

fn positions(store: &FsStore, follower: &str) -> Vec<u64> {
    let notes = note_files(store).read(follower).unwrap().into_iter();
    let positions = notes.map(|note| {
        let FollowerChange::Position(at) = note else {
            panic!("{note:?}")
        };
        at.position
    });
    positions.collect()
}

#[tokio::test]
async fn records_are_private_lines_in_the_order_in_which_they_were_written() {
    let (folder, store) = kept();
    assert_eq!(store.load("hook").await.unwrap(), None);
    assert!(store.followers().await.unwrap().is_empty());
    for position in [1, 2, 3] {
        put_position(&store, "hook", position).await;
    }
    store.flush("hook").await.unwrap();
    put_position(&store, "b", 9).await;
    assert_eq!(positions(&store, "hook"), [1, 2, 3]);
    let loaded = store.load("hook").await.unwrap().unwrap();
    assert_eq!(loaded.position, Some(at(3)));
    assert_eq!(store.followers().await.unwrap(), ["b", "hook"]);
    let text = fs::read_to_string(file(&folder)).unwrap();
    assert_eq!(
        text.lines().next().unwrap(),
        r#"{"note":"feed","feed":"00000000-0000-0000-0000-000000000007","position":1}"#
    );
    for (path, mode) in [
        (file(&folder), 0o600),
        (folder.path().join("webhooks"), 0o700),
        (folder.path().join("webhooks/hook"), 0o700),
        (folder.path().join("webhooks/outbox"), 0o700),
    ] {
        let found = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(found & 0o777, mode, "{}", path.display());
    }
    let four = [FollowerChange::Position(at(4))];
    note_files(&store).replace("hook", &four).unwrap();
    put_position(&store, "hook", 5).await;
    assert_eq!(positions(&store, "hook"), [4, 5]);
    store.forget_follower("hook").await.unwrap();
    store.forget_follower("never-there").await.unwrap();
    assert_eq!(store.followers().await.unwrap(), ["b"]);
    put_position(&store, "hook", 6).await;
    assert_eq!(positions(&store, "hook"), [6]);
}

#[tokio::test]
async fn a_new_follower_and_its_position_are_two_lines_and_removing_it_a_third() {
    let (folder, store) = kept();
    let since = UtcTime("2026-11-22T19:31:36.469689Z".parse().unwrap());
    let wanted = FollowerChange::Wanted {
        name: "orders".to_owned(),
        since: Some(since),
    };
    let changes = vec![wanted, FollowerChange::Position(at(3))];
    store.change("hook", changes).await.unwrap();
    let removed = vec![FollowerChange::Removed { at: since }];
    store.change("hook", removed).await.unwrap();
    let text = fs::read_to_string(file(&folder)).unwrap();
    assert_eq!(
        text,
        "{\"note\":\"follower\",\"name\":\"orders\",\"since\":\"2026-11-22T19:31:36.469689Z\"}\n\
         {\"note\":\"feed\",\"feed\":\"00000000-0000-0000-0000-000000000007\",\"position\":3}\n\
         {\"note\":\"removed\",\"at\":\"2026-11-22T19:31:36.469689Z\"}\n"
    );
}

#[tokio::test]
async fn many_records_are_compacted_and_gone_conversations_left_out() {
    let (folder, store) = kept();
    let (here, log) = conversation(&store, 1);
    drop(log);
    let (waiting, log) = conversation(&store, 1);
    drop(log);
    store.delete(waiting.id).await.unwrap();
    let gone = ConversationKey {
        id: ConversationId::random(),
        ..here
    };
    let cursor = |next| Cursor {
        next: Seq(next),
        rewound: None,
    };
    for next in 0..MAX_LINES as u64 {
        let cursors = [here, waiting, gone].map(|conversation| FollowerChange::Cursor {
            conversation,
            cursor: cursor(next),
        });
        store.change("hook", cursors.into()).await.unwrap();
        if next % 1_000 == 0 {
            store.flush("hook").await.unwrap();
        }
    }
    let lines = fs::read_to_string(file(&folder)).unwrap().lines().count();
    assert!(lines < 2 * MAX_LINES, "{lines}");
    put_position(&store, "hook", 7).await;
    let before = store.load("hook").await.unwrap().unwrap();
    let last = cursor(MAX_LINES as u64 - 1);
    assert_eq!(
        (before.cursors[&here], before.cursors[&waiting]),
        (last, last)
    );
    for _ in 0..MAX_LINES {
        note_files(&store)
            .append("hook", &[FollowerChange::Position(at(7))])
            .unwrap();
    }
    store.flush("hook").await.unwrap();
    let lines = fs::read_to_string(file(&folder)).unwrap().lines().count();
    assert_eq!(lines, 4, "the follower, two cursors, the position");
    let mut expected = before;
    expected.cursors.remove(&gone);
    assert_eq!(store.load("hook").await.unwrap(), Some(expected));
}

#[tokio::test]
async fn what_a_crash_cut_off_is_not_glued_to_what_comes_next() {
    let (folder, store) = kept();
    put_position(&store, "hook", 1).await;
    put_position(&store, "hook", 2).await;
    drop(store);
    let other = "{\"note\":\"of-another-build\"}\n";
    let mut text = fs::read_to_string(file(&folder)).unwrap();
    text.insert_str(0, &format!("\0\0no note\n{other}"));
    text.push_str("{\"note\":\"fe");
    fs::write(file(&folder), text).unwrap();
    let store = open(folder.path());
    assert_eq!(positions(&store, "hook"), [1, 2]);
    put_position(&store, "hook", 3).await;
    assert_eq!(positions(&store, "hook"), [1, 2, 3]);
    let text = fs::read_to_string(file(&folder)).unwrap();
    assert!(text.starts_with(other), "{text}");
    assert_eq!(text.lines().count(), 4);
}

#[tokio::test]
async fn only_names_of_followers_are_taken() {
    let (folder, store) = kept();
    let long = "x".repeat(65);
    for name in ["", "..", "a/b", "/etc", "a.b", "a b", "é", "outbox", &long] {
        let refused = [
            store
                .change(name, vec![FollowerChange::Position(at(1))])
                .await
                .unwrap_err(),
            store.load(name).await.unwrap_err(),
            store.flush(name).await.unwrap_err(),
            note_files(&store).replace(name, &[]).unwrap_err(),
            store.forget_follower(name).await.unwrap_err(),
        ];
        for error in refused {
            let text = error.to_string();
            assert!(text.contains("is not a valid name of a follower"), "{text}");
        }
    }
    let names = fs::read_dir(folder.path().join("webhooks")).unwrap();
    let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, [".lock", "outbox"]);
    put_position(&store, &long[1..], 1).await;
}

#[tokio::test]
async fn a_deleted_conversation_waits_and_the_feed_tells_of_its_last_events_first() {
    let (at, store) = kept();
    let (one, log) = conversation(&store, 3);
    drop(log);
    let before = UtcTime::now();
    store.delete(one.id).await.unwrap();
    assert_eq!(store.feed_len().await.unwrap(), 3);
    let told = store.feed_entries(0, 10).await.unwrap();
    let changes: Vec<_> = told.iter().map(|entry| entry.change).collect();
    let (from, to) = (Seq(0), Seq(3));
    let expected = [
        Change::Created,
        Change::Appended { from, to },
        Change::Deleted,
    ];
    assert_eq!(changes, expected);
    assert!(told.iter().all(|entry| entry.created_at == one.created_at));
    assert!(!store.folder(one.id).exists());

    let outbox = at.path().join("webhooks/outbox");
    fs::create_dir(outbox.join("not-ours")).unwrap();
    fs::write(outbox.join("x.1"), "").unwrap();
    let waits = store.deleted().await.unwrap();
    assert_eq!((waits.len(), waits[0].conversation), (1, one));
    // The clock of the file system ticks more slowly.
    let earliest = before.0 - chrono::TimeDelta::seconds(1);
    assert!(waits[0].deleted_at.0 > earliest && waits[0].deleted_at <= UtcTime::now());

    let (metadata, log) = store.open_deleted(one).await.unwrap();
    assert_eq!((metadata.id, log.visible().len), (one.id, Seq(3)));
    let read = log.read(Seq(1), Limit::records(9)).await.unwrap();
    assert_eq!((read.len(), &read[0].bytes), (2, &record(1).bytes));
    let grown = log.grown(Seq(3)).await.unwrap_err();
    assert!(matches!(grown, StoreError::NotFound(_)), "{grown}");
    store.discard(one).await.unwrap();
    store.discard(one).await.unwrap();
    assert!(store.deleted().await.unwrap().is_empty());
    let gone = store.open_deleted(one).await.map(drop).unwrap_err();
    assert!(matches!(gone, StoreError::NotFound(_)), "{gone}");
    let left = fs::read_dir(&outbox).unwrap();
    assert_eq!(left.count(), 2, "what is not ours stays, and nothing else");
}

#[tokio::test]
async fn a_holder_of_a_deleted_log_can_read_it_and_not_append() {
    let (_at, store) = kept();
    let (one, log) = conversation(&store, 3);
    store.delete(one.id).await.unwrap();
    let refused = log.append(vec![record(3)], None).await.unwrap_err();
    let gone = matches!(refused, AppendError::Store(StoreError::NotFound(_)));
    assert!(gone, "{refused}");
    let read = log.read(Seq(0), Limit::records(9)).await.unwrap();
    assert_eq!(read.len(), 3);
    let again = store.delete(one.id).await.unwrap_err();
    assert!(matches!(again, StoreError::NotFound(_)), "{again}");
    assert_eq!(store.deleted().await.unwrap().len(), 1);
}

#[test]
fn events_that_are_acknowledged_while_it_is_deleted_are_told_of_and_wait() {
    let (_at, store) = kept();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for _ in 0..20 {
        let (one, log) = conversation(&store, 1);
        let acknowledged = std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut len = Seq(1);
                while let Ok(longer) = log.append_blocking(&[record(len.0)], Some(len)) {
                    len = longer;
                }
                len
            });
            while log.len() < Seq(5) {
                std::thread::yield_now();
            }
            runtime.block_on(store.delete(one.id)).unwrap();
            writer.join().unwrap()
        });
        let (_, waits) = store.0.open_deleted(one).unwrap();
        assert_eq!(waits.len(), acknowledged);
        let told = runtime.block_on(async {
            let len = store.feed_len().await.unwrap();
            store.feed_entries(len - 2, 2).await.unwrap()
        });
        let grown = Change::Appended {
            from: Seq(0),
            to: acknowledged,
        };
        assert_eq!((told[0].change, told[1].change), (grown, Change::Deleted));
    }
}

#[tokio::test]
async fn opening_one_that_waits_changes_nothing_and_leaves_the_store_ready() {
    let (at, store) = kept();
    let (one, log) = conversation(&store, 3);
    store.delete(one.id).await.unwrap();
    drop(log);
    store.close().await.unwrap();
    let folder = layout::deleted_conversation(&at.path().join("webhooks/outbox"), one);
    // Its index is damaged inside, its last line torn.
    let mut index = fs::read(folder.join(layout::INDEX)).unwrap();
    index[64 + 48 + 3] ^= 1;
    fs::write(folder.join(layout::INDEX), &index).unwrap();
    let mut text = fs::read(folder.join(layout::EVENTS)).unwrap();
    text.extend_from_slice(b"{\"id\": \"half");
    fs::write(folder.join(layout::EVENTS), &text).unwrap();
    let names = || fs::read_dir(&folder).unwrap().count();
    let count = names();
    let (_, log) = store.0.open_deleted(one).unwrap();
    let read = log.read(Seq(0), Limit::records(9)).await.unwrap();
    assert_eq!(read.len(), 3);
    log.append(vec![record(3)], None).await.unwrap_err();
    drop(log);
    assert_eq!(fs::read(folder.join(layout::EVENTS)).unwrap(), text);
    assert_eq!(fs::read(folder.join(layout::INDEX)).unwrap(), index);
    assert_eq!(names(), count);
    let health = store.health();
    assert_eq!((health.ready, health.notices), (Ok(()), Vec::new()));
    let closed = layout::closed_file(&at.path().join("conversations"));
    assert!(closed.exists(), "the store is still closed cleanly");
}

#[tokio::test]
async fn each_of_two_with_the_same_id_waits() {
    let (_at, store) = kept();
    let (first, log) = conversation(&store, 1);
    let mut metadata = store.metadata(first.id).await.unwrap();
    drop(log);
    store.delete(first.id).await.unwrap();
    metadata.created_at = UtcTime::now();
    let second = create(&store, &metadata);
    drop(fill(&store, second.id, 2));
    store.delete(second.id).await.unwrap();
    let lens = [first, second].map(|one| store.0.open_deleted(one).unwrap().1.len());
    assert_eq!(lens, [Seq(1), Seq(2)]);
    store.feed_len().await.unwrap();
    let told = store.feed_entries(0, 10).await.unwrap();
    let ends: Vec<_> = told
        .iter()
        .filter(|entry| entry.change == Change::Deleted)
        .map(|entry| entry.created_at)
        .collect();
    assert_eq!(ends, [first.created_at, second.created_at]);
}

#[tokio::test]
async fn one_that_cannot_be_opened_is_deleted_all_the_same() {
    let (at, store) = kept();
    let (one, log) = conversation(&store, 1);
    drop(log);
    let metadata = store.folder(one.id).join(layout::METADATA);
    fs::write(metadata, "no metadata").unwrap();
    store.delete(one.id).await.unwrap();
    assert_eq!(store.deleted().await.unwrap()[0].conversation, one);
    let damaged = store.open_deleted(one).await.map(drop).unwrap_err();
    assert!(matches!(damaged, StoreError::Damaged { .. }), "{damaged}");
    // Nothing tells when it was made.
    let stranger = ConversationId::random();
    fs::create_dir(store.folder(stranger)).unwrap();
    store.delete(stranger).await.unwrap();
    assert!(!store.folder(stranger).exists());
    assert_eq!(store.deleted().await.unwrap().len(), 1);
    let names = fs::read_dir(at.path().join("conversations")).unwrap();
    let hidden = names.filter(|name| {
        let name = name.as_ref().unwrap().file_name();
        name.to_str().unwrap().starts_with(".deleted-")
    });
    assert_eq!(hidden.count(), 0);
}

#[test]
fn what_a_crash_left_in_the_outbox_is_cleared() {
    let (at, store) = kept();
    let (alive, log) = conversation(&store, 1);
    drop((log, store));
    let outbox = at.path().join("webhooks/outbox");
    for name in [".copying-1", ".discarded-2"] {
        fs::create_dir(outbox.join(name)).unwrap();
        fs::write(outbox.join(name).join(layout::EVENTS), "{}\n").unwrap();
    }
    // Copied there, and then not deleted.
    fs::create_dir(layout::deleted_conversation(&outbox, alive)).unwrap();
    let store = open(at.path());
    assert_eq!(fs::read_dir(&outbox).unwrap().count(), 0);
    assert!(store.folder(alive.id).exists());
    // The same folder again is the same; another one is refused.
    store.keep_deliveries(&at.path().join("webhooks")).unwrap();
    let other = store.keep_deliveries(&at.path().join("elsewhere"));
    assert!(matches!(
        other,
        Err(OpenError::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists
    ));
}

#[test]
fn one_store_at_a_time_keeps_its_records_in_a_folder() {
    let (at, store) = kept();
    let beside = FsStore::open(&at.path().join("beside"), Options::default()).unwrap();
    let folder = at.path().join("webhooks");
    let refused = beside.keep_deliveries(&folder).map(drop).unwrap_err();
    assert!(
        matches!(refused, OpenError::DeliveriesLocked { pid, .. } if pid == Some(std::process::id())),
        "{refused}"
    );
    drop(store);
    beside.keep_deliveries(&folder).unwrap();
}

#[test]
fn the_notes_look_as_their_documentation_shows() {
    let text = include_str!("../../../../docs/STORAGE.md");
    let lines: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("{\"note\":"))
        .collect();
    let mut kinds = Vec::new();
    for line in lines {
        let note: FollowerChange = serde_json::from_str(line).unwrap();
        assert_eq!(serde_json::to_string(&note).unwrap(), line);
        kinds.push(match note {
            FollowerChange::Wanted { .. } => 0,
            FollowerChange::Removed { .. } => 1,
            FollowerChange::Position(_) => 2,
            FollowerChange::Cursor { .. } => 3,
            FollowerChange::Rewound { .. } => 4,
            FollowerChange::DeadLetter(_) => 5,
            FollowerChange::Restored { .. } => 6,
        });
    }
    assert_eq!(kinds, [0, 1, 2, 3, 3, 4, 5, 6]);
}
