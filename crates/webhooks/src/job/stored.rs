//! What a job reads of the store.

use std::sync::Arc;

use core_model::{ConversationInfo, ConversationKey, LogReader, StoreError};

use crate::endpoint::Endpoint;

/// Opens the log of this very conversation, not of a later one under its id.
///
/// # Errors
/// [`StoreError::NotFound`] when it is not there (any more), or when it cannot be read.
pub(super) async fn open(
    endpoint: &Endpoint,
    of: &ConversationKey,
    deleted: bool,
) -> Result<Arc<dyn LogReader>, StoreError> {
    if deleted {
        let (_, log) = endpoint.ports.store.open_deleted(*of).await?;
        return Ok(log);
    }
    check_current(endpoint, of).await?;
    let log = endpoint.ports.store.open(of.id).await?;
    // Looked at again: the id may have been given to another one in between.
    check_current(endpoint, of).await?;
    Ok(log)
}

async fn check_current(endpoint: &Endpoint, of: &ConversationKey) -> Result<(), StoreError> {
    let row = endpoint.row(of).await?;
    row.map(drop).ok_or(StoreError::NotFound(of.id))
}

/// A conversation as its metadata and its log have it now.
///
/// # Errors
/// As [`open`].
pub(super) async fn info(
    endpoint: &Endpoint,
    of: &ConversationKey,
    deleted: bool,
) -> Result<ConversationInfo, StoreError> {
    let source = &endpoint.ports.store;
    let (metadata, log) = if deleted {
        endpoint.ports.store.open_deleted(*of).await?
    } else {
        let log = open(endpoint, of, false).await?;
        (source.metadata(of.id).await?, log)
    };
    let extent = log.visible();
    let state = core_model::fold(log.as_ref(), extent, &metadata, |_, _| {}).await?;
    let folder = endpoint.ports.conversations.join(of.id.to_string());
    Ok(ConversationInfo::new(&metadata, &state, &folder))
}
