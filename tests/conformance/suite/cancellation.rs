//! Each call is dropped after it was polled 0, 1, 2, … times, until one is polled to its end. Whatever the
//! dropped one did, what is promised holds afterwards.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use core_model::{
    ConversationId, EventId, HeadFilter, Limit, Metadata, Seq, StoreError, port::Change,
};

use super::{
    Subject,
    fixture::{metadata, moment, records},
    steps::{append, as_read, claim, claimed, create, feed_from, is_fenced, log_of, running},
};
use crate::Tested;

/// A call that ends without a result when it was polled so often.
struct Polls<F> {
    call: F,
    left: usize,
}

impl<F: Future + Unpin> Future for Polls<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= 1;
        match Pin::new(&mut self.call).poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if self.left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// The call's result, unless it is dropped before.
async fn polled<F: Future + Unpin>(call: F, left: usize) -> Option<F::Output> {
    Polls { call, left }.await
}

#[tokio::test]
async fn making_one() {
    for polls in 0.. {
        let mut subject = Tested::empty();
        let wanted = metadata(0);
        let made = polled(subject.store().create(&wanted), polls).await;
        let again = subject.store().create(&wanted).await;
        match &made {
            Some(made) => {
                assert!(made.is_ok());
                assert!(matches!(again, Err(StoreError::Exists(_))));
            }
            None => assert!(matches!(again, Ok(()) | Err(StoreError::Exists(_)))),
        }
        for _ in 0..2 {
            let store = subject.store().as_ref();
            assert_eq!(store.metadata(wanted.id).await.unwrap(), wanted);
            assert_eq!(store.count(None).await.unwrap(), 1);
            assert_eq!(feed_from(store, 0).await.len(), 1);
            subject = subject.reopen();
        }
        let mut writer = claim(subject.store().as_ref(), wanted.id).await;
        append(writer.log.as_mut(), 1).await;
        if made.is_some() {
            break;
        }
    }
}

#[tokio::test]
async fn appending() {
    for polls in 0.. {
        let mut subject = Tested::empty();
        let (made, mut first) = claimed(subject.store().as_ref()).await;
        let before = append(first.log.as_mut(), 2).await;
        let done = polled(first.log.append(records(2..5), running(5)), polls).await;
        let store = subject.store().clone();
        let mut log = match done {
            Some(ref done) => {
                assert_eq!(done.as_ref().unwrap().len, Seq(5));
                assert_eq!(first.log.extent().len, Seq(5));
                first
            }
            // It was never begun.
            None if polls == 0 && !is_fenced(first.log.as_mut(), &made).await => {
                store.delete(made.id).await.unwrap();
                continue;
            }
            None => {
                assert!(is_fenced(first.log.as_mut(), &made).await);
                // The claim is given back, before the writer is dropped.
                assert_eq!(store.holder(made.id).await.unwrap(), None);
                let mut second = claim(store.as_ref(), made.id).await;
                assert!(is_fenced(first.log.as_mut(), &made).await);
                drop(first);
                let found = second.log.extent().len;
                assert!([before.len, Seq(5)].contains(&found));
                append(second.log.as_mut(), 1).await;
                second
            }
        };
        // Nothing comes in between later.
        let end = append(log.log.as_mut(), 1).await.len;
        let expected = as_read(&records(0..end.0));
        assert_eq!(log_of(store.as_ref(), made.id).await, expected);
        let row = store.row(made.id).await.unwrap().unwrap();
        assert_eq!(row.extent, log.log.extent());
        drop((log, store));
        subject = subject.reopen();
        let store = subject.store().as_ref();
        assert_eq!(log_of(store, made.id).await, expected);
        let mut told = Seq(0);
        for entry in feed_from(store, 0).await {
            if let Change::Appended { from, to } = entry.change {
                assert_eq!(from, told);
                told = to;
            }
        }
        assert_eq!(told, end);
        if done.is_some() {
            break;
        }
    }
}

