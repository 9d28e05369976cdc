use std::sync::Arc;

use core_model::{
    EventId, EventTime, Extent, HeadFilter, Limit, LogReader, NewRecord, Record, Seq, Source,
};

use super::{
    Subject,
    fixture::{event_time, large, record, records},
    steps::{append, as_read, claimed, running, whole},
};
use crate::Tested;

const LEN: u64 = 37;

/// A log of [`LEN`] events, and what it holds.
async fn log(subject: &Tested) -> (Arc<dyn LogReader>, Vec<Record>) {
    let store = subject.store().as_ref();
    let (made, mut writer) = claimed(store).await;
    append(writer.log.as_mut(), 20).await;
    append(writer.log.as_mut(), LEN - 20).await;
    let log = store.open(made.id).await.unwrap();
    (log, as_read(&records(0..LEN)))
}

fn size(records: &[Record]) -> usize {
    records.iter().map(|record| record.bytes.len()).sum()
}

#[tokio::test]
async fn a_read_brings_what_the_limit_allows_and_one_record_at_least() {
    let subject = Tested::empty();
    let (log, all) = log(&subject).await;
    for from in 0..LEN + 3 {
        let rest = all.get(from as usize..).unwrap_or_default();
        for records in [0, 1, 2, 10, usize::MAX] {
            for bytes in [0, 1, 300, 1000, usize::MAX] {
                let limit = Limit { records, bytes };
                let found = log.read(Seq(from), limit).await.unwrap();
                assert!(rest.starts_with(&found));
                assert_eq!(found.is_empty(), rest.is_empty());
                assert!(found.len() <= records.max(1));
                assert!(found.len() <= 1 || size(&found) <= bytes);
            }
        }
    }
    assert_eq!(whole(log.as_ref()).await, all);
}

#[tokio::test]
async fn records_come_in_the_order_asked_for() {
    let subject = Tested::empty();
    let (log, all) = log(&subject).await;
    let wanted: [&[u64]; 7] = [
        &[],
        &[5],
        &[3, 4, 5, 6, 20, 21, 22],
        &[30, 29, 28, 2, 1, 0],
        &[7, 7, 36, 36, 0],
        &[LEN, 4, 1_000, 5, u64::MAX, LEN + 1],
        &[12, 11, 12, 13, 12],
    ];
    for seqs in wanted {
        let expected: Vec<Record> = seqs
            .iter()
            .filter_map(|seq| all.get(usize::try_from(*seq).ok()?))
            .cloned()
            .collect();
        let seqs: Vec<Seq> = seqs.iter().copied().map(Seq).collect();
        assert_eq!(log.read_at(&seqs, usize::MAX).await.unwrap(), expected);
        for bytes in [0, 1, 200, 500, 1_500] {
            let found = log.read_at(&seqs, bytes).await.unwrap();
            assert!(expected.starts_with(&found));
            assert_eq!(found.is_empty(), expected.is_empty());
            // It ends early for its size alone, and not later than need be.
            let next = expected.get(..=found.len()).unwrap_or(&expected);
            assert!(found.len() == expected.len() || size(next) >= bytes);
            let before = &found[..found.len().saturating_sub(1)];
            assert!(before.is_empty() || size(before) < bytes);
        }
    }
}

#[tokio::test]
async fn large_records_come_one_at_a_time() {
    let subject = Tested::empty();
    let store = subject.store().as_ref();
    let (made, mut writer) = claimed(store).await;
    let all: Vec<NewRecord> = (0..4).map(|number| large(number, 1 << 20)).collect();
    let appended = writer.log.append(all.clone(), running(4));
    appended.await.unwrap();
    let (log, all) = (store.open(made.id).await.unwrap(), as_read(&all));
    let limit = Limit {
        records: 10,
        bytes: 1_000,
    };
    for seq in 0..4 {
        let found = log.read(Seq(seq), limit).await.unwrap();
        assert_eq!(found, all[seq as usize..=seq as usize]);
        let found = log.read_at(&[Seq(seq), Seq(0)], 1_000).await.unwrap();
        assert_eq!(found, all[seq as usize..=seq as usize]);
    }
}

