//! The errors of a store: one row a variant.

use core_model::{
    StoreError,
    port::{Fault, FaultKind},
};

use super::row::{INTERNAL, Row, row};

/// Seconds after which a store that could not write may do so again.
const STORAGE_RETRY_SECONDS: u32 = 10;
/// Seconds after which some of many remembered keys may have been forgotten.
const RECEIPTS_RETRY_SECONDS: u32 = 600;

pub(super) fn row_of(error: &StoreError) -> Row {
    match error {
        StoreError::Unavailable(_) => row(
            503,
            "storage_unavailable",
            "The server cannot reach its store. Retry the request.",
        )
        .retry_after(STORAGE_RETRY_SECONDS),
        StoreError::TooManyReceipts { limit } => row(
            503,
            "too_many_idempotency_keys",
            format!(
                "The server remembers {limit} requests with an Idempotency-Key, and no more. Retry \
                 the request later, or send it without a key."
            ),
        ).retry_after(RECEIPTS_RETRY_SECONDS),
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
            }) => row(
                507,
                "disk_full",
                format!(
                    "The server has no room to store this ({reason}). Make room on it and retry the \
                     request; it needs no restart."
                ),
            ).retry_after(STORAGE_RETRY_SECONDS),
            Some(Fault {
                kind: FaultKind::ReadOnly,
                ..
            }) => row(
                503,
                "storage_unavailable",
                "The server cannot store this: its file system is read-only. Make it writable and \
                 retry the request; the server needs no restart.",
            ).retry_after(STORAGE_RETRY_SECONDS),
            Some(_) if matches!(error, StoreError::Poisoned(_)) => row(
                503,
                "storage_unavailable",
                "The conversation accepts no more events since a write failed; GET /ready says why. \
                 Retry the request when that is repaired.",
            ).retry_after(STORAGE_RETRY_SECONDS),
            Some(_) | None => row(500, "storage_failed", INTERNAL),
        },
    }
}
