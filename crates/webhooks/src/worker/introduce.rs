//! What is recorded of a webhook when it starts.

use core_model::{
    StoreError, UtcTime,
    port::{FeedPosition, FollowerChange, FollowerRecords},
};

use crate::{config::Start, endpoint::Endpoint};

/// Loads what is recorded of a webhook. One that is new, or configured again, is recorded first: a new
/// one starts here in the feed, or at the beginning of everything.
///
/// # Errors
/// When it cannot be read or written.
pub(super) async fn introduce(
    endpoint: &Endpoint,
    here: FeedPosition,
) -> Result<FollowerRecords, StoreError> {
    let store = &endpoint.ports.store;
    let known = store.load(&endpoint.id).await?;
    let is_known = known.is_some();
    let mut records = known.unwrap_or_else(|| {
        let from_now = endpoint.config.start == Start::Now;
        FollowerRecords {
            since: from_now.then(UtcTime::now),
            position: from_now.then_some(here),
            ..FollowerRecords::default()
        }
    });
    if !is_known || records.removed.is_some() || records.name != endpoint.name {
        let wanted = FollowerChange::Wanted {
            name: endpoint.name.clone(),
            since: records.since,
        };
        let position = records.position.map(FollowerChange::Position);
        let changes = [wanted.clone()].into_iter().chain(position);
        store.change(&endpoint.id, changes.collect()).await?;
        store.flush(&endpoint.id).await?;
        records.apply(wanted);
    }
    Ok(records)
}
