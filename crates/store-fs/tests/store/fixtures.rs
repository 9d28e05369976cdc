//! Folders as version 1 of the format wrote them must open as long as it is supported.

use std::{fs, path::Path};

use core_model::{Catalog, ConversationId, Seq};
use store_fs::FsStore;
use tempfile::TempDir;

use crate::support::{all, ids, store};

const ID: &str = "0b8c1f0e-5d0a-4c57-9f0b-2a4f5f1f7a11";
const IDS: [&str; 4] = [
    "5f0c2d1e-0000-4000-8000-000000000000",
    "5f0c2d1e-0000-4000-8000-000000000001",
    "written-by-someone-else",
    "5f0c2d1e-0000-4000-8000-000000000003",
];

#[tokio::test]
async fn a_good_folder_opens_unchanged() {
    let (_root, store, id) = copy_of("good");
    let metadata = store.metadata(id).await.unwrap();
    assert_eq!(metadata.title.as_deref(), Some("A fixture"));
    let log = store.open_log(id).await.unwrap();
    let records = all(&log).await;
    assert_eq!(
        (ids(&records), log.damaged().await.unwrap()),
        (IDS.to_vec(), 0)
    );
    let lines: Vec<u8> = records
        .iter()
        .flat_map(|record| [&record.bytes[..], b"\n"].concat())
        .collect();
    assert_eq!(
        lines,
        fs::read(fixture("good").join("events.jsonl")).unwrap()
    );
    for record in &records {
        assert_eq!(record.event().unwrap().body.kind(), record.head.kind);
    }
}

#[tokio::test]
async fn a_torn_folder_opens_without_its_last_line() {
    let (_root, store, id) = copy_of("torn");
    let log = store.open_log(id).await.unwrap();
    assert_eq!(
        (ids(&all(&log).await), log.damaged().await.unwrap()),
        (IDS[..3].to_vec(), 0)
    );
}

#[tokio::test]
async fn a_corrupt_folder_serves_its_good_lines() {
    let (_root, store, id) = copy_of("corrupt");
    let log = store.open_log(id).await.unwrap();
    let records = all(&log).await;
    assert_eq!(ids(&records), [IDS[0], IDS[2], IDS[3]]);
    assert_eq!(records[2].seq, Seq(4));
    assert_eq!((log.len(), log.damaged().await.unwrap()), (Seq(5), 2));
}

fn copy_of(name: &str) -> (TempDir, FsStore, ConversationId) {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join(ID);
    fs::create_dir(&folder).unwrap();
    for file in ["metadata.json", "events.jsonl"] {
        fs::copy(fixture(name).join(file), folder.join(file)).unwrap();
    }
    let store = store(root.path());
    (root, store, ID.parse().unwrap())
}

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/v1")
        .join(name)
}
