use std::path::Path;

use core_model::{ConversationInfo, Metadata, Row, UtcTime};

use crate::catalog::Shown;

/// What the metadata says of a conversation at rest whose log has as many bytes as its snapshot.
pub(crate) fn at_rest(metadata: &Metadata, folder: &Path) -> Option<(Row, Shown)> {
    let snapshot = metadata.snapshot.as_ref()?;
    let state = &snapshot.state;
    let info = ConversationInfo::at_rest(metadata, folder)?;
    let updated_at = state.updated_at.map(|time| UtcTime(time.utc()));
    let row = Row {
        id: metadata.id,
        created_at: metadata.created_at,
        updated_at: updated_at.unwrap_or(metadata.created_at),
        status: state.execution_status,
        extent: snapshot.extent,
        bytes: snapshot.extent.version,
    };
    let shown = Shown {
        id: metadata.id,
        bytes: snapshot.extent.version,
        status: state.execution_status,
        json: serde_json::to_vec(&info.listed()).ok()?.into(),
    };
    Some((row, shown))
}
