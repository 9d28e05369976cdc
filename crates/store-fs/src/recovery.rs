//! Opening a log: its index is checked against its length, the rest is read, a torn tail is moved
//! aside.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::Utc;
use core_model::{ConversationId, Seq, StoreError, TornTail, UtcTime};

use crate::{
    disk::{Disk, DiskFile, Open, Wait, read_exact, write_all},
    error::io_at,
    health::Notices,
    index::Index,
    layout,
    log::Extent,
    scan::{self, Scanned},
};

/// An opened log.
pub(crate) struct Opened {
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) index: Index,
    pub(crate) extent: Extent,
    pub(crate) torn: Option<TornTail>,
}

/// Opens the log in a conversation's folder for reading and appending.
///
/// An index that ends where the log ends is taken as it is; one that ends before is added to; any
/// other is made anew. A last line without a line break was never acknowledged, complete or not: its
/// bytes are moved to a file of their own and the log is cut back to its last line break. Any other
/// line that is no event stays where it is, keeps its seq, and is never served.
pub(crate) fn open(
    disk: &dyn Disk,
    id: ConversationId,
    folder: &Path,
    notices: &Notices,
) -> Result<Opened, StoreError> {
    let path = folder.join(layout::EVENTS);
    let index_path = folder.join(layout::INDEX);
    let file = disk.open(&path, Open::Write).map_err(io_at(&path))?;
    let size = file.len().map_err(io_at(&path))?;
    let known = known(disk, id, &index_path, file.as_ref(), size).map_err(io_at(&index_path))?;
    let (index, extent, scanned) = match known {
        Some((index, extent)) if extent.bytes == size => (index, extent, None),
        known => {
            // A process that was killed may have left lines written and not synced, and what is found
            // here is visible from now on.
            file.sync().map_err(io_at(&path))?;
            // One that cannot be added to is made anew.
            let extended = known.and_then(|(index, extent)| {
                let (extent, scanned) = extend(&index, file.as_ref(), extent, size).ok()?;
                Some((index, extent, scanned))
            });
            let (index, extent, scanned) = match extended {
                Some(extended) => extended,
                None => remake(disk, id, folder, file.as_ref(), size).map_err(io_at(&path))?,
            };
            (index, extent, Some(scanned))
        }
    };
    let mut torn = None;
    if let Some(scanned) = scanned {
        if scanned.torn > 0 {
            let tail = move_aside(disk, folder, file.as_ref(), &scanned).map_err(io_at(&path))?;
            tracing::warn!(
                conversation.id = %id, offset = tail.offset, bytes = tail.bytes, kept_in = tail.file,
                "the log's last line was unfinished and has been moved aside"
            );
            let text = format!(
                "the log's last line was unfinished ({} bytes at byte {}); it is kept in {}",
                tail.bytes, tail.offset, tail.file
            );
            notices.add(id, text);
            torn = Some(tail);
        }
        if let Some((first, reason)) = scanned.first_damaged {
            let damaged = scanned.damaged;
            tracing::warn!(
                conversation.id = %id, damaged, first_seq = first, reason,
                "the log has damaged lines; they are kept and not served"
            );
            let text = format!(
                "{damaged} lines of the log are damaged, the first one line {first}: {reason}"
            );
            notices.add(id, text);
        }
    }
    Ok(Opened {
        file,
        index,
        extent,
        torn,
    })
}

/// Makes the index anew for a log of this extent, in place of the one that is there.
pub(crate) fn rebuild(
    disk: &dyn Disk,
    id: ConversationId,
    folder: &Path,
    log: &dyn DiskFile,
    extent: Extent,
) -> io::Result<Index> {
    let (index, found, _) = remake(disk, id, folder, log, extent.bytes)?;
    if found != extent {
        return Err(io::Error::other(format!(
            "the log has {} lines where {} were written",
            found.len, extent.len
        )));
    }
    Ok(index)
}

