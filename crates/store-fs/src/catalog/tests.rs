//! The list and its feed on a disk that fails.

mod failing_disk;
mod infos;

use std::{
    fs, io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::sleep,
    time::{Duration, Instant},
};

use core_model::{
    Claims, ConversationId, ConversationState, ExecutionStatus, Extent, Metadata, Row, Seq,
    Snapshot, StoreError, Summary, UtcTime,
    port::{Claimed, FeedEntry},
};
use serde_json::json;
use uuid::Uuid;

use self::failing_disk::{FailingDisk, Op};
use super::{
    CatalogFile,
    files::{self, place},
    state::CatalogState,
};
use crate::{
    FsStore, Options, check,
    disk::{Disk, Open, RealDisk, Wait},
    error::lock,
    layout,
    restore::RESTORE_PAUSE,
};

/// For what must happen some time.
const TEST_TIMEOUT: Duration = Duration::from_secs(20);

fn catalog(disk: &Arc<FailingDisk>, root: &Path) -> io::Result<CatalogFile> {
    CatalogFile::open(Arc::clone(disk) as Arc<dyn Disk>, root)
}

fn store(disk: &Arc<FailingDisk>, root: &Path) -> FsStore {
    let disk = Arc::clone(disk) as Arc<dyn Disk>;
    FsStore::open_on(disk, root, Options::default(), RESTORE_PAUSE, None).unwrap()
}

fn id(number: u128) -> ConversationId {
    ConversationId(Uuid::from_u128(number))
}

fn row(number: u128, len: u64) -> Row {
    Row {
        id: id(number),
        created_at: UtcTime::now(),
        updated_at: UtcTime::now(),
        status: ExecutionStatus::Idle,
        extent: Extent {
            len: Seq(len),
            version: len * 100,
        },
        bytes: len * 100,
    }
}

/// As the server makes it: with a snapshot of the empty log.
fn metadata(id: ConversationId) -> Metadata {
    let mut metadata: Metadata = serde_json::from_value(json!({
        "format": 1, "id": id, "created_at": "2026-11-22T19:31:36.469689Z", "title": "old",
        "agent": {"kind": "Agent", "llm": {"api_key": "sealed"}},
        "workspace": {"working_dir": "project", "kind": "LocalWorkspace"},
        "max_iterations": 500, "stuck_detection": true,
        "confirmation_policy": {"kind": "NeverConfirm"}, "security_analyzer": null,
        "hook_config": null, "tags": {}, "secrets": {}, "client_tools": [],
        "tool_module_qualnames": {}, "user_id": null, "autotitle": true,
        "parent_conversation_id": null, "forked_from_conversation_id": null,
        "forked_from_event_id": null, "snapshot": null,
    }))
    .unwrap();
    metadata.snapshot = Some(Snapshot {
        extent: Extent::default(),
        state: ConversationState::new(&metadata),
    });
    metadata
}

/// Also by the name under which it is made.
fn is_feed(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with(".feed")
}

fn full() -> io::Error {
    io::ErrorKind::StorageFull.into()
}

/// The positions and ids of all entries from a position on.
fn entries(catalog: &CatalogState, from: u64) -> Vec<(u64, u128)> {
    catalog.feed_len();
    let found = catalog.feed_entries(from, 10_000, Wait::Yes).unwrap();
    let told = |entry: &FeedEntry| (entry.position, entry.conversation.0.as_u128());
    found.iter().map(told).collect()
}

#[test]
fn a_bad_entry_is_a_gap_and_its_position_is_not_given_again() {
    for (bad, half) in [(3, 0), (9, 0), (9, 7)] {
        let root = tempfile::tempdir().unwrap();
        let disk = Arc::new(FailingDisk::default());
        let first = catalog(&disk, root.path()).unwrap();
        (0..10).for_each(|number| first.note(&row(number, 0)));
        let feed = first.feed_id();
        assert_eq!(entries(&first, 0).len(), 10);
        drop(first);
        fs::remove_file(layout::catalog_file(root.path())).unwrap();
        let path = layout::feed_file(root.path());
        let mut bytes = fs::read(&path).unwrap();
        bytes[place(bad) as usize + 20] ^= 1;
        bytes.resize(bytes.len() + half, 1);
        fs::write(&path, bytes).unwrap();

        let second = catalog(&disk, root.path()).unwrap();
        assert_eq!(second.feed_id(), feed);
        assert!(!second.closed_cleanly, "its row has to be looked for");
        assert!(!layout::closed_file(root.path()).exists());
        assert_eq!((second.count(None), second.row(id(bad.into()))), (9, None));
        second.note(&row(77, 0));
        assert_eq!(entries(&second, 10), [(10, 77)]);
        let expected: Vec<u64> = (0..=10).filter(|position| *position != bad).collect();
        let found = entries(&second, 0).into_iter();
        assert_eq!(
            found.map(|(position, _)| position).collect::<Vec<_>>(),
            expected
        );
    }
}

