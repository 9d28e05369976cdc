use std::path::Path;

use anyhow::{Result, ensure};

/// Whether `events.idx` in a conversation's folder says what `events.jsonl` beside it does, and every line
/// is a good event.
///
/// # Errors
/// The first thing that is wrong.
pub(crate) fn index_is_right(folder: &Path) -> Result<()> {
    let report = store_fs::verify(folder, |_| {})?;
    let index = matches!(
        report.index,
        store_fs::IndexState::Right | store_fs::IndexState::Missing
    );
    ensure!(report.is_fine() && index, "{report:?}");
    Ok(())
}
