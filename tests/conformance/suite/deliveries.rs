use std::{sync::Arc, time::Duration};

use core_model::{
    ConversationKey, Metadata, Seq, Store, StoreError, UtcTime,
    port::{
        Cursor, DeadLetter, DeliveryRecords, FeedPosition, FollowerChange, FollowerRecords,
        MAX_DEAD_LETTERS, Outcome,
    },
};
use proptest::{prelude::*, test_runner::TestCaseError};
use tokio::runtime::Builder;
use uuid::Uuid;

use super::{
    Subject,
    fixture::{metadata, moment, records},
    steps::{append, as_read, claim, claimed, create, whole},
};
use crate::Tested;

const NAME: &str = "a-follower-7";

fn letter(number: u64, of: ConversationKey) -> DeadLetter {
    DeadLetter {
        id: format!("letter-{number}"),
        conversation: of,
        first_seq: Seq(number),
        last_seq: Seq(number + 2),
        events: 3,
        at: moment(number),
        attempts: 4,
        outcome: Outcome::Dead,
        status: number.is_multiple_of(2).then_some(503),
        reason: "größer \"than\"\n".to_owned(),
    }
}

fn position(number: u64) -> FeedPosition {
    FeedPosition {
        feed: Uuid::from_u128(7),
        position: number,
    }
}

async fn delete(store: &dyn Store, metadata: &Metadata) {
    store.delete(metadata.id).await.unwrap();
}

async fn waiting(records: &dyn DeliveryRecords) -> Vec<ConversationKey> {
    let deleted = records.deleted().await.unwrap();
    assert!(deleted.is_sorted_by_key(|deleted| deleted.deleted_at));
    deleted.iter().map(|deleted| deleted.conversation).collect()
}

#[tokio::test]
async fn a_deleted_conversation_waits_with_its_log() {
    let mut subject = Tested::empty();
    let mut records_port = subject.records();
    let (gone, mut writer) = claimed(subject.store().as_ref()).await;
    append(writer.log.as_mut(), 5).await;
    drop(writer);
    assert_eq!(waiting(records_port.as_ref()).await, []);
    delete(subject.store().as_ref(), &gone).await;
    for _ in 0..2 {
        assert_eq!(waiting(records_port.as_ref()).await, [gone.key()]);
        let (metadata, log) = records_port.open_deleted(gone.key()).await.unwrap();
        assert_eq!(metadata, gone);
        assert_eq!(log.visible().len, Seq(5));
        assert_eq!(whole(log.as_ref()).await, as_read(&records(0..5)));
        let missing = subject.store().open(gone.id).await.map(drop);
        assert!(matches!(missing, Err(StoreError::NotFound(_))));
        drop((log, records_port));
        subject = subject.reopen();
        records_port = subject.records();
    }
    records_port.discard(gone.key()).await.unwrap();
    records_port.discard(gone.key()).await.unwrap();
    let missing = records_port.open_deleted(gone.key()).await.map(drop);
    assert!(matches!(missing, Err(StoreError::NotFound(id)) if id == gone.id));
    drop(records_port);
    subject = subject.reopen();
    assert_eq!(waiting(subject.records().as_ref()).await, []);
}

#[tokio::test]
async fn conversations_of_one_id_wait_side_by_side() {
    let subject = Tested::empty();
    let port = subject.records();
    let store = subject.store().as_ref();
    let mut keys = Vec::new();
    let mut made = metadata(0);
    for number in 0..3 {
        made.created_at = moment(number);
        store.create(&made).await.unwrap();
        let mut writer = claim(store, made.id).await;
        append(writer.log.as_mut(), number + 1).await;
        delete(store, &made).await;
        keys.push(made.key());
    }
    store.create(&metadata(9)).await.unwrap();
    assert_eq!(waiting(port.as_ref()).await, keys);
    for (number, key) in (0..).zip(&keys) {
        let (metadata, log) = port.open_deleted(*key).await.unwrap();
        assert_eq!(metadata.key(), *key);
        assert_eq!(whole(log.as_ref()).await, as_read(&records(0..number + 1)));
    }
    port.discard(keys[1]).await.unwrap();
    assert_eq!(waiting(port.as_ref()).await, [keys[0], keys[2]]);
}

/// The feed tells of a deletion only when the conversation waits.
#[tokio::test]
async fn what_the_feed_calls_deleted_waits() {
    let subject = Tested::empty();
    let port = subject.records();
    let store = subject.store().as_ref();
    let gone = create(store).await;
    let len = store.feed_len().await.unwrap();
    let waits = store.feed_grown(len);
    let (told, ()) = tokio::join!(waits, delete(store, &gone));
    assert!(told.unwrap() > len);
    assert_eq!(waiting(port.as_ref()).await, [gone.key()]);
}

#[tokio::test]
async fn a_wait_for_more_of_a_deleted_log_brings_nothing() {
    let subject = Tested::empty();
    let port = subject.records();
    let gone = create(subject.store().as_ref()).await;
    delete(subject.store().as_ref(), &gone).await;
    let (_, log) = port.open_deleted(gone.key()).await.unwrap();
    let grown = tokio::time::timeout(Duration::from_millis(1), log.grown(Seq(0)));
    assert!(!matches!(grown.await, Ok(Ok(_))));
    assert_eq!(
        log.count(&core_model::HeadFilter::default()).await.unwrap(),
        0
    );
}