/// The index that is there with the part of the log it covers, if it fits.
fn known(
    disk: &dyn Disk,
    id: ConversationId,
    path: &Path,
    log: &dyn DiskFile,
    size: u64,
) -> io::Result<Option<(Index, Extent)>> {
    // Whatever keeps it from being read, a new one may do.
    let Ok(Some((index, mut len))) = Index::open(disk, path, id, Open::Write) else {
        return Ok(None);
    };
    let end_of = |len: u64| match len.checked_sub(1) {
        Some(last) => index.entry(last, Wait::Yes).map(|entry| entry.end()),
        None => Ok(0),
    };
    let Ok(mut end) = end_of(len) else {
        return Ok(None);
    };
    if end > size {
        // The log lost what was never synced; its index did not.
        let (mut low, mut high) = (0, len);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            match end_of(middle) {
                Ok(end) if end <= size => low = middle,
                Ok(_) => high = middle - 1,
                Err(_) => return Ok(None),
            }
        }
        len = low;
        let Ok(shorter) = end_of(len) else {
            return Ok(None);
        };
        end = shorter;
        if index.cut(len).is_err() {
            return Ok(None);
        }
    }
    let bytes = end;
    if bytes < size && bytes > 0 {
        let mut before = [0];
        read_exact(log, &mut before, bytes - 1, Wait::Yes)?;
        if before != [b'\n'] {
            return Ok(None);
        }
    }
    let len = Seq(len);
    Ok(Some((index, Extent { len, bytes })))
}

/// Adds the log's tail to its index.
fn extend(
    index: &Index,
    log: &dyn DiskFile,
    extent: Extent,
    size: u64,
) -> io::Result<(Extent, Scanned)> {
    let micros = match extent.len.0.checked_sub(1) {
        Some(last) => match index.entry(last, Wait::Yes) {
            Ok(entry) => entry.micros,
            Err(_) => i64::MIN,
        },
        None => i64::MIN,
    };
    let mut seq = extent.len.0;
    let scanned = scan::scan(log, extent.bytes, extent.len.0, size, micros, |entries| {
        index.write(seq, entries)?;
        seq += entries.len() as u64;
        Ok(())
    })?;
    let extent = Extent {
        len: Seq(seq),
        bytes: scanned.end,
    };
    Ok((extent, scanned))
}

/// Makes the index anew; in memory alone if the disk does not take it, so that a log on a full disk can
/// still be read.
fn remake(
    disk: &dyn Disk,
    id: ConversationId,
    folder: &Path,
    log: &dyn DiskFile,
    size: u64,
) -> io::Result<(Index, Extent, Scanned)> {
    remake_on_disk(disk, id, folder, log, size).or_else(|error| {
        tracing::warn!(conversation.id = %id, %error, "the index cannot be stored; it is kept in memory");
        disk.remove_file(&folder.join(layout::INDEX_MAKING)).ok();
        let index = Index::in_memory(id);
        let (extent, scanned) = extend(&index, log, Extent::default(), size)?;
        Ok((index, extent, scanned))
    })
}

/// Makes the index in a file of its own and puts it in place, so that a reader beside this process
/// sees the old one or the new one.
fn remake_on_disk(
    disk: &dyn Disk,
    id: ConversationId,
    folder: &Path,
    log: &dyn DiskFile,
    size: u64,
) -> io::Result<(Index, Extent, Scanned)> {
    let temporary = folder.join(layout::INDEX_MAKING);
    let index = Index::create(disk, &temporary, id)?;
    let (extent, scanned) = extend(&index, log, Extent::default(), size)?;
    disk.rename(&temporary, &folder.join(layout::INDEX))?;
    Ok((index, extent, scanned))
}

/// Keeps the torn bytes in a file of their own, durably, before the log loses them.
fn move_aside(
    disk: &dyn Disk,
    folder: &Path,
    log: &dyn DiskFile,
    scanned: &Scanned,
) -> io::Result<TornTail> {
    let mut torn = vec![0; scanned.torn as usize];
    read_exact(log, &mut torn, scanned.end, Wait::Yes)?;
    let (aside, path) = make_aside(disk, folder)?;
    write_all(aside.as_ref(), &torn, 0)?;
    aside.sync()?;
    disk.sync_dir(folder)?;
    log.set_len(scanned.end)?;
    log.sync()?;
    Ok(TornTail {
        file: path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default(),
        offset: scanned.end,
        bytes: scanned.torn,
        found_at: UtcTime::now(),
    })
}

fn make_aside(disk: &dyn Disk, folder: &Path) -> io::Result<(Arc<dyn DiskFile>, PathBuf)> {
    let mut attempt = 0;
    loop {
        let path = layout::torn(folder, Utc::now(), attempt);
        match disk.open(&path, Open::MakeNew) {
            Ok(file) => return Ok((file, path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => attempt += 1,
            Err(error) => return Err(error),
        }
    }
}
