use std::{fs, time::Duration};

use core_model::{
    Catalog, ConversationId, ConversationState, Draft, EventBody, EventTime, Extent, Limit,
    LogReader, Message, NewRecord, Record, Seq, Snapshot, Source, StoreError, event::MessageEvent,
};
use store_fs::{AppendError, Durability, FsStore, Options};

use crate::support::{all, find, ids, message, metadata, one_conversation, one_log, raw, store};

#[tokio::test]
async fn what_is_appended_comes_back_now_and_after_a_restart() {
    let (root, store_, id, log) = one_log(0).await;
    let sent = vec![message(0), message(1), message(2)];
    let len = log.append(sent[..2].to_vec(), Some(Seq(0))).await.unwrap();
    assert_eq!(len, Seq(2));
    let len = log.append(sent[2..].to_vec(), Some(len)).await.unwrap();
    assert_eq!(len, Seq(3));
    let expected: Vec<Record> = sent.into_iter().zip(0..).map(record).collect();
    assert_eq!(all(&log).await, expected);
    let size = log.visible().version;
    assert_eq!(
        size,
        fs::metadata(store_.folder(id).join("events.jsonl"))
            .unwrap()
            .len()
    );

    drop((log, store_));
    let log = store(root.path()).open_log(id).await.unwrap();
    assert_eq!((log.len(), log.visible().version), (Seq(3), size));
    assert_eq!(all(&log).await, expected);
    let seqs = [Seq(2), Seq(1), Seq(7), Seq(0)];
    let backwards: Vec<Record> = expected.iter().rev().cloned().collect();
    assert_eq!(log.read_at(&seqs, 1 << 20).await.unwrap(), backwards);
    assert_eq!(find(&log, "message-2").await, Some(Seq(2)));
    assert_eq!(find(&log, "message-3").await, None);
    assert_eq!(
        log.append(vec![message(3)], Some(Seq(3))).await.unwrap(),
        Seq(4)
    );
}

#[tokio::test]
async fn a_large_line_is_in_memory_once_for_all_that_read_it() {
    let (_root, _store, _id, log) = one_log(1).await;
    let text = "x".repeat(200_000);
    let draft = Draft::new(
        Source::User,
        EventBody::MessageEvent(MessageEvent::new(Message::user(text))),
    );
    let large = NewRecord::encode(&draft.at(EventTime::now(), None)).unwrap();
    log.append(vec![large.clone(), message(1)], None)
        .await
        .unwrap();
    let read = async || log.read(Seq(0), Limit::records(3)).await.unwrap();
    // Together with small ones, by itself, and backwards.
    let first = read().await;
    let alone = log.read_at(&[Seq(1)], 1).await.unwrap();
    let backwards = log
        .read_at(&[Seq(2), Seq(1), Seq(0)], 1 << 20)
        .await
        .unwrap();
    assert_eq!(first.len(), 3);
    assert_eq!(first[1].bytes, large.bytes);
    for other in [&alone[0], &backwards[1], &read().await[1]] {
        assert_eq!(other.bytes.as_ptr(), first[1].bytes.as_ptr());
        assert_eq!(*other, first[1]);
    }
    // Many at once.
    let reads = (0..32).map(|_| {
        let log = log.clone();
        tokio::spawn(async move { log.read_at(&[Seq(1)], 1).await.unwrap() })
    });
    for read in reads.collect::<Vec<_>>() {
        assert_eq!(
            read.await.unwrap()[0].bytes.as_ptr(),
            first[1].bytes.as_ptr()
        );
    }
}

#[tokio::test]
async fn every_durability_keeps_events_across_a_restart() {
    for durability in [
        Durability::Always,
        Durability::Interval(Duration::from_millis(5)),
        Durability::Interval(Duration::from_secs(3600)),
        Durability::Os,
    ] {
        let root = tempfile::tempdir().unwrap();
        let id = ConversationId::random();
        let options = Options { durability };
        {
            let store = FsStore::open(root.path(), options).unwrap();
            store.create(&metadata(id)).await.unwrap();
            let log = store.open_log(id).await.unwrap();
            for number in 0..20 {
                log.append(vec![message(number)], Some(Seq(number as u64)))
                    .await
                    .unwrap();
            }
            store.health().ready.unwrap();
        }
        let store = FsStore::open(root.path(), options).unwrap();
        assert_eq!(
            store.open_log(id).await.unwrap().len(),
            Seq(20),
            "{durability:?}"
        );
    }
}

