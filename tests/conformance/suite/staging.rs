use std::sync::Arc;

use core_model::{
    ConversationKey, ConversationState, ExecutionStatus, Extent, Metadata, Row, Seq, Snapshot,
    Store, StoreError,
    port::{Change, ListQuery, Prefix, StagedConversation},
};

use super::{
    Subject,
    fixture::{metadata, moment, record, records, summary},
    steps::{append, as_read, claim, claimed, create, feed_from, log_of},
};
use crate::Tested;

/// What is to be published: with the snapshot of its whole log, as a copy has it.
fn with_snapshot(mut metadata: Metadata, extent: Extent) -> Metadata {
    let mut state = ConversationState::new(&metadata);
    state.execution_status = ExecutionStatus::Paused;
    metadata.snapshot = Some(Snapshot { extent, state });
    metadata
}

async fn publish(staged: Box<dyn StagedConversation>, metadata: &Metadata) -> Metadata {
    let metadata = with_snapshot(metadata.clone(), staged.extent());
    let paused = summary(ExecutionStatus::Paused, 50);
    staged.publish(&metadata, paused).await.unwrap();
    metadata
}

fn prefix(of: &Metadata, extent: Extent) -> Option<Prefix> {
    let of = of.key();
    Some(Prefix { of, extent })
}

/// Nobody can have to do with it, and its id is free.
async fn is_not_there(store: &dyn Store, metadata: &Metadata, others: u64) {
    let id = metadata.id;
    let refused = [
        store.open(id).await.map(drop),
        store.metadata(id).await.map(drop),
        store.claim(id).await.map(drop),
        store.delete(id).await,
    ];
    for refused in refused {
        assert!(matches!(refused, Err(StoreError::NotFound(of)) if of == id));
    }
    assert_eq!(store.row(id).await.unwrap(), None);
    assert_eq!(store.holder(id).await.unwrap(), None);
    assert_eq!(store.metadata_of(&[id]).await.unwrap(), [None]);
    assert_eq!(store.infos(&[id]).await.unwrap(), [None]);
    assert_eq!(store.count(None).await.unwrap(), others);
    let everything = ListQuery {
        status: None,
        first: None,
        limit: 10,
        order: core_model::ConversationOrder::default(),
    };
    let listed = store.list(&everything).await.unwrap().rows;
    assert!(listed.iter().all(|row| row.id != id), "{listed:?}");
    assert_eq!(store.orphans(10).await.unwrap(), []);
    let told = feed_from(store, 0).await;
    assert!(told.iter().all(|entry| entry.conversation != id));
}

#[tokio::test]
async fn one_that_is_staged_is_not_there_before_it_is_published() {
    let mut subject = Tested::empty();
    let store = subject.store().clone();
    let (original, mut writer) = claimed(store.as_ref()).await;
    let idle = |count| summary(ExecutionStatus::Idle, count);
    let some = writer.log.append(records(0..4), idle(4)).await.unwrap();
    let copy = metadata(900);
    let mut staged = store.stage(copy.id, prefix(&original, some)).await.unwrap();
    assert_eq!(staged.extent(), some);
    is_not_there(store.as_ref(), &copy, 1).await;
    // The original goes on.
    writer.log.append(records(4..6), idle(6)).await.unwrap();
    staged.append(vec![record(7), record(8)]).await.unwrap();
    staged.append(Vec::new()).await.unwrap();
    staged.append(vec![record(9)]).await.unwrap();
    is_not_there(store.as_ref(), &copy, 1).await;

    let extent = staged.extent();
    assert_eq!(extent.len, Seq(7));
    let copy = publish(staged, &copy).await;
    drop((writer, store));
    let mut expected = records(0..4);
    expected.extend(records(7..10));
    let size: usize = expected.iter().map(|record| record.bytes.len() + 1).sum();
    for _ in 0..2 {
        let store = subject.store().as_ref();
        assert_eq!(log_of(store, copy.id).await, as_read(&expected));
        assert_eq!(log_of(store, original.id).await, as_read(&records(0..6)));
        assert_eq!(store.metadata(copy.id).await.unwrap(), copy);
        let row = store.row(copy.id).await.unwrap().unwrap();
        let expected = Row {
            id: copy.id,
            created_at: copy.created_at,
            updated_at: row.updated_at,
            status: ExecutionStatus::Paused,
            extent,
            bytes: size as u64,
        };
        assert_eq!(row, expected);
        assert_eq!(store.count(None).await.unwrap(), 2);
        assert_eq!(store.orphans(10).await.unwrap(), []);
        let log = store.open(copy.id).await.unwrap();
        assert_eq!(log.find(&record(8).head.id).await.unwrap(), Some(Seq(5)));
        drop(log);
        let mine: Vec<Change> = feed_from(store, 0)
            .await
            .iter()
            .filter(|entry| entry.conversation == copy.id)
            .map(|entry| entry.change)
            .collect();
        let (from, to) = (Seq(0), extent.len);
        assert_eq!(mine, [Change::Created, Change::Appended { from, to }]);
        subject = subject.reopen();
    }
    let store = subject.store().as_ref();
    let mut claim = claim(store, copy.id).await;
    assert_eq!(claim.log.extent(), extent);
    append(claim.log.as_mut(), 1).await;
    assert_eq!(log_of(store, copy.id).await.len(), 8);
    assert_eq!(
        store.row(copy.id).await.unwrap().unwrap().extent.len,
        Seq(8)
    );
}

