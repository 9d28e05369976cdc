use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use core_model::port::Digest;

/// Makes requests with one key wait for each other.
#[derive(Default)]
pub(crate) struct KeyLocks(Mutex<HashMap<Digest, Weak<tokio::sync::Mutex<()>>>>);

impl KeyLocks {
    /// The lock of requests with this key.
    pub(crate) fn of(&self, key: Digest) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        locks.retain(|_, lock| lock.strong_count() > 0);
        let known = locks.get(&key).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let lock = Arc::default();
            locks.insert(key, Arc::downgrade(&lock));
            lock
        })
    }
}
