//! Writing what a log's lines say into its index.

use std::{io, path::Path};

use core_model::{ConversationId, Seq};

use crate::{
    disk::{Disk, DiskFile, Wait},
    entry::Entry,
    extent::Extent,
    index::Index,
    layout,
    scan::{self, Found, Scanned, Start},
};

/// Adds what came to the log since, up to `size`, to its index.
pub(crate) fn extend(
    index: &Index,
    log: &dyn DiskFile,
    extent: Extent,
    size: u64,
) -> io::Result<(Extent, Scanned)> {
    let last = extent.len.0.checked_sub(1);
    let last = last.and_then(|last| index.entry(last, Wait::Yes).ok());
    let start = Start {
        offset: extent.bytes,
        seq: extent.len.0,
        micros: last.map_or(i64::MIN, |last| last.micros),
    };
    fill(index, log, start, size, None)
}

/// Builds the index of the log's first `size` bytes in a file of its own and puts it in place, so that a
/// reader in another process sees the old one or the new one; keeps what fits of the old one. On a disk
/// that refuses, it is built in memory.
pub(crate) fn rebuild(
    disk: &dyn Disk,
    id: ConversationId,
    folder: &Path,
    log: &dyn DiskFile,
    size: u64,
    old: Option<&Index>,
) -> io::Result<(Index, Extent, Scanned)> {
    let temporary = folder.join(layout::INDEX_MAKING);
    let made = Index::create(disk, &temporary, id);
    let index = made.unwrap_or_else(|error| {
        tracing::warn!(conversation.id = %id, %error, "the index is kept in memory for now");
        Index::in_memory(id)
    });
    let (extent, scanned) = fill(&index, log, Start::ZERO, size, old)?;
    let placed = if index.is_whole_on_disk() {
        disk.rename(&temporary, &folder.join(layout::INDEX))
    } else {
        disk.remove_file(&temporary)
    };
    if let Err(error) = placed {
        tracing::warn!(conversation.id = %id, %error, "the index stays under its temporary name");
    }
    Ok((index, extent, scanned))
}

fn fill(
    index: &Index,
    log: &dyn DiskFile,
    start: Start,
    size: u64,
    old: Option<&Index>,
) -> io::Result<(Extent, Scanned)> {
    let mut seq = start.seq;
    let mut entries = Vec::new();
    let scanned = scan::scan(log, start, size, old, |found: &[Found]| {
        entries.clear();
        entries.extend(found.iter().map(|found| found.entry));
        if entries.iter().any(Entry::is_damaged) {
            index.begin_damage();
        }
        index.write(seq, &entries);
        seq += entries.len() as u64;
        Ok(())
    })?;
    // Counts what was found, and remembers it.
    index.damaged(Wait::Yes).ok();
    let extent = Extent {
        len: Seq(seq),
        bytes: scanned.end,
    };
    Ok((extent, scanned))
}