#[tokio::test]
async fn one_without_a_prefix_has_what_is_appended() {
    let subject = Tested::empty();
    let store = subject.store().as_ref();
    for count in [0, 3] {
        let made = metadata(count);
        let mut staged = store.stage(made.id, None).await.unwrap();
        assert_eq!(staged.extent(), Extent::default());
        staged.append(records(0..count)).await.unwrap();
        let made = publish(staged, &made).await;
        assert_eq!(store.metadata(made.id).await.unwrap(), made);
        assert_eq!(log_of(store, made.id).await, as_read(&records(0..count)));
    }
}

#[tokio::test]
async fn one_that_is_dropped_before_leaves_nothing() {
    let mut subject = Tested::empty();
    let store = subject.store().clone();
    let (original, mut writer) = claimed(store.as_ref()).await;
    let idle = summary(ExecutionStatus::Idle, 4);
    let some = writer.log.append(records(0..4), idle).await.unwrap();
    drop(writer);
    let copy = metadata(900);
    let mut staged = store.stage(copy.id, prefix(&original, some)).await.unwrap();
    staged.append(vec![record(7)]).await.unwrap();
    drop((staged, store));
    for _ in 0..2 {
        is_not_there(subject.store().as_ref(), &copy, 1).await;
        subject = subject.reopen();
    }
    subject.store().create(&copy).await.unwrap();
}

#[tokio::test]
async fn an_id_belongs_to_whoever_publishes_first() {
    let subject = Tested::empty();
    let store = subject.store().as_ref();
    let taken = create(store).await;
    let refused = store.stage(taken.id, None).await.map(drop);
    assert!(matches!(refused, Err(StoreError::Exists(id)) if id == taken.id));

    let wanted = metadata(7);
    let mut one = store.stage(wanted.id, None).await.unwrap();
    let two = store.stage(wanted.id, None).await.unwrap();
    one.append(records(0..2)).await.unwrap();
    let other = metadata(8);
    let three = store.stage(other.id, None).await.unwrap();
    store.create(&other).await.unwrap();
    publish(one, &wanted).await;
    for (late, metadata) in [(two, &wanted), (three, &other)] {
        let late = late
            .publish(metadata, summary(ExecutionStatus::Idle, 1))
            .await;
        assert!(matches!(late, Err(StoreError::Exists(id)) if id == metadata.id));
    }
    assert_eq!(log_of(store, wanted.id).await, as_read(&records(0..2)));
    assert_eq!(log_of(store, other.id).await, []);
    assert_eq!(store.count(None).await.unwrap(), 3);
}

#[tokio::test]
async fn what_the_original_does_not_have_is_not_copied() {
    let subject = Tested::empty();
    let store = subject.store().as_ref();
    let (original, mut writer) = claimed(store).await;
    let some = append(writer.log.as_mut(), 3).await;
    let nobody = metadata(4);
    let beyond = Extent {
        len: Seq(some.len.0 + 1),
        version: some.version + 10,
    };
    let earlier = Prefix {
        of: ConversationKey {
            created_at: moment(800),
            ..original.key()
        },
        extent: some,
    };
    for (wrong, of) in [
        (prefix(&nobody, Extent::default()), nobody.id),
        (prefix(&original, beyond), original.id),
        (Some(earlier), original.id),
    ] {
        let copy = metadata(9);
        let refused = store.stage(copy.id, wrong).await.map(drop);
        assert!(matches!(refused, Err(StoreError::NotFound(id)) if id == of));
        assert_eq!(store.row(copy.id).await.unwrap(), None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_publication_that_nobody_waits_for_is_whole_or_nothing() {
    let mut subject = Tested::empty();
    let store = subject.store().clone();
    let (original, mut writer) = claimed(store.as_ref()).await;
    let some = append(writer.log.as_mut(), 5).await;
    drop(writer);
    let mut wanted = Vec::new();
    for number in 0..40 {
        let copy = metadata(100 + number);
        wanted.push(copy.clone());
        let store = Arc::clone(&store);
        let prefix = prefix(&original, some);
        let task = tokio::spawn(async move {
            let mut staged = store.stage(copy.id, prefix).await.unwrap();
            staged.append(vec![record(7)]).await.unwrap();
            publish(staged, &copy).await;
        });
        for _ in 0..number {
            tokio::task::yield_now().await;
        }
        task.abort();
        task.await.ok();
    }
    drop(store);
    subject = subject.reopen();
    let store = subject.store().as_ref();
    let mut expected = records(0..5);
    expected.push(record(7));
    for copy in wanted {
        match store.row(copy.id).await.unwrap() {
            Some(_) => assert_eq!(log_of(store, copy.id).await, as_read(&expected)),
            None => assert!(store.open(copy.id).await.is_err()),
        }
    }
}
