//! What `verify` finds and `repair` mends.

use std::{fs, path::Path};

use core_model::{Catalog, ConversationId, LogReader, Seq};
use store_fs::{FsStore, IndexState, OpenError, Options, RepairError, repair, verify};

use crate::support::{all, ids, message, names, one_log, store};

fn report(folder: &Path) -> store_fs::Report {
    verify(folder, |_| {}).unwrap()
}

/// Changes the bytes of a file.
fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_good_log_is_fine_also_while_it_is_open() {
    let (_root, store, id, log) = one_log(3).await;
    let found = report(&store.folder(id));
    assert!(found.is_fine(), "{found:?}");
    assert_eq!(
        (found.id, found.lines, found.bytes),
        (id, 3, log.visible().version)
    );
    assert_eq!(found.index, IndexState::Right);
}

#[tokio::test]
async fn a_flipped_bit_is_named_and_not_served_not_even_after_a_repair() {
    let (root, store_, id, log) = one_log(3).await;
    let folder = store_.folder(id);
    drop((log, store_));
    // Still JSON, but not what was written.
    edit(&folder.join("events.jsonl"), |bytes| {
        let at = bytes
            .windows(8)
            .position(|part| part == b"number 1")
            .unwrap();
        bytes[at + 7] = b'7';
    });
    let found = report(&folder);
    let [damage] = &found.damaged[..] else {
        panic!("{found:?}");
    };
    assert_eq!(
        (damage.seq, damage.readable, found.index),
        (1, true, IndexState::Right)
    );
    {
        let store = store(root.path());
        let log = store.open_log(id).await.unwrap();
        assert_eq!(ids(&all(&log).await), ["message-0", "message-2"]);
        assert!(
            store.health().notices[0].text.contains("line 2 "),
            "{:?}",
            store.health().notices
        );
        assert_eq!(log.damaged().await.unwrap(), 1);
        // A log that is open somewhere is not repaired.
        let refused = repair(&folder, true).unwrap_err();
        assert!(
            matches!(refused, RepairError::Open(OpenError::Locked { .. })),
            "{refused}"
        );
    }
    let planned = repair(&folder, false).unwrap();
    assert_eq!((planned.steps.len(), planned.after), (0, None));
    // What the index knows outlives the index, too, when another part of it has to be made anew.
    edit(&folder.join("events.idx"), |bytes| bytes[64 + 2 * 48] ^= 1);
    assert_eq!(report(&folder).index, IndexState::Wrong { seq: 2 });
    let before = names(&folder);
    let planned = repair(&folder, false).unwrap();
    assert_eq!((planned.steps.len(), planned.after), (1, None));
    assert_eq!(names(&folder), before, "a dry run changes nothing");
    let after = repair(&folder, true).unwrap().after.unwrap();
    assert_eq!(
        (&after.damaged[..], after.index),
        (&found.damaged[..], IndexState::Right)
    );
    assert!(
        names(&folder)
            .iter()
            .any(|name| name.starts_with("events.idx.before-"))
    );
    let store = store(root.path());
    let log = store.open_log(id).await.unwrap();
    assert_eq!(ids(&all(&log).await), ["message-0", "message-2"]);
}

#[tokio::test]
async fn a_line_break_too_many_or_too_few_moves_no_other_event() {
    for (from, to) in [(b' ', b'\n'), (b'\n', b' ')] {
        let (root, store_, id, log) = one_log(4).await;
        let folder = store_.folder(id);
        let right = all(&log).await;
        drop((log, store_));
        edit(&folder.join("events.jsonl"), |bytes| {
            let second = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
            let at = bytes[second..].iter().position(|byte| *byte == from);
            bytes[second + at.unwrap()] = to;
        });
        // Some of the index is gone, too.
        edit(&folder.join("events.idx"), |bytes| bytes[64 + 2 * 48] ^= 1);
        repair(&folder, true).unwrap();
        let store = store(root.path());
        let found = all(&store.open_log(id).await.unwrap()).await;
        // A lost line break damages no event as long as the index knows where the line ends.
        let expected: Vec<_> = match to {
            b'\n' => [&right[..1], &right[2..]].concat(),
            _ => right,
        };
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn torn_ends_and_lines_that_are_no_events_are_told_apart() {
    let (root, store_, id, log) = one_log(3).await;
    let folder = store_.folder(id);
    drop((log, store_));
    edit(&folder.join("events.jsonl"), |bytes| {
        bytes.extend_from_slice(b"what is this\n{\"id\":");
    });
    let found = report(&folder);
    assert_eq!(found.damaged.len(), 1);
    assert_eq!(
        (found.damaged[0].seq, found.damaged[0].readable),
        (3, false)
    );
    assert_eq!(found.torn.unwrap().bytes, 6);
    assert_eq!(found.index, IndexState::Short { entries: 3 });
    let done = repair(&folder, true).unwrap();
    let after = done.after.unwrap();
    assert_eq!((after.lines, after.damaged.len(), after.torn), (4, 1, None));
    let store = store(root.path());
    assert_eq!(store.metadata(id).await.unwrap().torn.len(), 1);
    let log = store.open_log(id).await.unwrap();
    assert_eq!(
        log.append(vec![message(4)], Some(Seq(4))).await.unwrap(),
        Seq(5)
    );
}

#[tokio::test]
async fn a_wrong_index_is_noticed_wherever_it_is_wrong_and_reads_are_right_all_the_same() {
    let (root, store_, id, log) = one_log(40).await;
    let folder = store_.folder(id);
    let right = all(&log).await;
    drop((log, store_));
    let index = folder.join("events.idx");
    let good = fs::read(&index).unwrap();
    for at in (0..good.len()).step_by(37) {
        edit(&index, |bytes| bytes[at] ^= 0x10);
        let seq = at.saturating_sub(64) as u64 / 48;
        let expected = if at < 64 { 0 } else { seq };
        assert_eq!(
            report(&folder).index,
            IndexState::Wrong { seq: expected },
            "byte {at}"
        );
        let store = store(root.path());
        assert_eq!(
            all(&store.open_log(id).await.unwrap()).await,
            right,
            "byte {at}"
        );
        drop(store);
        assert_eq!(
            fs::read(&index).unwrap(),
            good,
            "byte {at}: it was made anew"
        );
    }
    fs::remove_file(&index).unwrap();
    assert_eq!(report(&folder).index, IndexState::Missing);
    fs::write(&index, &good[..good.len() - 100]).unwrap();
    assert_eq!(report(&folder).index, IndexState::Short { entries: 37 });
}

#[tokio::test]
async fn what_is_no_conversation_is_refused() {
    let root = tempfile::tempdir().unwrap();
    assert!(verify(root.path(), |_| {}).is_err());
    let nowhere = root.path().join(ConversationId::random().to_string());
    assert!(verify(&nowhere, |_| {}).is_err());
    assert!(repair(&nowhere, false).is_err());
    drop(FsStore::open(root.path(), Options::default()).unwrap());
}
