use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes a lock whose holder may have panicked: what these guard is never left half changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
