//! What a list needs of a stored conversation, from its metadata and the size of its log alone.

use core_model::{
    ConversationId, EventTime, ExecutionStatus, Extent, Row, Seq, StoreError, UtcTime,
};
use serde::Deserialize;

use crate::{
    disk::read_small,
    error::{damaged, io_at},
    layout,
    store::Store,
};

/// A conversation as its metadata has it.
pub(crate) struct StoredRow {
    /// True of the first part of the log that is stored as folded.
    pub(crate) row: Row,
    /// Whether that is the whole log, and nothing was left running.
    pub(crate) fits: bool,
}

/// Reads what a list needs; opens no log.
///
/// # Errors
/// When the log cannot be found, or the metadata cannot be read.
pub(crate) fn stored_row(store: &Store, id: ConversationId) -> Result<StoredRow, StoreError> {
    let disk = store.context.disk.as_ref();
    let folder = store.folder(id);
    let events = folder.join(layout::EVENTS);
    let path = folder.join(layout::METADATA);
    let text = read_small(disk, &path, layout::MAX_METADATA_BYTES).map_err(io_at(&path))?;
    // After the metadata: a log that grows meanwhile is not taken for one that fits.
    let size = disk.size(&events).map_err(io_at(&events))?;
    let Sketch {
        format,
        id: found,
        created_at,
        snapshot,
    } = serde_json::from_slice(&text).map_err(|error| damaged(&path, error))?;
    if format > layout::FORMAT || found != id {
        return Err(damaged(
            &path,
            "it is of a newer format or another conversation's",
        ));
    }
    let snapshot = snapshot.unwrap_or_default();
    let updated_at = snapshot.state.updated_at;
    let status = snapshot.state.execution_status;
    Ok(StoredRow {
        row: Row {
            id,
            created_at,
            updated_at: updated_at.map_or(created_at, |time| UtcTime(time.utc())),
            status,
            extent: Extent {
                len: snapshot.as_of,
                version: snapshot.bytes,
            },
            bytes: snapshot.bytes,
        },
        fits: size == snapshot.bytes && status != ExecutionStatus::Running,
    })
}

/// The part of [`core_model::Metadata`] that is looked at; the rest is passed over, not kept.
#[derive(Deserialize)]
struct Sketch {
    format: u32,
    id: ConversationId,
    created_at: UtcTime,
    snapshot: Option<SnapshotSketch>,
}

#[derive(Default, Deserialize)]
struct SnapshotSketch {
    as_of: Seq,
    bytes: u64,
    state: StateSketch,
}

#[derive(Default, Deserialize)]
struct StateSketch {
    execution_status: ExecutionStatus,
    updated_at: Option<EventTime>,
}