#[test]
fn a_feed_that_cannot_be_read_now_is_not_replaced() {
    let root = tempfile::tempdir().unwrap();
    let disk = Arc::new(FailingDisk::default());
    let first = catalog(&disk, root.path()).unwrap();
    first.note(&row(1, 0));
    let feed = first.feed_id();
    drop(first);
    disk.before(|op, path| match op == Op::Open && is_feed(path) {
        true => Err(io::Error::from_raw_os_error(24)),
        false => Ok(()),
    });
    assert!(catalog(&disk, root.path()).is_err());
    disk.works();
    let second = catalog(&disk, root.path()).unwrap();
    assert_eq!((second.feed_id(), second.count(None)), (feed, 1));
}

#[test]
fn a_feed_that_failed_is_tried_again_however_much_happens_and_ready_tells() {
    let root = tempfile::tempdir().unwrap();
    let disk = Arc::new(FailingDisk::default());
    let catalog = catalog(&disk, root.path()).unwrap();
    let failed = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&failed);
    disk.before(move |op, path| match op == Op::Sync && is_feed(path) {
        true if count.fetch_add(1, Ordering::SeqCst) == 0 => Err(full()),
        true | false => Ok(()),
    });
    lock(&catalog.memory).looked_at = Some(Instant::now());
    catalog.note(&row(1, 0));
    let begin = Instant::now();
    while failed.load(Ordering::SeqCst) == 0 && begin.elapsed() < TEST_TIMEOUT {
        sleep(Duration::from_millis(1));
    }
    while lock(&catalog.fault).is_none() && begin.elapsed() < TEST_TIMEOUT {
        sleep(Duration::from_millis(1));
    }
    assert!(catalog.ready().unwrap_err().contains("cannot be written"));
    let mut number = 2;
    while *catalog.durable.borrow() == 0 && begin.elapsed() < TEST_TIMEOUT {
        lock(&catalog.memory).looked_at = Some(Instant::now());
        catalog.note(&row(number, 0));
        number += 1;
        sleep(Duration::from_millis(100));
    }
    assert!(
        *catalog.durable.borrow() > 0,
        "{number} notes, and none was written"
    );
    assert_eq!(catalog.ready(), Ok(()));
}

#[test]
fn the_list_is_stored_while_it_changes() {
    let root = tempfile::tempdir().unwrap();
    let disk = Arc::new(FailingDisk::default());
    let first = catalog(&disk, root.path()).unwrap();
    first.note(&row(1, 0));
    let busy = Arc::clone(&first.work);
    disk.before(move |op, path| {
        if op == Op::Sync && is_feed(path) {
            let len = busy.row(id(2)).map_or(0, |row| row.extent.len.0);
            busy.note(&row(2, len + 1));
        }
        Ok(())
    });
    first.write_catalog().unwrap();
    disk.works();
    assert_eq!(lock(&first.io).catalog, 1);
    let bytes = RealDisk
        .open(&layout::catalog_file(root.path()), Open::Read)
        .unwrap();
    let (stand, rows) = files::read_catalog(bytes.as_ref()).unwrap().unwrap();
    assert_eq!((stand.position, rows.len()), (1, 1));
}