#[tokio::test]
async fn an_id_leads_to_its_first_event() {
    let subject = Tested::empty();
    let store = subject.store().as_ref();
    let (made, mut writer) = claimed(store).await;
    let log = store.open(made.id).await.unwrap();
    assert_eq!(log.find(&EventId::from("event-0")).await.unwrap(), None);
    for round in 0..3 {
        append(writer.log.as_mut(), 10).await;
        // Ids of others that were there before, in events of their own.
        let mut twice = vec![record(10 * round), record(500)];
        for (nth, twice) in twice.iter_mut().enumerate() {
            twice.head.timestamp = event_time(writer.log.extent().len.0 + nth as u64);
        }
        let len = writer.log.extent().len.0 + 2;
        writer.log.append(twice, running(len)).await.unwrap();
        let all = whole(log.as_ref()).await;
        for record in &all {
            let first = all.iter().find(|first| first.head.id == record.head.id);
            let found = log.find(&record.head.id).await.unwrap();
            assert_eq!(found, first.map(|first| first.seq));
        }
        for unknown in ["event-", "event-00", "EVENT-1", "", "event-100"] {
            assert_eq!(log.find(&EventId::from(unknown)).await.unwrap(), None);
        }
    }
}

#[tokio::test]
async fn a_time_leads_to_the_first_event_from_it_on() {
    let subject = Tested::empty();
    let (log, all) = log(&subject).await;
    let far: [EventTime; 2] = ["1970-01-01", "2999-01-01"].map(|time| time.parse().unwrap());
    let between = all.iter().map(|record| record.head.timestamp);
    let between = between.flat_map(|time| {
        [
            time,
            EventTime::from(time.utc() + chrono::TimeDelta::microseconds(1)),
        ]
    });
    for time in between.chain(far) {
        let expected = all.iter().find(|record| record.head.timestamp >= time);
        let expected = expected.map_or(Seq(LEN), |record| record.seq);
        assert_eq!(log.since(time).await.unwrap(), expected);
    }
}

fn filters() -> Vec<HeadFilter> {
    let kinds: [&[&str]; 5] = [
        &[],
        &["MessageEvent"],
        &["KindToCome1", "ConversationStateUpdateEvent"],
        &["KindToCome"],
        &["messageevent", ""],
    ];
    let sources = [
        None,
        Some(Source::User),
        Some(Source::Agent),
        Some(Source::Hook),
    ];
    let times = [
        (None, None),
        (Some(10), None),
        (None, Some(21)),
        (Some(5), Some(30)),
        (Some(9), Some(9)),
    ];
    let mut filters = Vec::new();
    for kinds in kinds {
        for source in sources {
            for (from, until) in times {
                filters.push(HeadFilter {
                    kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
                    source,
                    from: from.map(event_time),
                    until: until.map(event_time),
                });
            }
        }
    }
    filters
}

#[tokio::test]
async fn filters_are_applied_as_to_a_plain_list() {
    let subject = Tested::empty();
    let (log, all) = log(&subject).await;
    let ranges = [
        (0, LEN),
        (0, u64::MAX),
        (5, 20),
        (19, 21),
        (20, 20),
        (30, LEN + 9),
        (LEN, u64::MAX),
        (21, 20),
    ];
    for filter in filters() {
        let admitted: Vec<Seq> = all
            .iter()
            .filter(|record| filter.admits(&record.head))
            .map(|record| record.seq)
            .collect();
        assert_eq!(log.count(&filter).await.unwrap(), admitted.len() as u64);
        for (start, end) in ranges {
            let range = Seq(start)..Seq(end);
            let mut expected: Vec<Seq> = admitted.clone();
            expected.retain(|seq| range.contains(seq));
            for backwards in [false, true] {
                for limit in [0, 1, 3, 100] {
                    let found = log.select(&filter, range.clone(), backwards, limit);
                    let some = &expected[..expected.len().min(limit)];
                    assert_eq!(found.await.unwrap(), some, "{filter:?} {range:?}");
                }
                expected.reverse();
            }
        }
    }
}

#[tokio::test]
async fn a_log_knows_the_extents_that_it_had() {
    let subject = Tested::empty();
    let store = subject.store().as_ref();
    let (made, mut writer) = claimed(store).await;
    let log = store.open(made.id).await.unwrap();
    let mut had = vec![Extent::default()];
    for count in [1, 2, 3] {
        had.push(append(writer.log.as_mut(), count).await);
    }
    assert!(had.iter().all(|extent| log.had(*extent)));
    let visible = log.visible();
    let others = [
        Extent {
            version: visible.version + 1,
            ..visible
        },
        Extent {
            version: visible.version - 1,
            ..visible
        },
        Extent {
            len: visible.len.after(1),
            ..visible
        },
        Extent {
            len: Seq(u64::MAX),
            version: 0,
        },
    ];
    assert!(others.iter().all(|extent| !log.had(*extent)));
}
