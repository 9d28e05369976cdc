use std::time::Duration;

use core_model::{Limit, Seq, StoreError};
use futures_util::{FutureExt, future::poll_immediate};
use tokio::time::timeout;

use super::{
    Subject,
    fixture::records,
    steps::{append, as_read, claimed, whole},
};
use crate::Tested;

/// Longer than anything here takes; only a wait that never ends comes to it.
const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_wait_for_more_ends_when_it_comes() {
    let subject = Tested::empty();
    let store = subject.store().as_ref();
    let (made, mut writer) = claimed(store).await;
    let log = store.open(made.id).await.unwrap();
    let mut waits = log.grown(Seq(0));
    assert!(poll_immediate(&mut waits).await.is_none());
    let extent = append(writer.log.as_mut(), 3).await;
    assert_eq!(timeout(LONG, waits).await.unwrap().unwrap(), extent);
    // What is there already is told at once.
    for after in 0..3 {
        let told = timeout(LONG, log.grown(Seq(after))).await;
        assert_eq!(told.unwrap().unwrap(), extent);
    }
    // A wait for more than came continues.
    let mut waits = log.grown(Seq(5));
    for len in 4..=5 {
        assert!(poll_immediate(&mut waits).await.is_none());
        assert_eq!(append(writer.log.as_mut(), 1).await.len, Seq(len));
    }
    assert!(poll_immediate(&mut waits).await.is_none());
    let extent = append(writer.log.as_mut(), 2).await;
    assert_eq!(timeout(LONG, waits).await.unwrap().unwrap(), extent);
}

#[tokio::test]
async fn a_wait_that_is_dropped_loses_nothing() {
    let subject = Tested::empty();
    let store = subject.store().as_ref();
    let (made, mut writer) = claimed(store).await;
    let log = store.open(made.id).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..5 {
        for _ in 0..3 {
            assert!(log.grown(Seq(seen.len() as u64)).now_or_never().is_none());
        }
        let extent = append(writer.log.as_mut(), 2).await;
        let told = timeout(LONG, log.grown(Seq(seen.len() as u64))).await;
        assert_eq!(told.unwrap().unwrap(), extent);
        let read = log.read(Seq(seen.len() as u64), Limit::records(10));
        seen.extend(read.await.unwrap());
    }
    assert_eq!(seen, as_read(&records(0..10)));
}

#[tokio::test]
async fn a_wait_ends_with_the_conversation() {
    let subject = Tested::empty();
    let store = subject.store().as_ref();
    let (made, mut writer) = claimed(store).await;
    let log = store.open(made.id).await.unwrap();
    let len = append(writer.log.as_mut(), 3).await.len;
    let mut waits = log.grown(len);
    assert!(poll_immediate(&mut waits).await.is_none());
    store.delete(made.id).await.unwrap();
    for waits in [waits, log.grown(len)] {
        let ended = timeout(LONG, waits).await.unwrap();
        assert!(matches!(ended, Err(StoreError::NotFound(id)) if id == made.id));
    }
}

/// A follower that reads to the end and waits there misses nothing, however the two interleave.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn followers_see_every_event_once_and_in_order() {
    let subject = Tested::empty();
    let (made, mut writer) = claimed(subject.store().as_ref()).await;
    let readers = subject.another().map(|another| another.store().clone());
    let readers = [Some(subject.store().clone()), readers];
    let followers: Vec<_> = readers
        .into_iter()
        .flatten()
        .map(|store| {
            tokio::spawn(async move {
                let log = store.open(made.id).await.unwrap();
                let mut seen = Vec::new();
                while seen.len() < 120 {
                    let cursor = Seq(seen.len() as u64);
                    let extent = timeout(LONG, log.grown(cursor)).await.unwrap().unwrap();
                    assert!(extent.len > cursor && log.visible().len >= extent.len);
                    seen.extend(log.read(cursor, Limit::records(5)).await.unwrap());
                }
                assert_eq!(whole(log.as_ref()).await, seen);
                seen
            })
        })
        .collect();
    for round in 0..60 {
        append(writer.log.as_mut(), 2).await;
        if round % 3 == 0 {
            tokio::task::yield_now().await;
        }
    }
    for follower in followers {
        assert_eq!(follower.await.unwrap(), as_read(&records(0..120)));
    }
}