#[tokio::test]
async fn the_oldest_dead_letter_goes_when_there_are_too_many() {
    let subject = Tested::empty();
    let port = subject.records();
    let of = create(subject.store().as_ref()).await.key();
    let mut expected = FollowerRecords::default();
    for number in 0..MAX_DEAD_LETTERS as u64 + 3 {
        let refused = FollowerChange::DeadLetter(Box::new(letter(number, of)));
        port.change(NAME, vec![refused.clone()]).await.unwrap();
        expected.apply(refused);
    }
    assert_eq!(expected.dead_letters.len(), MAX_DEAD_LETTERS);
    let found = port.load(NAME).await.unwrap().unwrap();
    assert_eq!(found.dead_letters, expected.dead_letters);
}

#[tokio::test]
async fn followers_are_apart_until_they_are_forgotten() {
    let mut subject = Tested::empty();
    let mut port = subject.records();
    assert_eq!(port.followers().await.unwrap(), [""; 0]);
    assert_eq!(port.load(NAME).await.unwrap(), None);
    for (follower, name) in [(NAME, "for people"), ("b", "größer"), ("c", "")] {
        port.change(follower, vec![wanted(name, None)])
            .await
            .unwrap();
        port.flush(follower).await.unwrap();
    }
    let removed = FollowerChange::Removed { at: moment(1) };
    port.change("b", vec![removed]).await.unwrap();
    port.forget_follower("c").await.unwrap();
    port.forget_follower("d").await.unwrap();
    drop(port);
    for _ in 0..2 {
        subject = subject.reopen();
        port = subject.records();
        let mut followers = port.followers().await.unwrap();
        followers.sort_unstable();
        assert_eq!(followers, [NAME, "b"]);
        let found = port.load(NAME).await.unwrap().unwrap();
        assert_eq!((found.name.as_str(), found.removed), ("for people", None));
        let found = port.load("b").await.unwrap().unwrap();
        assert_eq!(found.removed, Some(moment(1)));
        assert_eq!(port.load("c").await.unwrap(), None);
        drop(port);
    }
}

/// What is recorded of a follower.
#[derive(Clone, Debug)]
enum Step {
    Put(Option<u64>, Option<u64>),
    Removed(u64),
    Position(u64),
    Cursors(Vec<(usize, u64)>),
    Rewind(u64),
    Push(u64),
    Remove(u64),
    Forget,
    Flush,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let small = || 0..6_u64;
    let optional = || prop::option::of(0..6_u64);
    prop_oneof![
        2 => (optional(), optional()).prop_map(|(since, at)| Step::Put(since, at)),
        1 => small().prop_map(Step::Removed),
        2 => small().prop_map(Step::Position),
        4 => prop::collection::vec((0..3_usize, small()), 1..4).prop_map(Step::Cursors),
        1 => small().prop_map(Step::Rewind),
        3 => small().prop_map(Step::Push),
        2 => small().prop_map(Step::Remove),
        1 => Just(Step::Forget),
        2 => Just(Step::Flush),
        1 => Just(Step::Reopen),
    ]
}

fn cursor(number: u64) -> Cursor {
    Cursor {
        next: Seq(number),
        rewound: number.is_multiple_of(2).then(|| moment(number)),
    }
}

/// Does it to the records of a follower, and to the model of them.
async fn take(
    port: &dyn DeliveryRecords,
    step: &Step,
    keys: &[ConversationKey],
    model: &mut Option<FollowerRecords>,
) -> Result<(), StoreError> {
    if let Step::Flush | Step::Reopen = step {
        return port.flush(NAME).await;
    }
    if let Step::Forget = step {
        *model = None;
        return port.forget_follower(NAME).await;
    }
    let changes = changes(step, keys);
    let records = model.get_or_insert_default();
    changes.iter().cloned().for_each(|one| records.apply(one));
    port.change(NAME, changes).await
}

fn changes(step: &Step, keys: &[ConversationKey]) -> Vec<FollowerChange> {
    match step {
        Step::Put(since, at) => {
            let mut changes = vec![wanted("of people", since.map(moment))];
            changes.extend(at.map(position).map(FollowerChange::Position));
            changes
        }
        Step::Removed(at) => vec![FollowerChange::Removed { at: moment(*at) }],
        Step::Position(at) => vec![FollowerChange::Position(position(*at))],
        Step::Cursors(cursors) => {
            let cursors = cursors.iter().map(|(key, next)| FollowerChange::Cursor {
                conversation: keys[*key],
                cursor: cursor(*next),
            });
            cursors.collect()
        }
        Step::Rewind(at) => vec![FollowerChange::Rewound { at: moment(*at) }],
        Step::Push(number) => {
            let refused = Box::new(letter(*number, keys[0]));
            vec![FollowerChange::DeadLetter(refused)]
        }
        Step::Remove(number) => {
            let id = format!("letter-{number}");
            vec![FollowerChange::Restored { id }]
        }
        Step::Forget | Step::Flush | Step::Reopen => Vec::new(),
    }
}

fn wanted(name: &str, since: Option<UtcTime>) -> FollowerChange {
    let name = name.to_owned();
    FollowerChange::Wanted { name, since }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: Tested::CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn records_are_what_their_model_says(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut subject = Tested::empty();
            let mut keys = Vec::new();
            for _ in 0..3 {
                keys.push(create(subject.store().as_ref()).await.key());
            }
            let mut port: Arc<dyn DeliveryRecords> = subject.records();
            let mut model = None;
            for step in &steps {
                take(port.as_ref(), step, &keys, &mut model).await.unwrap();
                if let Step::Reopen = step {
                    drop(port);
                    subject = subject.reopen();
                    port = subject.records();
                }
                let found = port.load(NAME).await.unwrap();
                prop_assert_eq!(&found, &model);
            }
            Ok::<(), TestCaseError>(())
        })?;
    }
}
