use bytes::Bytes;
use core_model::port::{Digest, Receipt};

use super::Subject;
use crate::Tested;

const KEY: Digest = [7; 32];
const BODY: Digest = [1; 32];

#[tokio::test]
async fn a_request_is_remembered_with_its_answer() {
    let mut subject = Tested::empty();
    let begun = subject.store().begin(KEY, BODY).await.unwrap();
    let expected = Receipt {
        nonce: begun.nonce,
        begun: false,
        request: BODY,
        answer: None,
    };
    assert_eq!(begun, expected);
    let answer = Bytes::from([0, b'\n', 255, b'"'].repeat(10_000));
    for expected in [None, Some(answer.clone())] {
        for _ in 0..2 {
            // The digest is that of the body which came first.
            let again = subject.store().begin(KEY, [2; 32]).await.unwrap();
            let known = Receipt {
                begun: true,
                answer: expected.clone(),
                ..begun.clone()
            };
            assert_eq!(again, known);
            subject = subject.reopen();
        }
        subject.store().finish(KEY, answer.clone()).await.unwrap();
    }
}

#[tokio::test]
async fn one_that_is_forgotten_is_new() {
    let mut subject = Tested::empty();
    let first = subject.store().begin(KEY, BODY).await.unwrap();
    let other = subject.store().begin([8; 32], BODY).await.unwrap();
    subject.store().forget(KEY).await.unwrap();
    subject.store().forget([9; 32]).await.unwrap();
    let second = subject.store().begin(KEY, [2; 32]).await.unwrap();
    let expected = Receipt {
        nonce: second.nonce,
        begun: false,
        request: [2; 32],
        answer: None,
    };
    assert_eq!(second, expected);
    assert_ne!(second.nonce, first.nonce);
    subject = subject.reopen();
    let again = subject.store().begin(KEY, BODY).await.unwrap();
    assert_eq!((again.nonce, again.begun), (second.nonce, true));
    let again = subject.store().begin([8; 32], BODY).await.unwrap();
    assert_eq!((again.nonce, again.begun), (other.nonce, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_that_come_at_once_one_is_the_first() {
    let subject = Tested::empty();
    for round in 0..5 {
        let tasks: Vec<_> = (0..8)
            .map(|nth| {
                let store = subject.store().clone();
                tokio::spawn(async move { store.begin([round; 32], [nth; 32]).await })
            })
            .collect();
        let mut receipts = Vec::new();
        for task in tasks {
            receipts.push(task.await.unwrap().unwrap());
        }
        let first = receipts.iter().filter(|receipt| !receipt.begun);
        assert_eq!(first.count(), 1);
        let same = |receipt: &Receipt| {
            (receipt.nonce, receipt.request) == (receipts[0].nonce, receipts[0].request)
        };
        assert!(receipts.iter().all(same));
    }
}

#[tokio::test]
async fn requests_with_other_keys_are_others() {
    let subject = Tested::empty();
    let mut nonces = Vec::new();
    for key in 0..50 {
        let begun = subject.store().begin([key; 32], BODY).await.unwrap();
        assert!(!begun.begun && !nonces.contains(&begun.nonce));
        nonces.push(begun.nonce);
        let answer = Bytes::from(vec![key]);
        subject.store().finish([key; 32], answer).await.unwrap();
    }
    for key in 0..50 {
        let known = subject.store().begin([key; 32], BODY).await.unwrap();
        assert_eq!(known.nonce, nonces[usize::from(key)]);
        assert_eq!(known.answer, Some(Bytes::from(vec![key])));
    }
}
