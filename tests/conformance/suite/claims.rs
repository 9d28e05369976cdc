use core_model::{Extent, Seq, StoreError, port::Claim};

use super::{
    Subject,
    fixture::{record, records},
    steps::{append, as_read, claim, claimed, is_fenced, log_of, running, whole},
};
use crate::Tested;

#[tokio::test]
async fn the_latest_claim_of_a_server_is_the_one_that_writes() {
    let subject = Tested::empty();
    let store = subject.store().as_ref();
    let (mut metadata, mut first) = claimed(store).await;
    let extent = append(first.log.as_mut(), 2).await;
    assert!(!*first.lost.borrow());

    let mut second = claim(store, metadata.id).await;
    assert!(second.epoch > first.epoch);
    assert_eq!(second.log.extent(), extent);
    assert!(first.lost.wait_for(|lost| *lost).await.is_ok());
    assert!(!*second.lost.borrow());
    metadata.title = Some("refused".to_owned());
    assert!(is_fenced(first.log.as_mut(), &metadata).await);
    assert_eq!(second.log.extent(), extent);
    append(second.log.as_mut(), 2).await;
    assert!(is_fenced(first.log.as_mut(), &metadata).await);

    // For ever, also when nobody has it.
    drop(second);
    assert!(is_fenced(first.log.as_mut(), &metadata).await);
    assert_eq!(store.holder(metadata.id).await.unwrap(), None);
    assert_eq!(log_of(store, metadata.id).await, as_read(&records(0..4)));
    assert_eq!(store.metadata(metadata.id).await.unwrap().title, None);
    let row = store.row(metadata.id).await.unwrap().unwrap();
    assert_eq!(row.extent.len, Seq(4));

    // The end of a fenced writer takes nothing from the latest one.
    let mut third = claim(store, metadata.id).await;
    drop(first);
    append(third.log.as_mut(), 1).await;
    assert!(store.holder(metadata.id).await.unwrap().is_some());
}

#[tokio::test]
async fn a_claim_that_is_dropped_is_given_back() {
    let subject = Tested::empty();
    let store = subject.store().as_ref();
    let (made, first) = claimed(store).await;
    let holder = store.holder(made.id).await.unwrap().unwrap();
    let mut epoch = first.epoch;
    drop(first);
    for round in 0..4 {
        assert_eq!(store.holder(made.id).await.unwrap(), None);
        let mut claim = claim(store, made.id).await;
        assert!(claim.epoch > epoch);
        epoch = claim.epoch;
        assert_eq!(store.holder(made.id).await.unwrap().as_ref(), Some(&holder));
        append(claim.log.as_mut(), 1).await;
        // The log is what counts; the signal alone holds nothing.
        let Claim { log, lost, .. } = claim;
        drop(log);
        assert_eq!(store.holder(made.id).await.unwrap(), None, "{round}");
        drop(lost);
    }
    assert_eq!(log_of(store, made.id).await, as_read(&records(0..4)));
}

#[tokio::test]
async fn claims_of_one_conversation_are_not_about_another() {
    let subject = Tested::empty();
    let store = subject.store().as_ref();
    let (first, mut one) = claimed(store).await;
    let (second, two) = claimed(store).await;
    assert_eq!(
        store.holder(second.id).await.unwrap(),
        store.holder(first.id).await.unwrap()
    );
    drop(two);
    store.delete(second.id).await.unwrap();
    assert!(!*one.lost.borrow());
    append(one.log.as_mut(), 1).await;
}

/// What the earlier writer has under way when it is fenced is visible or refused by the time the claim
/// returns; nothing of it comes later.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_takeover_draws_a_line_below_the_log() {
    let subject = Tested::empty();
    let store = subject.store();
    for round in 0..20 {
        let (made, mut first) = claimed(store.as_ref()).await;
        let (about, begun) = tokio::sync::oneshot::channel();
        let writes = tokio::spawn(async move {
            let mut about = Some(about);
            let mut acknowledged = Extent::default();
            loop {
                let from = acknowledged.len.0;
                let appended = first.log.append(records(from..from + 3), running(from));
                match appended.await {
                    Ok(extent) => acknowledged = extent,
                    Err(StoreError::Fenced) => return acknowledged,
                    Err(error) => panic!("{error}"),
                }
                if acknowledged.len.0 > round
                    && let Some(about) = about.take()
                {
                    about.send(()).unwrap();
                }
            }
        });
        begun.await.unwrap();
        let mut second = claim(store.as_ref(), made.id).await;
        let line = second.log.extent();
        let log = store.open(made.id).await.unwrap();
        assert_eq!(log.visible(), line);
        assert_eq!(whole(log.as_ref()).await, as_read(&records(0..line.len.0)));
        append(second.log.as_mut(), 1).await;
        let acknowledged = writes.await.unwrap();
        // An append that was never answered may be there, or not.
        assert!([acknowledged.len, acknowledged.len.after(3)].contains(&line.len));
        let after = append(second.log.as_mut(), 1).await;
        assert_eq!(after.len, line.len.after(2));
        assert_eq!(whole(log.as_ref()).await, as_read(&records(0..after.len.0)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_claims_one_writes() {
    let subject = Tested::empty();
    let (made, first) = claimed(subject.store().as_ref()).await;
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let store = subject.store().clone();
            tokio::spawn(async move { claim(store.as_ref(), made.id).await })
        })
        .collect();
    let mut claims = vec![first];
    for task in tasks {
        claims.push(task.await.unwrap());
    }
    claims.sort_by_key(|claim| claim.epoch);
    assert!(claims.is_sorted_by(|a, b| a.epoch < b.epoch));
    let mut latest = claims.pop().unwrap();
    for claim in &mut claims {
        assert!(is_fenced(claim.log.as_mut(), &made).await);
    }
    append(latest.log.as_mut(), 1).await;
    drop(claims);
    append(latest.log.as_mut(), 1).await;
}

#[tokio::test]
async fn a_refused_write_changes_nothing_that_is_read() {
    let subject = Tested::empty();
    let store = subject.store().as_ref();
    let (made, mut first) = claimed(store).await;
    append(first.log.as_mut(), 2).await;
    let second = claim(store, made.id).await;
    let before = (
        store.row(made.id).await.unwrap(),
        store.metadata(made.id).await.unwrap(),
        store.feed_len().await.unwrap(),
    );
    let log = store.open(made.id).await.unwrap();
    let refused = first.log.append(vec![record(9)], running(9)).await;
    assert!(matches!(refused, Err(StoreError::Fenced)));
    let extent = second.log.extent();
    assert_eq!((log.visible(), first.log.extent()), (extent, extent));
    let after = (
        store.row(made.id).await.unwrap(),
        store.metadata(made.id).await.unwrap(),
        store.feed_len().await.unwrap(),
    );
    assert_eq!(after, before);
    assert_eq!(log.find(&record(9).head.id).await.unwrap(), None);
}
