use std::time::Duration;

use core_model::{ConversationId, ExecutionStatus, Seq, UtcTime, port::Change};
use futures_util::{FutureExt, future::poll_immediate};
use tokio::time::timeout;

use super::{
    Subject,
    fixture::summary,
    steps::{append, claim, claimed, create, feed_from},
};
use crate::Tested;

/// Longer than anything here takes; only a wait that never ends comes to it.
const LONG: Duration = Duration::from_secs(60);

fn appended(from: u64, to: u64) -> Change {
    Change::Appended {
        from: Seq(from),
        to: Seq(to),
    }
}

/// Makes changes, and returns what the feed is to tell of them.
async fn change(subject: &Tested) -> Vec<(ConversationId, UtcTime, Change)> {
    let store = subject.store().as_ref();
    let (a, mut log_a) = claimed(store).await;
    append(log_a.log.as_mut(), 2).await;
    let (b, mut log_b) = claimed(store).await;
    append(log_b.log.as_mut(), 1).await;
    append(log_a.log.as_mut(), 3).await;
    let paused = summary(ExecutionStatus::Paused, 9);
    log_a.log.append(Vec::new(), paused).await.unwrap();
    append(log_b.log.as_mut(), 1).await;
    store.delete(a.id).await.unwrap();
    vec![
        (a.id, a.created_at, Change::Created),
        (a.id, a.created_at, appended(0, 2)),
        (b.id, b.created_at, Change::Created),
        (b.id, b.created_at, appended(0, 1)),
        (a.id, a.created_at, appended(2, 5)),
        (b.id, b.created_at, appended(1, 2)),
        (a.id, a.created_at, Change::Deleted),
    ]
}

#[tokio::test]
async fn the_feed_tells_of_all_changes_in_their_order() {
    let mut subject = Tested::empty();
    assert_eq!(feed_from(subject.store().as_ref(), 0).await, []);
    let mut expected = change(&subject).await;
    expected.extend(change(&subject).await);
    let id = subject.store().feed_id();
    let told = feed_from(subject.store().as_ref(), 0).await;
    let found: Vec<_> = told
        .iter()
        .map(|entry| (entry.conversation, entry.created_at, entry.change))
        .collect();
    assert_eq!(found, expected);
    let len = subject.store().feed_len().await.unwrap();

    // It stays, with its positions, and is continued.
    for _ in 0..2 {
        subject = subject.reopen();
        let store = subject.store().as_ref();
        assert_eq!(store.feed_id(), id);
        assert!(store.feed_len().await.unwrap() >= len);
        assert_eq!(feed_from(store, 0).await, told);
        for entry in &told {
            let from = feed_from(store, entry.position).await;
            assert_eq!(from.first(), Some(entry));
        }
    }
    let len = subject.store().feed_len().await.unwrap();
    let more = change(&subject).await;
    let told = feed_from(subject.store().as_ref(), len).await;
    let found: Vec<_> = told
        .iter()
        .map(|entry| (entry.conversation, entry.created_at, entry.change))
        .collect();
    assert_eq!(found, more);
}

#[tokio::test]
async fn entries_come_up_to_the_limit() {
    let subject = Tested::empty();
    change(&subject).await;
    let store = subject.store().as_ref();
    let all = feed_from(store, 0).await;
    let end = store.feed_len().await.unwrap();
    for limit in 1..=all.len() {
        let some = store.feed_entries(0, limit).await.unwrap();
        assert!(!some.is_empty() && some.len() <= limit && all.starts_with(&some));
    }
    for beyond in [end, end + 1, u64::MAX] {
        assert_eq!(store.feed_entries(beyond, 10).await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_wait_for_changes_ends_when_they_show_up() {
    let subject = Tested::empty();
    let store = subject.store().as_ref();
    let (_, mut writer) = claimed(store).await;
    let mut len = store.feed_len().await.unwrap();
    for nth in 0..4 {
        assert!(store.feed_grown(len).now_or_never().is_none());
        let mut waits = store.feed_grown(len);
        assert!(poll_immediate(&mut waits).await.is_none());
        if nth % 2 == 0 {
            append(writer.log.as_mut(), 2).await;
        } else {
            create(store).await;
        }
        let end = timeout(LONG, waits).await.unwrap().unwrap();
        assert!(end > len);
        let told = store.feed_entries(len, 10).await.unwrap();
        assert_eq!(told.len(), 1);
        assert!((len..end).contains(&told[0].position));
        // One that comes late is told at once.
        let again = timeout(LONG, store.feed_grown(len)).await;
        assert!(again.unwrap().unwrap() >= end);
        len = store.feed_len().await.unwrap();
    }
}

/// An entry shows up after its events, and entries make up each log without a gap.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_follower_of_all_finds_every_event() {
    let subject = Tested::empty();
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(create(subject.store().as_ref()).await.id);
    }
    let mut from = subject.store().feed_len().await.unwrap();
    let writers: Vec<_> = ids
        .iter()
        .map(|id| {
            let (store, id) = (subject.store().clone(), *id);
            tokio::spawn(async move {
                let mut claim = claim(store.as_ref(), id).await;
                for _ in 0..20 {
                    append(claim.log.as_mut(), 2).await;
                }
            })
        })
        .collect();
    let store = subject.store().as_ref();
    let mut lens = vec![Seq(0); ids.len()];
    while lens.iter().any(|len| *len < Seq(40)) {
        let end = timeout(LONG, store.feed_grown(from)).await;
        let end = end.unwrap().unwrap();
        while from < end {
            let entries = store.feed_entries(from, 4).await.unwrap();
            let last = entries.last().map(|entry| entry.position);
            for entry in entries {
                let nth = ids.iter().position(|id| *id == entry.conversation);
                let len = &mut lens[nth.unwrap()];
                let Change::Appended { from, to } = entry.change else {
                    panic!("{entry:?}");
                };
                assert_eq!(from, *len);
                let log = store.open(entry.conversation).await.unwrap();
                assert!(from < to && log.visible().len >= to);
                *len = to;
            }
            from = last.map_or(end, |last| last + 1);
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
}
