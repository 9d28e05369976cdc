use async_trait::async_trait;
use bytes::Bytes;
use uuid::Uuid;

use super::StoreError;

/// A SHA-256.
pub type Digest = [u8; 32];

/// What is known of a request that came with an `Idempotency-Key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Random, and the same however often the request comes. A request with the same key after
    /// [`RECEIPT_HOURS`] is another one, and has another.
    pub nonce: Uuid,
    /// Whether it had been begun before: it may have been carried out, or in part.
    pub begun: bool,
    /// The digest of the request's body.
    pub request: Digest,
    /// The answer it got; none when it was begun, and a crash or an error prevented its end.
    pub answer: Option<Bytes>,
}

/// Remembers, durably and for [`RECEIPT_HOURS`], which keyed requests were begun and what
/// they were answered. After
/// <https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/>.
///
/// No more than [`RECEIPTS`] requests of that time are remembered. One more is refused, and no old one is
/// forgotten: a client that repeats a request must be able to rely on it.
#[async_trait]
pub trait Receipts: Send + Sync {
    /// What is known of the request `key` (a digest over its route and its `Idempotency-Key`). A new
    /// one is recorded as begun, with the digest of its body.
    ///
    /// # Errors
    /// [`StoreError::TooManyReceipts`], or when that cannot be read or made durable.
    async fn begin(&self, key: Digest, request: Digest) -> Result<Receipt, StoreError>;

    /// Records the answer of the request.
    ///
    /// # Errors
    /// When that cannot be made durable.
    async fn finish(&self, key: Digest, answer: Bytes) -> Result<(), StoreError>;

    /// Forgets a request that was refused and had no effect. A crash may bring it back as begun, which
    /// does no harm.
    ///
    /// # Errors
    /// When that cannot be written.
    async fn forget(&self, key: Digest) -> Result<(), StoreError>;
}

/// How long a [`Receipt`] is kept.
pub const RECEIPT_HOURS: u64 = 24;
/// How many receipts are kept; in memory each takes about 100 bytes.
pub const RECEIPTS: usize = 1_000_000;
