//! Several servers at a time. A store that has one at a time passes without a look.

use core_model::{Seq, StoreError};

use super::{
    Subject,
    fixture::records,
    steps::{append, as_read, claim, claimed, create, feed_from, is_fenced, is_theirs, log_of},
};
use crate::Tested;

#[tokio::test]
async fn a_server_that_is_alive_keeps_what_it_has() {
    let first = Tested::empty();
    let Some(second) = first.another() else {
        return;
    };
    let (mine, theirs) = (first.store().as_ref(), second.store().as_ref());
    let (made, mut writer) = claimed(mine).await;
    append(writer.log.as_mut(), 2).await;
    let holder = mine.holder(made.id).await.unwrap();
    assert!(holder.is_some());
    assert_eq!(theirs.holder(made.id).await.unwrap(), holder);
    assert!(is_theirs(theirs, made.id).await);
    let refused = theirs.delete(made.id).await;
    assert!(
        matches!(refused, Err(StoreError::OwnedElsewhere { id, holder: by }) if id == made.id && Some(&by) == holder.as_ref())
    );
    assert_eq!(theirs.orphans(10).await.unwrap(), []);
    assert!(!*writer.lost.borrow());
    append(writer.log.as_mut(), 1).await;
    assert_eq!(log_of(theirs, made.id).await, as_read(&records(0..3)));

    // Given back, it is anybody's.
    let epoch = writer.epoch;
    drop(writer);
    assert_eq!(theirs.orphans(10).await.unwrap(), [made.id]);
    let mut writer = claim(theirs, made.id).await;
    assert!(writer.epoch > epoch);
    append(writer.log.as_mut(), 1).await;
    assert!(is_theirs(mine, made.id).await);
    assert_ne!(mine.holder(made.id).await.unwrap(), holder);
}

#[tokio::test]
async fn a_server_that_is_taken_for_dead_is_fenced() {
    let first = Tested::empty();
    let Some(second) = first.another() else {
        return;
    };
    let (made, mut writer) = claimed(first.store().as_ref()).await;
    append(writer.log.as_mut(), 2).await;
    first.die();
    assert!(writer.lost.wait_for(|lost| *lost).await.is_ok());
    assert!(is_fenced(writer.log.as_mut(), &made).await);
    let store = second.store().as_ref();
    assert_eq!(store.holder(made.id).await.unwrap(), None);
    assert_eq!(store.orphans(10).await.unwrap(), [made.id]);
    let mut other = claim(store, made.id).await;
    append(other.log.as_mut(), 1).await;
    assert!(is_fenced(writer.log.as_mut(), &made).await);
    assert_eq!(store.orphans(10).await.unwrap(), []);
    drop((writer, first));
    append(other.log.as_mut(), 1).await;
    store.delete(made.id).await.unwrap();
}

#[tokio::test]
async fn the_end_of_a_server_gives_back_what_it_had() {
    let first = Tested::empty();
    let Some(second) = first.another() else {
        return;
    };
    let (made, mut writer) = claimed(first.store().as_ref()).await;
    append(writer.log.as_mut(), 2).await;
    drop(first);
    let mut other = claim(second.store().as_ref(), made.id).await;
    assert!(is_fenced(writer.log.as_mut(), &made).await);
    assert_eq!(append(other.log.as_mut(), 1).await.len, Seq(3));
}

#[tokio::test]
async fn what_one_server_was_told_the_other_knows() {
    let first = Tested::empty();
    let Some(second) = first.another() else {
        return;
    };
    let (mine, theirs) = (first.store().as_ref(), second.store().as_ref());
    let (made, mut writer) = claimed(mine).await;
    let log = theirs.open(made.id).await.unwrap();
    let waits = log.grown(Seq(0));
    let feed_len = theirs.feed_len().await.unwrap();
    let extent = append(writer.log.as_mut(), 2).await;
    assert_eq!(waits.await.unwrap(), extent);
    assert!(theirs.feed_grown(feed_len).await.unwrap() > feed_len);
    assert_eq!(
        theirs.row(made.id).await.unwrap(),
        mine.row(made.id).await.unwrap()
    );
    assert_eq!(feed_from(theirs, 0).await, feed_from(mine, 0).await);
    assert_eq!(theirs.feed_id(), mine.feed_id());
    let other = create(theirs).await;
    assert_eq!(mine.metadata(other.id).await.unwrap(), other);
    let begun = mine.begin([1; 32], [2; 32]).await.unwrap();
    let again = theirs.begin([1; 32], [2; 32]).await.unwrap();
    assert_eq!((again.nonce, again.begun), (begun.nonce, true));
    mine.delete(made.id).await.unwrap();
    assert!(matches!(
        log.grown(extent.len).await,
        Err(StoreError::NotFound(_))
    ));
    assert_eq!(theirs.count(None).await.unwrap(), 1);
}
