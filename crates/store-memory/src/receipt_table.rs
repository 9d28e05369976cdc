use std::{
    collections::{BTreeMap, HashMap},
    io,
};

use bytes::Bytes;
use core_model::{
    StoreError,
    port::{Digest, RECEIPT_HOURS, Receipt},
};
use uuid::Uuid;

const KEPT_SECONDS: i64 = RECEIPT_HOURS as i64 * 3600;

/// What is known of keyed requests.
pub(crate) struct ReceiptTable {
    limit: usize,
    known: HashMap<Digest, Known>,
    /// Keys in the order in which they were begun.
    order: BTreeMap<u64, Digest>,
    /// How many were ever begun.
    begun: u64,
}

struct Known {
    /// Its place in the order.
    place: u64,
    /// When it was begun, in seconds since the epoch.
    at: i64,
    nonce: Uuid,
    request: Digest,
    answer: Option<Bytes>,
}

impl ReceiptTable {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            known: HashMap::new(),
            order: BTreeMap::new(),
            begun: 0,
        }
    }

    pub(crate) fn begin(
        &mut self,
        key: Digest,
        request: Digest,
        now: i64,
    ) -> Result<Receipt, StoreError> {
        self.drop_old(now);
        if let Some(known) = self.known.get(&key) {
            return Ok(Receipt {
                nonce: known.nonce,
                begun: true,
                request: known.request,
                answer: known.answer.clone(),
            });
        }
        if self.known.len() >= self.limit {
            return Err(StoreError::TooManyReceipts { limit: self.limit });
        }
        let nonce = Uuid::new_v4();
        self.order.insert(self.begun, key);
        let known = Known {
            place: self.begun,
            at: now,
            nonce,
            request,
            answer: None,
        };
        self.known.insert(key, known);
        self.begun += 1;
        Ok(Receipt {
            nonce,
            begun: false,
            request,
            answer: None,
        })
    }

    pub(crate) fn finish(&mut self, key: Digest, answer: Bytes) -> Result<(), StoreError> {
        let known = self.known.get_mut(&key).ok_or_else(|| StoreError::Io {
            path: "receipts".to_owned(),
            source: io::Error::other("no request with this key was begun"),
        })?;
        known.answer = Some(answer);
        Ok(())
    }

    pub(crate) fn forget(&mut self, key: Digest) {
        if let Some(known) = self.known.remove(&key) {
            self.order.remove(&known.place);
        }
    }

    fn drop_old(&mut self, now: i64) {
        while let Some(oldest) = self.order.first_entry() {
            let at = self.known.get(oldest.get()).map(|known| known.at);
            if at.is_some_and(|at| now - at < KEPT_SECONDS) {
                return;
            }
            self.known.remove(&oldest.remove());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_is_kept_for_its_hours_and_no_longer() {
        let mut table = ReceiptTable::new(10);
        let first = table.begin([1; 32], [7; 32], 1_000).unwrap();
        table.finish([1; 32], Bytes::from_static(b"yes")).unwrap();
        let again = table.begin([1; 32], [8; 32], 999 + KEPT_SECONDS).unwrap();
        let expected = Receipt {
            begun: true,
            answer: Some(Bytes::from_static(b"yes")),
            ..first.clone()
        };
        assert_eq!(again, expected);
        let another = table.begin([1; 32], [8; 32], 1_000 + KEPT_SECONDS).unwrap();
        assert_ne!(another.nonce, first.nonce);
        assert_eq!((another.begun, another.answer), (false, None));
    }

    #[test]
    fn one_too_many_is_refused_until_there_is_room() {
        let mut table = ReceiptTable::new(2);
        table.begin([1; 32], [0; 32], 1_000).unwrap();
        table.begin([2; 32], [0; 32], 2_000).unwrap();
        let refused = table.begin([3; 32], [0; 32], 2_000);
        assert!(matches!(
            refused,
            Err(StoreError::TooManyReceipts { limit: 2 })
        ));
        assert!(table.begin([1; 32], [0; 32], 2_000).unwrap().begun);
        table.forget([2; 32]);
        assert!(!table.begin([3; 32], [0; 32], 2_000).unwrap().begun);
        assert!(table.begin([2; 32], [0; 32], 2_000).is_err());
        let later = 1_000 + KEPT_SECONDS;
        assert!(!table.begin([2; 32], [0; 32], later).unwrap().begun);
        assert_eq!((table.known.len(), table.order.len()), (2, 2));
    }
}
