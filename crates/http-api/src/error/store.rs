//! How what can go wrong with a store is answered.

use core_model::{
    StoreError,
    port::{Fault, FaultKind},
};

use super::{Answer, INTERNAL, answer};

pub(super) fn answer_to(error: &StoreError) -> Answer {
    let after = |seconds, answer| Answer {
        retry_after: Some(seconds),
        ..answer
    };
    match error {
        StoreError::Unavailable(_) => {
            let why = "The server cannot reach its store. Retry the request.";
            after(STORAGE_PAUSE, answer(503, "storage_unavailable", why))
        }
        StoreError::TooManyReceipts { limit } => {
            let why = format!(
                "The server remembers {limit} requests with an Idempotency-Key, and no more. Retry \
                 the request later, or send it without a key."
            );
            after(
                RECEIPTS_PAUSE,
                answer(503, "too_many_idempotency_keys", &why),
            )
        }
        StoreError::NotFound(_)
        | StoreError::Exists(_)
        | StoreError::Fenced
        | StoreError::OwnedElsewhere { .. }
        | StoreError::Poisoned(_)
        | StoreError::Io { .. }
        | StoreError::Damaged { .. } => match error.fault() {
            Some(Fault {
                kind: FaultKind::Full,
                reason,
            }) => {
                let why = format!(
                    "The server has no room to store this ({reason}). Make room on it and retry the \
                     request; it needs no restart."
                );
                after(STORAGE_PAUSE, answer(507, "disk_full", &why))
            }
            Some(Fault {
                kind: FaultKind::ReadOnly,
                ..
            }) => {
                let why = "The server cannot store this: its file system is read-only. Make it \
                           writable and retry the request; the server needs no restart.";
                after(STORAGE_PAUSE, answer(503, "storage_unavailable", why))
            }
            Some(_) if matches!(error, StoreError::Poisoned(_)) => {
                let why = "The conversation takes no more events since a write failed; GET /ready \
                           says why. Retry the request when that is mended.";
                after(STORAGE_PAUSE, answer(503, "storage_unavailable", why))
            }
            Some(_) | None => answer(500, "storage_failed", INTERNAL),
        },
    }
}

/// Seconds after which a store that could not write may do so again.
const STORAGE_PAUSE: u32 = 10;
/// Seconds after which some of many remembered keys may have been forgotten.
const RECEIPTS_PAUSE: u32 = 600;
