//! Reading and following without a store, and writing without a runtime.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::FileExt,
    path::Path,
    time::Duration,
};

use core_model::{Catalog, ConversationId, Seq, StoreError};
use store_fs::{
    FileFollower, FileReader, FsLog, FsStore, OpenError, Options, ReadError, conversations, verify,
};

use crate::support::{message, metadata, one_log, store};

const MOMENT: Duration = Duration::from_millis(1);

/// What a reader gave, in short: ids of events, and what came instead of others.
fn items(records: impl Iterator<Item = Result<core_model::Record, ReadError>>) -> Vec<String> {
    let item = |record| match record {
        Ok(core_model::Record { seq, head, .. }) => format!("{seq} {}", head.id),
        Err(ReadError::Damaged { seq, .. }) => format!("{seq} damaged"),
        Err(ReadError::Torn { seq, .. }) => format!("{seq} torn"),
        Err(error) => panic!("{error}"),
    };
    records.map(item).collect()
}

#[tokio::test]
async fn every_way_of_reading_says_the_same_with_any_index() {
    let (_root, store_, id, log) = one_log(2500).await;
    let folder = store_.folder(id);
    let (path, index) = (folder.join("events.jsonl"), folder.join("events.idx"));
    drop((log, store_));
    let right = fs::read(&index).unwrap();
    let (header, entries) = right.split_at(64);
    let mut damaged = OpenOptions::new().append(true).open(&path).unwrap();
    damaged.write_all(b"what is this\n").unwrap();
    damaged.write_all(&message(2501).bytes).unwrap();
    damaged.write_all(b"\n{\"id\":").unwrap();
    let expected = items(FileReader::open(&folder).unwrap());
    assert_eq!(expected.len(), 2503);
    assert_eq!(
        expected[2500..],
        ["2500 damaged", "2501 message-2501", "2502 torn"]
    );
    let mut flipped = right.clone();
    flipped[64 + 48 * 1200] ^= 1;
    for (name, bytes) in [
        ("short", &right[..]),
        ("shorter", &right[..64 + 48 * 1000 + 7]),
        ("empty", header),
        ("missing", &[]),
        ("no index", b"nothing of the kind"),
        ("of another log", &[header, &entries[48..]].concat()),
        ("damaged", &flipped),
    ] {
        fs::write(&index, bytes).unwrap();
        if name == "missing" {
            fs::remove_file(&index).unwrap();
        }
        let mut log = FileReader::open(&folder).unwrap();
        assert_eq!(log.len().unwrap(), Seq(2502), "{name}");
        assert_eq!(items(log), expected, "{name}");
        let mut backwards = items(FileReader::open(&path).unwrap().rev());
        backwards.reverse();
        assert_eq!(backwards, expected, "{name}");
        for seq in [0, 1, 999, 1000, 1200, 1201, 2499, 2500, 2501, 2502, 9999] {
            let mut log = FileReader::open(&folder).unwrap();
            log.seek(Seq(seq)).unwrap();
            let rest = &expected[(seq as usize).min(2502)..];
            assert_eq!(items(log.by_ref()), rest, "{name}, {seq}");
            log.seek(Seq(seq)).unwrap();
            assert_eq!(items(log.rev()).len(), rest.len(), "{name}, {seq}");
        }
    }
    let mut log = FileReader::open(&folder).unwrap();
    assert_eq!(
        items(log.by_ref().rev().take(2)),
        ["2502 torn", "2501 message-2501"]
    );
    assert_eq!(items(log), expected[..2501]);
}

#[tokio::test]
async fn the_index_leads_to_the_end_without_what_is_before_it() {
    let (_root, store, id, log) = one_log(4).await;
    let folder = store.folder(id);
    let file = OpenOptions::new()
        .write(true)
        .open(folder.join("events.jsonl"))
        .unwrap();
    // Who looks for line breaks finds one less.
    file.write_all_at(b" ", message_end(&log).await).unwrap();
    let mut reader = FileReader::open(&folder).unwrap();
    assert_eq!(reader.len().unwrap(), Seq(4));
    reader.seek(Seq(3)).unwrap();
    assert_eq!(items(reader), ["3 message-3"]);
}

/// Where the first line's line break stands.
async fn message_end(log: &FsLog) -> u64 {
    crate::support::all(log).await[0].bytes.len() as u64
}

