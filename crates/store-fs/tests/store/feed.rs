//! The list and the feed across restarts, in order and not.

use std::{collections::HashMap, fs, path::Path, time::Duration};

use core_model::{Catalog, Claims, ConversationId, ExecutionStatus, Feed, Row, Seq, port::Change};
use store_fs::FsStore;
use tempfile::TempDir;

use crate::support::{claim, message, metadata, store, summary};

/// Appends by right of a claim, as the server does.
async fn say(store: &FsStore, id: ConversationId, count: usize) {
    let mut writer = claim(store, id).await.log;
    let first = writer.extent().len.index();
    let records = (first..first + count).map(message).collect();
    let summary = summary(ExecutionStatus::Idle);
    writer.append(records, summary).await.unwrap();
}

/// The row from memory, which waits for no look through the folder.
async fn row(store: &FsStore, id: ConversationId) -> Option<Row> {
    store.row(id).await.unwrap()
}

async fn len(store: &FsStore, id: ConversationId) -> Option<Seq> {
    row(store, id).await.map(|row| row.extent.len)
}

/// All changes from a position on, and where they end.
async fn changes(store: &FsStore, mut from: u64) -> (Vec<(ConversationId, Change)>, u64) {
    let mut found = Vec::new();
    let len = store.feed_len().await.unwrap();
    loop {
        let entries = store.feed_entries(from, 3).await.unwrap();
        let Some(last) = entries.last() else {
            return (found, len);
        };
        from = last.position + 1;
        found.extend(
            entries
                .iter()
                .map(|entry| (entry.conversation, entry.change)),
        );
    }
}

fn grown(from: u64, to: u64) -> Change {
    Change::Appended {
        from: Seq(from),
        to: Seq(to),
    }
}

/// The store's folder as a kill would leave it now.
fn killed(root: &Path) -> TempDir {
    let left = tempfile::tempdir().unwrap();
    copy(root, left.path());
    left
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&to).unwrap();
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[tokio::test]
async fn a_store_closed_in_order_knows_its_list_and_its_feed_at_once() {
    let root = tempfile::tempdir().unwrap();
    let (a, b) = (ConversationId::random(), ConversationId::random());
    let first = store(root.path());
    assert!(!first.was_closed_cleanly());
    for id in [a, b] {
        first.create(&metadata(id)).await.unwrap();
    }
    say(&first, a, 2).await;
    say(&first, a, 1).await;
    first.delete(b).await.unwrap();
    let (feed, len) = changes(&first, 0).await;
    let expected = [
        (a, Change::Created),
        (b, Change::Created),
        (a, grown(0, 2)),
        (a, grown(2, 3)),
        (b, Change::Deleted),
    ];
    assert_eq!(feed, expected);
    let (listed, id) = (row(&first, a).await, first.feed_id());
    drop(first);

    let second = store(root.path());
    assert!(second.was_closed_cleanly());
    assert_eq!(
        (row(&second, a).await, row(&second, b).await),
        (listed, None)
    );
    assert_eq!(
        (second.count(None).await.unwrap(), second.feed_id()),
        (1, id)
    );
    assert_eq!(changes(&second, 0).await, (expected.to_vec(), len));
    assert!(second.orphans(usize::MAX).await.unwrap().is_empty());
    // Being read does not open it for changes, being changed does.
    let log = second.open_log(a).await.unwrap();
    assert!(!store(killed(root.path()).path()).was_closed_cleanly());
    say(&second, a, 1).await;
    drop(log);
    assert_eq!(changes(&second, len).await.0, [(a, grown(3, 4))]);
}

