//! Who may write a conversation, and what becomes of a writer that may no more.

use core_model::{
    Catalog, Claims, ConversationId, ExecutionStatus, LogReader, Seq, StoreError, port::Claim,
};
use futures_util::FutureExt;

use crate::support::{all, claim, message, one_log, summary};

const IDLE: ExecutionStatus = ExecutionStatus::Idle;

async fn is_fenced(claim: &mut Claim) -> bool {
    let refused = claim.log.append(vec![message(9)], summary(IDLE)).await;
    matches!(refused, Err(StoreError::Fenced))
}

#[tokio::test]
async fn a_later_claim_fences_the_earlier_writer_for_ever() {
    let (_root, store, id, log) = one_log(1).await;
    let mut first = claim(&store, id).await;
    assert_eq!(first.log.extent(), log.visible());
    first
        .log
        .append(vec![message(1)], summary(IDLE))
        .await
        .unwrap();
    let mut second = claim(&store, id).await;
    assert!(second.epoch > first.epoch);
    assert_eq!((*first.lost.borrow(), *second.lost.borrow()), (true, false));
    let metadata = store.metadata(id).await.unwrap();
    for _ in 0..2 {
        assert!(is_fenced(&mut first).await);
        let moved = first.log.append(Vec::new(), summary(IDLE)).await;
        assert!(matches!(moved, Err(StoreError::Fenced)));
        let set = first.log.set_metadata(&metadata).await;
        assert!(matches!(set, Err(StoreError::Fenced)));
    }
    let extent = second.log.append(vec![message(2)], summary(IDLE)).await;
    let extent = extent.unwrap();
    assert_eq!((extent, extent.len), (log.visible(), Seq(3)));
    // What the first one gives back is not the second one's.
    drop(first);
    second
        .log
        .append(vec![message(3)], summary(IDLE))
        .await
        .unwrap();
    assert_eq!(all(&log).await.len(), 4);
}

#[tokio::test]
async fn a_claim_is_held_until_it_is_dropped_or_the_store_is_closed() {
    let (_root, store, id, _log) = one_log(1).await;
    assert_eq!(store.holder(id).await.unwrap(), None);
    assert_eq!(store.holder(ConversationId::random()).await.unwrap(), None);
    let held = claim(&store, id).await;
    assert!(store.holder(id).await.unwrap().is_some());
    drop(held);
    assert_eq!(store.holder(id).await.unwrap(), None);
    let mut held = claim(&store, id).await;
    store.close().await.unwrap();
    assert!(*held.lost.borrow() && is_fenced(&mut held).await);
    assert_eq!(store.holder(id).await.unwrap(), None);
}

#[tokio::test]
async fn a_deletion_fences_the_writer_and_ends_those_that_wait_for_the_log() {
    let (_root, store, id, log) = one_log(2).await;
    let mut held = claim(&store, id).await;
    let waits = {
        let log = log.clone();
        tokio::spawn(async move { log.grown(Seq(2)).await })
    };
    tokio::task::yield_now().await;
    store.delete(id).await.unwrap();
    assert!(*held.lost.borrow() && is_fenced(&mut held).await);
    let metadata = crate::support::metadata(id);
    let set = held.log.set_metadata(&metadata).await;
    assert!(matches!(set, Err(StoreError::Fenced)));
    let ended = waits.await.unwrap();
    assert!(matches!(ended, Err(StoreError::NotFound(gone)) if gone == id));
    // What is there can be read to its end.
    assert_eq!(log.grown(Seq(1)).await.unwrap().len, Seq(2));
    drop(held);
    store.create(&metadata).await.unwrap();
    let mut anew = claim(&store, id).await;
    let extent = anew.log.append(vec![message(0)], summary(IDLE)).await;
    assert_eq!(extent.unwrap().len, Seq(1));
}

#[tokio::test]
async fn an_append_that_was_dropped_gives_up_the_claim() {
    let (_root, store, id, log) = one_log(1).await;
    let mut held = claim(&store, id).await;
    // On a runtime of one thread another one writes, so that it cannot be done at once.
    let append = held.log.append(vec![message(1)], summary(IDLE));
    assert!(append.now_or_never().is_none());
    assert!(*held.lost.borrow() && is_fenced(&mut held).await);
    // The next one finds what became of it.
    let mut next = claim(&store, id).await;
    assert_eq!(next.log.extent(), log.visible());
    assert_eq!(log.len(), Seq(2));
    next.log
        .append(vec![message(2)], summary(IDLE))
        .await
        .unwrap();
    assert_eq!(all(&log).await.len(), 3);
}

#[tokio::test]
async fn what_is_appended_without_a_claim_fences_whoever_has_one() {
    let (_root, store, id, log) = one_log(1).await;
    let mut held = claim(&store, id).await;
    log.append(vec![message(1)], Some(Seq(1))).await.unwrap();
    assert!(is_fenced(&mut held).await);
    assert!(*held.lost.borrow());
    assert_eq!(log.len(), Seq(2));
}

#[tokio::test]
async fn a_row_moves_with_an_append_and_without_one() {
    let (_root, store, id, log) = one_log(1).await;
    let mut held = claim(&store, id).await;
    for (records, status, len) in [
        (vec![message(1)], ExecutionStatus::Running, 2),
        (vec![], ExecutionStatus::Error, 2),
    ] {
        let summary = summary(status);
        let extent = held.log.append(records, summary).await.unwrap();
        let row = store.row(id).await.unwrap().unwrap();
        assert_eq!(
            (row.status, row.updated_at.to_string()),
            (status, summary.updated_at.to_string())
        );
        assert_eq!((row.extent, extent.len), (extent, Seq(len)));
        assert_eq!(
            (row.extent, row.bytes),
            (log.visible(), log.visible().version)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_take_it_from_each_other_each_event_is_there_once() {
    let (_root, store, id, log) = one_log(0).await;
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut appended = Vec::new();
                for number in 0..20 {
                    let record = message(writer * 1000 + number);
                    let mut held = claim(&store, id).await;
                    match held.log.append(vec![record.clone()], summary(IDLE)).await {
                        Ok(_) => appended.push(record.head.id),
                        Err(error) => assert!(matches!(error, StoreError::Fenced), "{error}"),
                    }
                }
                appended
            })
        })
        .collect();
    let mut appended = Vec::new();
    for writer in writers {
        appended.extend(writer.await.unwrap());
    }
    let mut found: Vec<_> = all(&log)
        .await
        .into_iter()
        .map(|record| record.head.id)
        .collect();
    found.sort();
    appended.sort();
    assert_eq!(found, appended);
}
