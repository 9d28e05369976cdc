use core_model::{
    Extent, Seq, StoreError,
    port::{Change, ListQuery},
};

use super::{
    Subject,
    fixture::metadata,
    steps::{append, as_read, claim, claimed, create, feed_from, is_fenced, log_of},
};
use crate::{Tested, suite::fixture::records};

#[tokio::test]
async fn one_that_is_deleted_is_gone() {
    let mut subject = Tested::empty();
    let (gone, mut writer) = claimed(subject.store().as_ref()).await;
    append(writer.log.as_mut(), 3).await;
    let stays = create(subject.store().as_ref()).await;
    subject.store().delete(gone.id).await.unwrap();
    drop(writer);
    for _ in 0..2 {
        let store = subject.store();
        let refused = [
            store.open(gone.id).await.map(drop),
            store.metadata(gone.id).await.map(drop),
            store.claim(gone.id).await.map(drop),
            store.delete(gone.id).await,
        ];
        for refused in refused {
            assert!(matches!(refused, Err(StoreError::NotFound(id)) if id == gone.id));
        }
        assert_eq!(store.row(gone.id).await.unwrap(), None);
        assert_eq!(store.holder(gone.id).await.unwrap(), None);
        assert_eq!(store.count(None).await.unwrap(), 1);
        assert_eq!(store.orphans(10).await.unwrap(), []);
        assert_eq!(store.infos(&[gone.id]).await.unwrap(), [None]);
        let query = ListQuery {
            status: None,
            first: Some(gone.id),
            limit: 10,
            order: core_model::ConversationOrder::default(),
        };
        let listed = store.list(&query).await.unwrap().rows;
        assert_eq!(
            listed.iter().map(|row| row.id).collect::<Vec<_>>(),
            [stays.id]
        );
        subject = subject.reopen();
    }
}

#[tokio::test]
async fn a_deletion_fences_the_writer() {
    let subject = Tested::empty();
    let store = subject.store();
    let (gone, mut writer) = claimed(store.as_ref()).await;
    append(writer.log.as_mut(), 1).await;
    assert!(!*writer.lost.borrow());
    store.delete(gone.id).await.unwrap();
    assert!(writer.lost.wait_for(|lost| *lost).await.is_ok());
    assert!(is_fenced(writer.log.as_mut(), &gone).await);
    assert_eq!(store.row(gone.id).await.unwrap(), None);
}

#[tokio::test]
async fn an_id_may_be_used_again() {
    let mut subject = Tested::empty();
    let store = subject.store().clone();
    let (first, mut stale) = claimed(store.as_ref()).await;
    let before = append(stale.log.as_mut(), 5).await;
    let reader = store.open(first.id).await.unwrap();
    store.delete(first.id).await.unwrap();

    let mut second = metadata(900);
    second.id = first.id;
    store.create(&second).await.unwrap();
    assert_eq!(store.metadata(first.id).await.unwrap(), second);
    let row = store.row(first.id).await.unwrap().unwrap();
    assert_eq!(
        (row.created_at, row.extent),
        (second.created_at, Extent::default())
    );
    assert_eq!(log_of(store.as_ref(), first.id).await, []);

    // Neither the writer nor a reader of the first one has to do with it.
    let mut writer = claim(store.as_ref(), first.id).await;
    assert!(writer.epoch > stale.epoch);
    assert!(is_fenced(stale.log.as_mut(), &first).await);
    drop(stale);
    assert_eq!(writer.log.extent(), Extent::default());
    append(writer.log.as_mut(), 2).await;
    assert!(!*writer.lost.borrow());
    let ended = reader.grown(before.len).await;
    assert!(matches!(ended, Err(StoreError::NotFound(id)) if id == first.id));
    let log = store.open(first.id).await.unwrap();
    assert_eq!(log.visible().len, Seq(2));
    drop((reader, log, writer, store));

    subject = subject.reopen();
    let store = subject.store().as_ref();
    assert_eq!(log_of(store, first.id).await, as_read(&records(0..2)));
    let told: Vec<_> = feed_from(store, 0).await;
    let told: Vec<_> = told
        .iter()
        .map(|entry| (entry.created_at, entry.change))
        .collect();
    let appended = |to| Change::Appended {
        from: Seq(0),
        to: Seq(to),
    };
    let expected = [
        (first.created_at, Change::Created),
        (first.created_at, appended(5)),
        (first.created_at, Change::Deleted),
        (second.created_at, Change::Created),
        (second.created_at, appended(2)),
    ];
    assert_eq!(told, expected);
}