#[tokio::test]
async fn replacing_metadata() {
    for polls in 0.. {
        let mut subject = Tested::empty();
        let (old, mut writer) = claimed(subject.store().as_ref()).await;
        let titled = |title: &str| {
            let mut metadata = old.clone();
            metadata.title = Some(title.to_owned());
            metadata
        };
        let new = titled("new");
        let done = polled(writer.log.set_metadata(&new), polls).await;
        let found = subject.store().metadata(old.id).await.unwrap();
        match &done {
            Some(done) => assert!(done.is_ok() && found == new),
            None => assert!(found == old || found == new),
        }
        // What comes later wins, whatever the dropped one still does.
        let last = titled("last");
        writer.log.set_metadata(&last).await.unwrap();
        append(writer.log.as_mut(), 1).await;
        drop(writer);
        subject = subject.reopen();
        assert_eq!(subject.store().metadata(old.id).await.unwrap(), last);
        if done.is_some() {
            break;
        }
    }
}

/// However many calls were dropped, what the same writer stores later is what stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn replacing_metadata_over_and_over() {
    let mut subject = Tested::empty();
    let (mut metadata, mut writer) = claimed(subject.store().as_ref()).await;
    for round in 0..200 {
        for dropped in 0..3 {
            metadata.title = Some(format!("dropped {round}, {dropped}"));
            polled(writer.log.set_metadata(&metadata), 1).await;
        }
        metadata.title = Some(format!("stored {round}"));
        writer.log.set_metadata(&metadata).await.unwrap();
        let found = subject.store().metadata(metadata.id).await.unwrap();
        assert_eq!(found, metadata);
    }
    drop(writer);
    subject = subject.reopen();
    let found = subject.store().metadata(metadata.id).await.unwrap();
    assert_eq!(found, metadata);
}

/// A deletion that was dropped is not done to the next conversation of that name.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn deleting_over_and_over() {
    let subject = Tested::empty();
    let store = subject.store();
    for round in 0..200 {
        let first = metadata(round);
        store.create(&first).await.unwrap();
        for _ in 0..3 {
            polled(store.delete(first.id), 1).await;
        }
        let deleted = store.delete(first.id).await;
        assert!(matches!(deleted, Ok(()) | Err(StoreError::NotFound(_))));
        let second = Metadata {
            created_at: moment(1_000 + round),
            ..first
        };
        store.create(&second).await.unwrap();
        assert_eq!(store.metadata(second.id).await.unwrap(), second);
        let mut writer = claim(store.as_ref(), second.id).await;
        append(writer.log.as_mut(), 1).await;
        store.delete(second.id).await.unwrap();
    }
}

#[tokio::test]
async fn claiming() {
    for polls in 0.. {
        let subject = Tested::empty();
        let (made, mut first) = claimed(subject.store().as_ref()).await;
        append(first.log.as_mut(), 2).await;
        let store = subject.store().as_ref();
        let done = polled(store.claim(made.id), polls).await.is_some();
        // Whether or not it was taken from the first: somebody can write.
        let mut latest = claim(store, made.id).await;
        assert!(latest.epoch > first.epoch);
        assert!(is_fenced(first.log.as_mut(), &made).await);
        append(latest.log.as_mut(), 1).await;
        drop(first);
        append(latest.log.as_mut(), 1).await;
        assert_eq!(log_of(store, made.id).await, as_read(&records(0..4)));
        if done {
            break;
        }
    }
}

#[tokio::test]
async fn deleting() {
    for polls in 0.. {
        let mut subject = Tested::empty();
        let (made, mut writer) = claimed(subject.store().as_ref()).await;
        append(writer.log.as_mut(), 2).await;
        let store = subject.store().clone();
        let done = polled(store.delete(made.id), polls).await;
        let again = store.delete(made.id).await;
        match &done {
            Some(done) => {
                assert!(done.is_ok());
                assert!(matches!(again, Err(StoreError::NotFound(_))));
            }
            None => assert!(matches!(again, Ok(()) | Err(StoreError::NotFound(_)))),
        }
        assert_eq!(store.row(made.id).await.unwrap(), None);
        assert!(is_fenced(writer.log.as_mut(), &made).await);
        // Whatever the dropped one still does, it is not done to the next of that name.
        let mut next = metadata(9);
        next.id = made.id;
        store.create(&next).await.unwrap();
        drop((writer, store));
        subject = subject.reopen();
        let found = subject.store().metadata(made.id).await.unwrap();
        assert_eq!(found, next);
        let told = feed_from(subject.store().as_ref(), 0).await;
        let told: Vec<_> = told.iter().map(|entry| entry.change).collect();
        let appended = Change::Appended {
            from: Seq(0),
            to: Seq(2),
        };
        assert_eq!(
            told,
            [Change::Created, appended, Change::Deleted, Change::Created]
        );
        if done.is_some() {
            break;
        }
    }
}

