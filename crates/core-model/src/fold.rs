//! The state that a stored log leads to.

use std::{future::poll_fn, task::Poll};

use crate::{ConversationState, Extent, Limit, LogReader, Metadata, Record, Seq, StoreError};

/// What is read at a time.
const PAGE: Limit = Limit {
    records: 1024,
    bytes: 1 << 20,
};

/// Reads a log up to `extent` and folds its events into a state: from the stored snapshot on, or from
/// the start when the snapshot is not of this part of this log. An event that cannot be read is passed to
/// `unreadable` and left out.
///
/// # Errors
/// When the log cannot be read.
pub async fn fold(
    log: &dyn LogReader,
    extent: Extent,
    metadata: &Metadata,
    mut unreadable: impl FnMut(&Record, serde_json::Error) + Send,
) -> Result<ConversationState, StoreError> {
    let stored = metadata.snapshot.as_ref();
    let stored = stored.filter(|stored| stored.extent.len <= extent.len && log.had(stored.extent));
    let (mut state, mut next) = match stored {
        Some(stored) => (stored.state.clone(), stored.extent.len),
        None => (ConversationState::new(metadata), Seq(0)),
    };
    while next < extent.len {
        let records = log.read(next, PAGE).await?;
        let Some(last) = records.last() else { break };
        next = last.seq.after(1);
        for record in records.iter().filter(|record| record.seq < extent.len) {
            if let Err(error) = state.apply_bytes(&record.bytes) {
                unreadable(record, error);
            }
        }
        yield_now().await;
    }
    Ok(state)
}

/// Lets other tasks run, because pages that are in memory are read without waiting.
async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