#[tokio::test]
async fn an_event_that_is_not_the_one_written_is_damage() {
    let (_root, store, id, _log) = one_log(3).await;
    let folder = store.folder(id);
    let path = folder.join("events.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("number 1", "number 7")).unwrap();
    let expected = ["0 message-0", "1 damaged", "2 message-2"];
    assert_eq!(items(FileReader::open(&folder).unwrap()), expected);
    let backwards = items(FileReader::open(&folder).unwrap().rev());
    assert!(backwards.iter().rev().eq(&expected), "{backwards:?}");
    assert_eq!(verify(&folder, |_| {}).unwrap().damaged[0].seq, 1);
}

#[tokio::test]
async fn a_follower_keeps_up_with_a_server() {
    let (_root, store, id, log) = one_log(1).await;
    let follower = FileReader::open(store.folder(id)).unwrap().follow();
    let following = tokio::task::spawn_blocking(move || items(follower.take(300)));
    for number in 1..300 {
        log.append(vec![message(number)], None).await.unwrap();
    }
    let expected: Vec<String> = (0..300).map(|seq| format!("{seq} message-{seq}")).collect();
    assert_eq!(following.await.unwrap(), expected);
}

#[tokio::test]
async fn a_follower_never_takes_half_a_line() {
    let (_root, store, id, _log) = one_log(0).await;
    let path = store.folder(id).join("events.jsonl");
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    let mut follower = FileReader::open(&path).unwrap().follow();
    let line = message(0).bytes;
    for byte in line.iter() {
        file.write_all(&[*byte]).unwrap();
        assert_eq!(follower.next_within(Duration::ZERO).unwrap(), None);
    }
    assert_eq!(follower.cursor(), Seq(0));
    // What an acknowledged event is not made of may be taken back and written anew.
    file.set_len(5).unwrap();
    assert_eq!(follower.next_within(MOMENT).unwrap(), None);
    file.set_len(0).unwrap();
    file.write_all(&message(1).bytes).unwrap();
    file.write_all(b"\nno event\n").unwrap();
    assert_eq!(
        items(follower.by_ref().take(2)),
        ["0 message-1", "1 damaged"]
    );
    assert_eq!(follower.cursor(), Seq(2));
}

#[tokio::test]
async fn a_follower_tells_that_its_log_is_not_the_same_any_more() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 4] = [
        ("cut", |path| {
            let file = OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(10).unwrap();
        }),
        ("cut and longer again", |path| {
            let lines: Vec<u8> = (5..9)
                .flat_map(|number| [&message(number).bytes[..], b"\n"].concat())
                .collect();
            fs::write(path, lines).unwrap();
        }),
        ("replaced", |path| {
            let copy = path.with_file_name("copy");
            fs::copy(path, &copy).unwrap();
            fs::rename(copy, path).unwrap();
        }),
        ("deleted", |path| fs::remove_file(path).unwrap()),
    ];
    for (name, change) in changes {
        let (_root, store, id, _log) = one_log(2).await;
        let path = store.folder(id).join("events.jsonl");
        let mut follower = FileReader::open(&path).unwrap().follow();
        assert_eq!(items(follower.by_ref().take(2)).len(), 2);
        assert!(follower.next_within(MOMENT).unwrap().is_none());
        change(&path);
        for _ in 0..2 {
            let error = follower.next_within(MOMENT).unwrap_err();
            let told = match name {
                "deleted" => matches!(&error, ReadError::Io { .. }),
                _ => matches!(&error, ReadError::Cut { seq: Seq(2), .. }),
            };
            assert!(told, "{name}: {error}");
        }
        ends(follower);
    }
}

fn ends(mut follower: FileFollower) {
    assert!(follower.next().unwrap().is_err());
    assert!(follower.next().is_none());
}

#[tokio::test]
async fn conversations_are_listed_beside_a_server() {
    let (root, store, id, _log) = one_log(1).await;
    let second = metadata(ConversationId::random());
    store.create(&second).await.unwrap();
    fs::create_dir(root.path().join("something else")).unwrap();
    let newer = metadata(ConversationId::random());
    let folder = root.path().join(newer.id.to_string());
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("metadata.json"), r#"{"format": 99}"#).unwrap();
    let mut expected = [id, second.id, newer.id];
    expected.sort();
    let found = conversations(root.path()).unwrap();
    let ids: Vec<ConversationId> = found.iter().map(|one| one.id).collect();
    assert_eq!(ids, expected);
    for conversation in found {
        match conversation.metadata() {
            Ok(metadata) => assert_eq!(metadata, store.metadata(conversation.id).await.unwrap()),
            Err(error) => {
                assert_eq!(conversation.id, newer.id);
                assert!(error.to_string().contains("newer"), "{error}");
            }
        }
    }
    assert!(conversations(&root.path().join("none")).is_err());
}

#[test]
fn a_tool_writes_without_a_runtime_unless_a_server_has_the_folder() {
    let root = tempfile::tempdir().unwrap();
    let metadata = metadata(ConversationId::random());
    let first = store(root.path());
    first.create_blocking(&metadata).unwrap();
    let again = first.create_blocking(&metadata).unwrap_err();
    assert!(matches!(again, StoreError::Exists(id) if id == metadata.id));
    let log = first.open_log_blocking(metadata.id).unwrap();
    let len = log.append_blocking(&[message(0), message(1)], Some(Seq(0)));
    assert_eq!(len.unwrap(), Seq(2));
    drop(first);
    let refused = FsStore::open(root.path(), Options::default());
    assert!(matches!(refused, Err(OpenError::Locked { .. })));
    let folder = root.path().join(metadata.id.to_string());
    assert_eq!(
        items(FileReader::open(&folder).unwrap()),
        ["0 message-0", "1 message-1"]
    );
    drop(log);
    let store = store(root.path());
    let log = store.open_log_blocking(metadata.id).unwrap();
    assert_eq!(log.len(), Seq(2));
    let missing = store.open_log_blocking(ConversationId::random());
    assert!(matches!(missing, Err(StoreError::NotFound(_))));
}
