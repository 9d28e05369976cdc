//! Whether the existing index belongs to its log.

use std::{io, path::Path};

use core_model::{ConversationId, LineHead, Seq};

use super::refusal::is_refusal;
use crate::{
    disk::{Disk, DiskFile, Open, Wait, read_exact, write_all},
    entry::Entry,
    extent::Extent,
    index::Index,
    scan,
};

/// How much of the existing index can be used.
pub(super) enum Known {
    /// It is true of the log up to here.
    Fits(Index, Extent),
    /// Some of its entries may be, if there is one.
    Partly(Option<Index>),
}

/// The existing index, with the part of the log that it covers, if it fits.
pub(super) fn known(
    disk: &dyn Disk,
    id: ConversationId,
    path: &Path,
    log: &dyn DiskFile,
    size: u64,
) -> io::Result<Known> {
    let opened = match Index::open(disk, path, id, Open::Write) {
        Err(error) if is_refusal(&error) => Index::open(disk, path, id, Open::Read),
        opened => opened,
    };
    // Whatever keeps it from being read, a rebuilt one may work.
    let Ok(Some((index, mut len))) = opened else {
        return Ok(Known::Partly(None));
    };
    let last_of = |len: u64| match len.checked_sub(1) {
        Some(last) => index.entry(last, Wait::Yes).map(Some),
        None => Ok(None),
    };
    let end_of = |last: &Option<Entry>| last.as_ref().map_or(0, Entry::end);
    let Ok(mut last) = last_of(len) else {
        return Ok(Known::Partly(Some(index)));
    };
    if end_of(&last) > size {
        // The log lost what was never synced; its index still has it.
        let fits = |entry: &Entry| entry.end() <= size;
        let shorter = index.partition_point(len, Wait::Yes, fits);
        let shorter = shorter.and_then(|fitting| Ok((fitting, last_of(fitting)?)));
        let Ok((fitting, last_fitting)) = shorter else {
            return Ok(Known::Partly(Some(index)));
        };
        (len, last) = (fitting, last_fitting);
        if index.cut(len).is_err() {
            return Ok(Known::Partly(Some(index)));
        }
    }
    let bytes = end_of(&last);
    if let Some(last) = last {
        match belongs(log, &last, size)? {
            Belongs::Yes => {}
            Belongs::ExceptItsBreak => {
                // Otherwise the next line would join it.
                tracing::warn!(conversation.id = %id, "the last line's break was damaged, and is mended");
                let written = write_all(log, b"\n", bytes - 1).and_then(|()| log.sync());
                if written.is_err() {
                    return Ok(Known::Partly(Some(index)));
                }
            }
            Belongs::No => return Ok(Known::Partly(None)),
        }
    }
    let len = Seq(len);
    Ok(Known::Fits(index, Extent { len, bytes }))
}

/// Whether an index's last entry describes the line at its place.
enum Belongs {
    /// Even if the line was damaged since.
    Yes,
    ExceptItsBreak,
    /// The index belongs to another state of the log.
    No,
}

fn belongs(log: &dyn DiskFile, entry: &Entry, size: u64) -> io::Result<Belongs> {
    if entry.len as usize > scan::LONGEST {
        // Not an event, and too long to be read.
        return Ok(Belongs::Yes);
    }
    let mut line = vec![0; entry.len as usize + 1];
    read_exact(log, &mut line, entry.offset, Wait::Yes)?;
    let (end, line) = line.split_last().unwrap_or((&0, &[]));
    let right = crc32c::crc32c(line) == entry.crc;
    // Another event of the same length may be there.
    let other = || LineHead::parse(line).is_ok_and(|head| !entry.is_of_id(&head.id));
    Ok(match (*end == b'\n', right) {
        (true, true) => Belongs::Yes,
        (false, true) if entry.end() == size && !entry.is_damaged() => Belongs::ExceptItsBreak,
        (true, false) if !other() => Belongs::Yes,
        (true | false, false) | (false, true) => Belongs::No,
    })
}
