//! What the store has acknowledged of keyed requests.

use std::{collections::HashMap, thread};

use bytes::Bytes;
use core_model::port::{Digest, Receipt};

use crate::store::Store;

#[derive(Default)]
pub(super) struct Requests(HashMap<Digest, Known>);

/// What is known of a request: begun for sure or maybe, and the answers it may have.
#[derive(Clone, Default)]
struct Known {
    begun: bool,
    /// The acknowledged one.
    answer: Option<Bytes>,
    tried: Vec<Bytes>,
}

impl Requests {
    /// Begins some requests at once; whether each may fail.
    pub(super) fn begin(&mut self, store: &Store, keys: &[u8], can_fail: bool) {
        let results: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = keys
                .iter()
                .map(|key| scope.spawn(|| store.receipts.begin([*key; 32], request(*key))))
                .collect();
            let joined = threads.into_iter().map(|thread| thread.join().unwrap());
            joined.collect()
        });
        let mut results: Vec<_> = keys.iter().zip(results).collect();
        // Of those with the same key, the one that began it comes first.
        results.sort_by_key(|(_, result)| matches!(result, Ok(receipt) if receipt.begun));
        for (key, result) in results {
            match result {
                Ok(receipt) => self.found(*key, receipt),
                Err(error) => {
                    assert!(can_fail, "nothing was wrong with the disk: {error}");
                    self.0.entry([*key; 32]).or_default();
                }
            }
        }
    }

    pub(super) fn finish(&mut self, store: &Store, key: u8, number: u64, can_fail: bool) {
        let Some(known) = self.0.get_mut(&[key; 32]).filter(|known| known.begun) else {
            return;
        };
        let answer = Bytes::from(format!("answer {number}"));
        match store.receipts.finish([key; 32], &answer) {
            Ok(()) => {
                known.answer = Some(answer);
                known.tried.clear();
            }
            Err(error) => {
                assert!(can_fail, "nothing was wrong with the disk: {error}");
                known.tried.push(answer);
            }
        }
    }

    /// Asks for every request that was ever begun.
    pub(super) fn check(&mut self, store: &Store) {
        let keys: Vec<Digest> = self.0.keys().copied().collect();
        for key in keys {
            let receipt = store.receipts.begin(key, request(key[0])).unwrap();
            self.found(key[0], receipt);
        }
    }

    fn found(&mut self, key: u8, receipt: Receipt) {
        let known = self.0.entry([key; 32]).or_default();
        if receipt.begun {
            assert_eq!(receipt.request, request(key));
            let possible = receipt.answer == known.answer
                || receipt
                    .answer
                    .as_ref()
                    .is_some_and(|answer| known.tried.contains(answer));
            assert!(possible, "{:?} for {:?}", receipt.answer, known.answer);
            known.answer = receipt.answer;
        } else {
            assert!(!known.begun, "an acknowledged request is forgotten");
        }
        // Asked for again, it is as it was told now.
        known.begun = true;
        known.tried.clear();
    }
}

fn request(key: u8) -> Digest {
    [key.wrapping_add(1); 32]
}