#[tokio::test]
async fn an_append_at_the_wrong_length_changes_nothing() {
    let (_root, _store, _, log) = one_log(2).await;
    for expected in [Seq(0), Seq(1), Seq(3)] {
        let refused = log
            .append(vec![message(9)], Some(expected))
            .await
            .unwrap_err();
        let told = format!("2 events long, not {expected}");
        assert!(matches!(refused, AppendError::Conflict { .. }), "{refused}");
        assert!(refused.to_string().ends_with(&told), "{refused}");
    }
    assert_eq!(ids(&all(&log).await), ["message-0", "message-1"]);
}

#[tokio::test]
async fn of_many_writers_at_one_place_one_wins() {
    let (_root, _store, _, log) = one_log(0).await;
    let tries: Vec<_> = (0..16)
        .map(|number| {
            let log = log.clone();
            tokio::spawn(async move { log.append(vec![message(number)], Some(Seq(0))).await })
        })
        .collect();
    let mut won = 0;
    for attempt in tries {
        match attempt.await.unwrap() {
            Ok(len) => {
                assert_eq!(len, Seq(1));
                won += 1;
            }
            Err(error) => assert!(matches!(error, AppendError::Conflict { .. }), "{error}"),
        }
    }
    assert_eq!((won, log.len()), (1, Seq(1)));
}

#[tokio::test]
async fn a_log_opened_twice_is_one_log() {
    let (_root, store, id) = one_conversation().await;
    let (one, two) = tokio::join!(store.open_log(id), store.open_log(id));
    let (one, two) = (one.unwrap(), two.unwrap());
    one.append(vec![message(0)], Some(Seq(0))).await.unwrap();
    assert_eq!(two.len(), Seq(1));
    assert!(two.append(vec![message(1)], Some(Seq(0))).await.is_err());
    two.append(vec![message(1)], Some(Seq(1))).await.unwrap();
    assert_eq!(ids(&all(&one).await), ["message-0", "message-1"]);
}

#[tokio::test]
async fn bytes_that_are_not_one_line_are_refused_before_anything_is_written() {
    let (_root, store, _, log) = one_log(1).await;
    for bytes in ["", "{\n}"] {
        let bad = NewRecord {
            bytes: bytes.into(),
            ..message(2)
        };
        let refused = log
            .append(vec![message(1), bad], Some(Seq(1)))
            .await
            .unwrap_err();
        let damaged = matches!(refused, AppendError::Store(StoreError::Damaged { .. }));
        assert!(damaged, "{refused}");
    }
    assert_eq!(log.len(), Seq(1));
    store.health().ready.unwrap();
    assert_eq!(log.append(Vec::new(), Some(Seq(1))).await.unwrap(), Seq(1));
    assert_eq!(
        log.append(vec![message(1)], Some(Seq(1))).await.unwrap(),
        Seq(2)
    );
}

#[tokio::test]
async fn unknown_kinds_and_odd_spacing_stay_as_they_are() {
    let lines = [
        r#"{ "kind":"EventFromTomorrow","id":"a","timestamp":"2026-11-22T19:31:36.000001","source":"hook","z":{"kind":"PauseEvent","id":"b"},"a":[null,1e3] }"#,
        r#"{"z":{"kind":"MessageEvent","id":"b"},"id":"c","timestamp":"2026-11-22T19:31:36.000002","source":"agent","text":"\u00e9é\n","kind":"Other"}"#,
    ];
    let (root, store_, id, log) = one_log(0).await;
    log.append(lines.map(raw).into(), Some(Seq(0)))
        .await
        .unwrap();
    drop((log, store_));
    let log = store(root.path()).open_log(id).await.unwrap();
    let records = all(&log).await;
    let bytes: Vec<&[u8]> = records.iter().map(|record| &record.bytes[..]).collect();
    assert_eq!(bytes, lines.map(str::as_bytes));
    assert_eq!(ids(&records), ["a", "c"]);
    let kinds: Vec<&str> = records.iter().map(|record| &*record.head.kind).collect();
    assert_eq!(kinds, ["EventFromTomorrow", "Other"]);
    assert_eq!(find(&log, "b").await, None);
}

