use async_trait::async_trait;
use bytes::Bytes;

use super::StoreError;

/// A SHA-256.
pub type Digest = [u8; 32];

/// What is known of a request that came with an `Idempotency-Key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The digest of the request's body.
    pub request: Digest,
    /// The answer it got; none when it was begun and a crash or an error kept it from ending.
    pub answer: Option<Bytes>,
}

/// Remembers, durably and for [`RECEIPT_HOURS`], which keyed requests were begun and what
/// they were answered. After
/// <https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/>.
#[async_trait]
pub trait Receipts: Send + Sync {
    /// What is known of the request `key` (a digest over its route and its `Idempotency-Key`);
    /// nothing: then it is now put down as begun, with the digest of its body.
    ///
    /// # Errors
    /// When that cannot be read or made durable.
    async fn begin(&self, key: Digest, request: Digest) -> Result<Option<Receipt>, StoreError>;

    /// Puts down what the request was answered.
    ///
    /// # Errors
    /// When that cannot be made durable.
    async fn finish(&self, key: Digest, answer: Bytes) -> Result<(), StoreError>;
}

/// How long a [`Receipt`] is kept.
pub const RECEIPT_HOURS: u64 = 24;