#[test]
fn a_deletion_is_told_when_it_is_durable() {
    let root = tempfile::tempdir().unwrap();
    let disk = Arc::new(FailingDisk::default());
    let store = store(&disk, root.path());
    store.0.create(&metadata(id(1))).unwrap();
    disk.before(|op, _| {
        if op == Op::SyncDir {
            Err(full())
        } else {
            Ok(())
        }
    });
    assert!(store.0.delete(id(1), None).is_err());
    let catalog = &store.0.context.catalog;
    assert_eq!(
        entries(catalog, 0),
        [(0, 1)],
        "a power cut may bring it back"
    );
    disk.works();
    // Its name is free, and the new one begins at nothing.
    store.0.create(&metadata(id(1))).unwrap();
    assert_eq!(entries(catalog, 0), [(0, 1), (1, 1), (2, 1)]);
    store.0.delete(id(1), None).unwrap();
    assert_eq!(catalog.count(None), 0);
}

#[tokio::test]
async fn nobody_is_told_of_a_conversation_whose_name_is_not_durable() {
    use core_model::Catalog;
    let root = tempfile::tempdir().unwrap();
    let disk = Arc::new(FailingDisk::default());
    let store = store(&disk, root.path());
    let root = root.path().to_owned();
    disk.before(move |op, path| match op == Op::SyncDir && path == root {
        true => Err(full()),
        false => Ok(()),
    });
    let new = metadata(id(1));
    for _ in 0..2 {
        let failed = store.create(&new).await.unwrap_err();
        assert!(matches!(failed, StoreError::Io { .. }), "{failed}");
        assert!(store.open_log(id(1)).await.is_err());
        assert_eq!(store.0.context.catalog.row(id(1)), None);
    }
    disk.works();
    let taken = store.create(&new).await.unwrap_err();
    assert!(matches!(taken, StoreError::Exists(_)), "{taken}");
    let catalog = &store.0.context.catalog;
    let row = catalog.row(id(1)).unwrap();
    assert_eq!(row.extent.len, Seq(0));
    // What a writer says too late brings nothing back.
    let Claimed::Mine(mut claim) = store.claim(id(1)).await.unwrap() else {
        panic!("the folder is ours");
    };
    store.delete(id(1)).await.unwrap();
    let summary = Summary {
        status: row.status,
        updated_at: row.updated_at,
    };
    let late = claim.log.append(Vec::new(), summary).await.unwrap_err();
    assert!(matches!(late, StoreError::Fenced), "{late}");
    catalog.move_row(&row, false);
    assert_eq!(catalog.row(id(1)), None);
}

#[test]
fn what_is_found_gone_stays_gone() {
    let root = tempfile::tempdir().unwrap();
    let disk = Arc::new(FailingDisk::default());
    let first = store(&disk, root.path());
    for number in [1, 2] {
        first.0.create(&metadata(id(number))).unwrap();
    }
    drop(first);
    fs::remove_dir_all(root.path().join(id(1).to_string())).unwrap();
    let second = store(&disk, root.path());
    assert!(second.0.context.catalog.closed_cleanly);
    assert!(check::check(&second.0).unwrap().is_empty());
    drop(second);
    let third = store(&disk, root.path());
    assert_eq!(third.0.context.catalog.row(id(1)), None);
    // Somebody removed the marker by hand.
    fs::remove_file(layout::closed_file(root.path())).unwrap();
    third.0.create(&metadata(id(3))).unwrap();
    assert_eq!(third.0.context.catalog.count(None), 2);
}

#[test]
fn rows_are_made_from_metadata_that_fits_the_log() {
    let root = tempfile::tempdir().unwrap();
    let disk = Arc::new(FailingDisk::default());
    let first = store(&disk, root.path());
    for number in 1..=600 {
        first.0.create(&metadata(id(number))).unwrap();
    }
    let row = first.0.context.catalog.row(id(7)).unwrap();
    drop(first);
    for name in [".feed", ".catalog", ".infos", ".closed"] {
        fs::remove_file(root.path().join(name)).unwrap();
    }
    let longer = root.path().join(id(2).to_string()).join("events.jsonl");
    fs::write(longer, "{}\n").unwrap();
    let second = store(&disk, root.path());
    assert_eq!(check::check(&second.0).unwrap(), [id(2)]);
    let catalog = &second.0.context.catalog;
    assert_eq!((catalog.count(None), catalog.row(id(7))), (600, Some(row)));
    assert!(catalog.has_info(id(7)) && !catalog.has_info(id(2)));
}