#[tokio::test]
async fn twenty_thousand_events_open_and_page() {
    const COUNT: usize = 20_000;
    let (root, store_, id, log) = one_log(COUNT).await;
    drop((log, store_));
    let log = store(root.path()).open_log(id).await.unwrap();
    assert_eq!(log.len(), Seq(COUNT as u64));
    let mut cursor = Seq(0);
    while cursor < log.len() {
        let page = log.read(cursor, Limit::records(700)).await.unwrap();
        assert_eq!(page.len(), 700.min(COUNT - cursor.index()));
        for record in &page {
            assert_eq!(record.seq, cursor);
            assert_eq!(record.head.id.0, format!("message-{cursor}"));
            assert_eq!(record.event().unwrap().id, record.head.id);
            cursor = cursor.after(1);
        }
    }
    let last = log.read(Seq(19_990), Limit::records(100)).await.unwrap();
    assert_eq!(last.len(), 10);
    assert_eq!(find(&log, "message-12345").await, Some(Seq(12_345)));
}

#[tokio::test]
async fn events_larger_than_a_chunk_are_read_whole() {
    let (_root, _store, _, log) = one_log(1).await;
    let text = "x".repeat(700_000);
    let big = raw(&format!(
        r#"{{"id":"big","timestamp":"2026-11-22","source":"user","kind":"K","text":"{text}"}}"#
    ));
    log.append(vec![message(1), big.clone(), message(3)], Some(Seq(1)))
        .await
        .unwrap();
    let records = all(&log).await;
    assert_eq!(
        ids(&records),
        ["message-0", "message-1", "big", "message-3"]
    );
    assert_eq!(records[2].bytes, big.bytes);
}

fn record((new, seq): (NewRecord, u64)) -> Record {
    Record {
        seq: Seq(seq),
        head: new.head,
        bytes: new.bytes,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_that_come_while_the_first_one_is_written_are_all_answered() {
    let (_root, _store, _id, log) = one_log(0).await;
    let append = |task: usize| {
        let log = log.clone();
        tokio::spawn(async move {
            for number in 0..20 {
                let record = message(task * 20 + number);
                log.append(vec![record], None).await.unwrap();
            }
        })
    };
    let tasks: Vec<_> = (0..16).map(append).collect();
    let all = async {
        for task in tasks {
            task.await.unwrap();
        }
    };
    let answered = tokio::time::timeout(Duration::from_secs(20), all).await;
    answered.expect("an append waits for ever");
    assert_eq!(log.len(), Seq(320));
}

#[tokio::test]
async fn a_fold_begins_with_the_snapshot_if_that_is_of_this_log() {
    let (_root, store, id, log) = one_log(3).await;
    let mut metadata = store.metadata(id).await.unwrap();
    let mut marked = ConversationState::new(&metadata);
    marked.used_tools.insert("marker".to_owned());
    for (len, version, begins) in [(2, 1, true), (4, 1, false), (2, u64::MAX, false)] {
        metadata.snapshot = Some(Snapshot {
            extent: Extent {
                len: Seq(len),
                version,
            },
            state: marked.clone(),
        });
        let extent = log.visible();
        let state = core_model::fold(&log, extent, &metadata, |_, error| panic!("{error}"));
        let state = state.await.unwrap();
        assert_eq!(state.used_tools.contains("marker"), begins);
        assert_eq!(state.leaf_event_id, Some("message-2".into()));
    }
}
