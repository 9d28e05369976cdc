use std::fs::{self, File, OpenOptions};

use core_model::{Catalog, HeadFilter, Limit, LogReader, Seq, StoreError};
use store_fs::{FileReader, ReadError};

use crate::support::{all, find, ids, message, names, one_log, store, torn};

#[tokio::test]
async fn a_last_line_torn_at_any_byte_is_moved_aside() {
    let (root, store_, id, log) = one_log(2).await;
    let path = store_.folder(id).join("events.jsonl");
    log.append(vec![message(2)], Some(Seq(2))).await.unwrap();
    drop((log, store_));
    let whole = fs::read(&path).unwrap();
    let start = whole.len() - message(2).bytes.len() - 1;
    for cut in start..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let store = store(root.path());
        let log = store.open_log(id).await.unwrap();
        assert_eq!(log.len(), Seq(2), "cut at {cut}");
        assert_eq!(ids(&all(&log).await), ["message-0", "message-1"]);
        assert_eq!(fs::read(&path).unwrap(), whole[..start]);
        let folder = store.folder(id);
        let expected = if cut == start {
            vec![]
        } else {
            vec![String::from_utf8(whole[start..cut].to_vec()).unwrap()]
        };
        assert_eq!(torn(&folder), expected);
        let told = store.metadata(id).await.unwrap().torn;
        let tail = told.last().map(|tail| (tail.offset, tail.bytes));
        if cut > start {
            assert_eq!(tail, Some((start as u64, (cut - start) as u64)));
            assert!(store.health().notices[0].text.contains("unfinished"));
        }
        for name in names(&folder) {
            if name.starts_with("events.jsonl.torn-") {
                fs::remove_file(folder.join(name)).unwrap();
            }
        }
        log.append(vec![message(2)], Some(Seq(2))).await.unwrap();
        assert_eq!(fs::read(&path).unwrap().len(), whole.len());
    }
}

#[tokio::test]
async fn torn_bytes_never_replace_those_of_an_earlier_crash() {
    let (root, store_, id, log) = one_log(0).await;
    let folder = store_.folder(id);
    drop((log, store_));
    for torn in ["first", "second", "third"] {
        fs::write(folder.join("events.jsonl"), torn).unwrap();
        let log = store(root.path()).open_log(id).await.unwrap();
        assert_eq!(log.len(), Seq(0));
    }
    assert_eq!(torn(&folder), ["first", "second", "third"]);
    assert_eq!(names(&folder).len(), 6);
}