#[tokio::test]
async fn receipts() {
    for polls in 0.. {
        let mut subject = Tested::empty();
        let store = subject.store().clone();
        let begun = polled(store.begin([1; 32], [2; 32]), polls).await;
        let receipt = store.begin([1; 32], [2; 32]).await.unwrap();
        if let Some(begun) = &begun {
            assert_eq!(begun.as_ref().unwrap().nonce, receipt.nonce);
            assert!(receipt.begun);
        }
        let answer = Bytes::from_static(b"yes");
        let finished = polled(store.finish([1; 32], answer.clone()), polls).await;
        let known = store.begin([1; 32], [2; 32]).await.unwrap();
        assert_eq!((known.nonce, known.begun), (receipt.nonce, true));
        assert!(known.answer == Some(answer.clone()) || finished.is_none());
        store.finish([1; 32], answer.clone()).await.unwrap();
        drop(store);
        subject = subject.reopen();
        let store = subject.store();
        let known = store.begin([1; 32], [2; 32]).await.unwrap();
        assert_eq!((known.nonce, known.answer), (receipt.nonce, Some(answer)));
        let forgotten = polled(store.forget([1; 32]), polls).await;
        store.forget([1; 32]).await.unwrap();
        assert!(!store.begin([1; 32], [2; 32]).await.unwrap().begun);
        if begun.is_some() && finished.is_some() && forgotten.is_some() {
            break;
        }
    }
}

/// Drops a call at each of its awaits; it can be made again every time.
async fn can_be_dropped<T, F: Future<Output = Result<T, StoreError>> + Unpin>(
    call: impl Fn() -> F,
) {
    for polls in 0.. {
        let done = polled(call(), polls).await;
        assert!(call().await.is_ok());
        if done.is_some() {
            break;
        }
    }
}

#[tokio::test]
async fn what_only_looks() {
    let subject = Tested::empty();
    let store = subject.store();
    let (made, mut writer) = claimed(store.as_ref()).await;
    append(writer.log.as_mut(), 4).await;
    create(store.as_ref()).await;
    let query = core_model::port::ListQuery {
        status: None,
        first: None,
        limit: 10,
        order: core_model::ConversationOrder::default(),
    };
    let ids = [made.id, ConversationId::random()];
    let log = store.open(made.id).await.unwrap();
    let event = EventId::from("event-2");
    let filter = HeadFilter::default();
    can_be_dropped(|| store.open(made.id)).await;
    can_be_dropped(|| store.list(&query)).await;
    can_be_dropped(|| store.count(None)).await;
    can_be_dropped(|| store.row(made.id)).await;
    can_be_dropped(|| store.metadata(made.id)).await;
    can_be_dropped(|| store.metadata_of(&ids)).await;
    can_be_dropped(|| store.infos(&ids)).await;
    can_be_dropped(|| store.holder(made.id)).await;
    can_be_dropped(|| store.orphans(5)).await;
    can_be_dropped(|| store.feed_len()).await;
    can_be_dropped(|| store.feed_entries(0, 5)).await;
    can_be_dropped(|| store.feed_grown(0)).await;
    can_be_dropped(|| log.grown(Seq(3))).await;
    can_be_dropped(|| log.read(Seq(0), Limit::records(9))).await;
    can_be_dropped(|| log.read_at(&[Seq(3), Seq(1)], 500)).await;
    can_be_dropped(|| log.find(&event)).await;
    can_be_dropped(|| log.since(super::fixture::event_time(2))).await;
    can_be_dropped(|| log.select(&filter, Seq(0)..Seq(4), true, 3)).await;
    can_be_dropped(|| log.count(&filter)).await;
    append(writer.log.as_mut(), 1).await;
    can_be_dropped(|| store.close()).await;
    assert_eq!(
        log_of(store.as_ref(), made.id).await,
        as_read(&records(0..5))
    );
}