#[tokio::test]
async fn what_a_kill_took_from_the_list_is_found_and_told_once() {
    let root = tempfile::tempdir().unwrap();
    let id = ConversationId::random();
    let first = store(root.path());
    first.create(&metadata(id)).await.unwrap();
    let log = first.open_log(id).await.unwrap();
    say(&first, id, 1).await;
    let (_, end) = changes(&first, 0).await;
    // Appended, and no row told of it before the kill.
    let records = vec![message(1), message(2)];
    log.append(records, Some(Seq(1))).await.unwrap();
    let left = killed(root.path());

    let second = store(left.path());
    assert!(!second.was_closed_cleanly());
    assert_eq!(len(&second, id).await, Some(Seq(1)));
    assert_eq!(second.orphans(usize::MAX).await.unwrap(), [id]);
    say(&second, id, 0).await;
    assert_eq!(len(&second, id).await, Some(Seq(3)));
    assert_eq!(changes(&second, end).await.0, [(id, grown(1, 3))]);
    assert!(second.orphans(usize::MAX).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_log_that_grew_without_its_row_is_not_closed_cleanly() {
    let root = tempfile::tempdir().unwrap();
    let id = ConversationId::random();
    {
        let store = store(root.path());
        store.create(&metadata(id)).await.unwrap();
        let log = store.open_log(id).await.unwrap();
        log.append(vec![message(0)], None).await.unwrap();
    }
    let store = store(root.path());
    assert!(!store.was_closed_cleanly());
    assert_eq!(store.orphans(usize::MAX).await.unwrap(), [id]);
}

#[tokio::test]
async fn a_missing_or_damaged_list_is_found_again_under_a_new_feed() {
    for name in [".feed", ".catalog"] {
        for damage in [None, Some("rubbish".repeat(40))] {
            let root = tempfile::tempdir().unwrap();
            let id = ConversationId::random();
            let first = store(root.path());
            first.create(&metadata(id)).await.unwrap();
            let feed = first.feed_id();
            drop(first);
            match &damage {
                None => fs::remove_file(root.path().join(name)).unwrap(),
                Some(text) => fs::write(root.path().join(name), text).unwrap(),
            }
            let second = store(root.path());
            // The feed alone is enough to make the list from.
            assert_eq!(second.feed_id() == feed, name == ".catalog");
            if name == ".catalog" {
                assert_eq!(second.count(None).await.unwrap(), 1);
            } else {
                assert!(!second.was_closed_cleanly());
                assert_eq!(second.count(None).await.unwrap(), 1, "it looks");
                // Its log is empty, so that the metadata says all there is.
                assert!(second.orphans(usize::MAX).await.unwrap().is_empty());
                assert_eq!(len(&second, id).await, Some(Seq(0)));
                assert_eq!(changes(&second, 0).await.0, [(id, Change::Created)]);
            }
        }
    }
}

#[tokio::test]
async fn a_log_beyond_its_metadata_is_listed_and_named_and_told_once() {
    let root = tempfile::tempdir().unwrap();
    let (id, damaged) = (ConversationId::random(), ConversationId::random());
    {
        let first = store(root.path());
        for id in [id, damaged] {
            first.create(&metadata(id)).await.unwrap();
        }
        say(&first, id, 2).await;
        fs::write(first.folder(damaged).join("metadata.json"), "{").unwrap();
    }
    fs::remove_file(root.path().join(".feed")).unwrap();
    let second = store(root.path());
    assert_eq!(second.orphans(usize::MAX).await.unwrap(), [id]);
    assert_eq!(len(&second, id).await, Some(Seq(0)));
    assert_eq!(row(&second, damaged).await, None);
    assert_eq!(second.count(None).await.unwrap(), 1);
    say(&second, id, 0).await;
    let told = [(id, Change::Created), (id, grown(0, 2))];
    assert_eq!(changes(&second, 0).await.0, told);
}

#[tokio::test]
async fn rows_of_folders_that_are_gone_go() {
    let root = tempfile::tempdir().unwrap();
    let (a, b) = (ConversationId::random(), ConversationId::random());
    let store = store(root.path());
    for id in [a, b] {
        store.create(&metadata(id)).await.unwrap();
    }
    fs::remove_dir_all(store.folder(a)).unwrap();
    assert!(store.orphans(usize::MAX).await.unwrap().is_empty());
    assert_eq!(
        (row(&store, a).await, store.count(None).await.unwrap()),
        (None, 1)
    );
    assert_eq!(changes(&store, 2).await.0, [(a, Change::Deleted)]);
}

#[tokio::test]
async fn those_that_were_running_are_named() {
    let root = tempfile::tempdir().unwrap();
    let id = ConversationId::random();
    {
        let store = store(root.path());
        store.create(&metadata(id)).await.unwrap();
        let mut writer = claim(&store, id).await.log;
        let running = ExecutionStatus::Running;
        writer.append(Vec::new(), summary(running)).await.unwrap();
        assert_eq!(store.count(Some(running)).await.unwrap(), 1);
        assert!(
            store.orphans(usize::MAX).await.unwrap().is_empty(),
            "it is held"
        );
        drop(writer);
        assert_eq!(store.orphans(usize::MAX).await.unwrap(), [id]);
        // A change of status alone is nothing to follow.
        assert_eq!(changes(&store, 0).await.0, [(id, Change::Created)]);
    }
    assert_eq!(store(root.path()).orphans(usize::MAX).await.unwrap(), [id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_is_led_to_each_event_once_in_order() {
    const CONVERSATIONS: usize = 8;
    const EACH: usize = 25;
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    let writers: Vec<_> = (0..CONVERSATIONS)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let id = ConversationId::random();
                store.create(&metadata(id)).await.unwrap();
                for _ in 0..EACH {
                    say(&store, id, 2).await;
                }
            })
        })
        .collect();
    let follow = async {
        let (mut position, mut seen, mut done) = (0, HashMap::new(), 0);
        while done < CONVERSATIONS {
            store.feed_grown(position).await.unwrap();
            for entry in store.feed_entries(position, 7).await.unwrap() {
                assert!(entry.position >= position);
                position = entry.position + 1;
                let len = seen.entry(entry.conversation).or_insert(Seq(0));
                if let Change::Appended { from, to } = entry.change {
                    assert_eq!((from, to > from), (*len, true));
                    *len = to;
                    done += usize::from(to == Seq(2 * EACH as u64));
                }
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), follow)
        .await
        .unwrap();
    for writer in writers {
        writer.await.unwrap();
    }
}

#[tokio::test]
async fn a_store_that_was_closed_and_written_to_again_is_not_closed() {
    let root = tempfile::tempdir().unwrap();
    let id = ConversationId::random();
    let closed = root.path().join(".closed");
    let store_ = store(root.path());
    store_.create(&metadata(id)).await.unwrap();
    let log = store_.open_log(id).await.unwrap();
    store_.close().await.unwrap();
    assert!(closed.exists());
    log.append(vec![message(0)], None).await.unwrap();
    assert!(!closed.exists());
    say(&store_, id, 1).await;
    store_.close().await.unwrap();
    // The process ends before anything is dropped.
    std::mem::forget((log, store_));
    assert!(closed.exists());
}