#[tokio::test]
async fn a_damaged_line_is_kept_skipped_and_counted() {
    let (root, store_, id, log) = one_log(3).await;
    let path = store_.folder(id).join("events.jsonl");
    drop((log, store_));
    let text = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines[1] = "";
    lines.push(r#"{"id":"no kind","timestamp":"2026-11-22","source":"user"}"#);
    let damaged = lines.join("\n") + "\n";
    fs::write(&path, &damaged).unwrap();

    let log = store(root.path()).open_log(id).await.unwrap();
    assert_eq!((log.len(), log.damaged().await.unwrap()), (Seq(4), 2));
    let records = all(&log).await;
    let seqs: Vec<Seq> = records.iter().map(|record| record.seq).collect();
    assert_eq!(seqs, [Seq(0), Seq(2)]);
    assert_eq!(ids(&records), ["message-0", "message-2"]);
    assert_eq!(
        log.read(Seq(1), Limit::records(1)).await.unwrap()[0].seq,
        Seq(2)
    );
    assert!(
        log.read(Seq(3), Limit::records(9))
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(log.count(&HeadFilter::default()).await.unwrap(), 2);
    assert_eq!(find(&log, "message-2").await, Some(Seq(2)));

    log.append(vec![message(4)], Some(Seq(4))).await.unwrap();
    assert_eq!(
        log.read(Seq(3), Limit::records(9)).await.unwrap()[0].seq,
        Seq(4)
    );
    assert!(fs::read_to_string(&path).unwrap().starts_with(&damaged));
}

#[tokio::test]
async fn the_reader_reports_damage_and_the_torn_tail_and_changes_nothing() {
    let (_root, store, id, log) = one_log(1).await;
    let path = store.folder(id).join("events.jsonl");
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend_from_slice(b"what is this\n");
    bytes.extend_from_slice(&message(2).bytes);
    bytes.extend_from_slice(b"\n{\"id\":");
    fs::write(&path, &bytes).unwrap();
    let items: Vec<_> = FileReader::open(store.folder(id)).unwrap().collect();
    let [Ok(first), Err(damaged), Ok(third), Err(torn)] = &items[..] else {
        panic!("{items:?}");
    };
    assert_eq!(first, &all(&log).await[0]);
    assert!(
        matches!(damaged, ReadError::Damaged { seq: Seq(1), .. }),
        "{damaged}"
    );
    assert_eq!((third.seq, third.head.id.as_str()), (Seq(2), "message-2"));
    let ReadError::Torn {
        seq, bytes: cut, ..
    } = torn
    else {
        panic!("{torn}");
    };
    assert_eq!((*seq, &cut[..]), (Seq(3), &b"{\"id\":"[..]));
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[tokio::test]
async fn the_reader_keeps_up_with_a_writer() {
    let (_root, store, id, log) = one_log(0).await;
    let path = store.folder(id);
    let writer = tokio::spawn(async move {
        for number in 0..200 {
            log.append(vec![message(number)], Some(Seq(number as u64)))
                .await
                .unwrap();
        }
    });
    let mut most = 0;
    while !writer.is_finished() {
        let path = path.clone();
        let read = tokio::task::spawn_blocking(move || {
            let records = FileReader::open(path).unwrap();
            records
                .take_while(|item| !matches!(item, Err(ReadError::Torn { .. })))
                .count()
        });
        let seen = read.await.unwrap();
        assert!(seen >= most);
        most = seen;
    }
    writer.await.unwrap();
    assert_eq!(
        FileReader::open(&path)
            .unwrap()
            .filter(Result::is_ok)
            .count(),
        200
    );
}

#[tokio::test]
async fn a_missing_log_or_folder_is_an_error() {
    let (root, store, id, log) = one_log(0).await;
    drop(log);
    fs::remove_file(store.folder(id).join("events.jsonl")).unwrap();
    let missing = store.open_log(id).await.err().unwrap();
    assert!(matches!(missing, StoreError::Damaged { .. }), "{missing}");
    fs::remove_dir_all(store.folder(id)).unwrap();
    let missing = store.open_log(id).await.err().unwrap();
    assert!(matches!(missing, StoreError::NotFound(_)), "{missing}");
    assert!(FileReader::open(root.path().join("nowhere")).is_err());
}

#[tokio::test]
async fn a_file_shortened_behind_our_back_fails_reads_and_nothing_else() {
    let (_root, store, id, log) = one_log(3).await;
    let path = store.folder(id).join("events.jsonl");
    let file: File = OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(10).unwrap();
    let error = log.read(Seq(0), Limit::records(1)).await.unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
    assert_eq!(log.len(), Seq(3));
}

#[tokio::test]
async fn a_last_line_break_that_was_damaged_does_not_join_the_next_event_to_the_last() {
    let (root, store_, id, log) = one_log(2).await;
    let path = store_.folder(id).join("events.jsonl");
    drop((log, store_));
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() = b'\x0b';
    fs::write(&path, &bytes).unwrap();
    let store = store(root.path());
    let log = store.open_log(id).await.unwrap();
    log.append(vec![message(2)], Some(Seq(2))).await.unwrap();
    let expected = ["message-0", "message-1", "message-2"];
    assert_eq!(ids(&all(&log).await), expected);
    assert_eq!(
        FileReader::open(&path)
            .unwrap()
            .filter(Result::is_ok)
            .count(),
        3
    );
}

#[tokio::test]
async fn damage_is_told_at_every_opening() {
    let (root, store_, id, log) = one_log(2).await;
    let path = store_.folder(id).join("events.jsonl");
    drop((log, store_));
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend_from_slice(b"what is this\n");
    fs::write(&path, &bytes).unwrap();
    for _ in 0..2 {
        let store = store(root.path());
        let log = store.open_log(id).await.unwrap();
        assert_eq!(log.damaged().await.unwrap(), 1);
        let notices = store.health().notices;
        assert!(notices[0].text.contains("damaged"), "{notices:?}");
    }
}
