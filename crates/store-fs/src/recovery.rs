//! Opening a log: its index is checked against its length, the rest is read, a torn tail is moved
//! aside.

use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::Utc;
use core_model::{ConversationId, LineHead, Seq, StoreError, TornTail, UtcTime};

use crate::{
    disk::{Disk, DiskFile, Open, Wait, read_exact, write_all},
    entry::Entry,
    error::io_at,
    health::Notices,
    index::Index,
    layout,
    log::Extent,
    scan::{self, Found, Scanned, Start},
};

/// A longer tail that the index does not know is synced, but not written again first.
const WRITTEN_AGAIN: u64 = 16 << 20;
/// How much is copied at a time.
const CHUNK: usize = 1 << 20;

/// An opened log.
pub(crate) struct Opened {
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) index: Index,
    pub(crate) extent: Extent,
    pub(crate) torn: Option<TornTail>,
    /// How far it is on disk for sure.
    pub(crate) durable: u64,
    /// Why nothing can be appended for now.
    pub(crate) refused: Option<Refused>,
}

/// What the disk did not let be done.
pub(crate) struct Refused {
    pub(crate) error: io::Error,
    /// An unfinished last line is still where it was found.
    pub(crate) torn: bool,
}

/// Opens the log in a conversation's folder for reading and, if the disk takes writes, appending.
///
/// An index that ends where the log ends is taken as it is; one that ends before is added to; any
/// other is made anew. What the index does not know may never have been synced, and is before it is
/// shown to anybody. A last line without a line break was never acknowledged, complete or not: its
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
    let (file, mut refused) = match disk.open(&path, Open::Write) {
        Ok(file) => (file, None),
        Err(error) if is_refusal(&error) => {
            let file = disk.open(&path, Open::Read).map_err(io_at(&path))?;
            (file, Some(error))
        }
        Err(error) => return Err(io_at(&path)(error)),
    };
    let size = file.len().map_err(io_at(&path))?;
    let known = known(disk, id, &index_path, file.as_ref(), size).map_err(io_at(&index_path))?;
    let begin = match &known {
        Known::Fits(_, extent) => extent.bytes,
        Known::Partly(_) | Known::Nothing => 0,
    };
    if begin < size && refused.is_none() {
        refused = secure(file.as_ref(), begin, size).err();
    }
    let secured = refused.is_none();
    let at_log = io_at(&path);
    let (index, extent, scanned) = match known {
        Known::Fits(index, extent) if extent.bytes == size => (index, extent, None),
        Known::Fits(index, extent) => {
            let (extent, scanned) = extend(&index, file.as_ref(), extent, size).map_err(at_log)?;
            (index, extent, Some(scanned))
        }
        Known::Partly(old) => {
            remake(disk, id, folder, file.as_ref(), size, Some(&old)).map_err(at_log)?
        }
        Known::Nothing => remake(disk, id, folder, file.as_ref(), size, None).map_err(at_log)?,
    };
    tell_of_damage(id, &index, scanned.as_ref(), notices);
    let torn = scanned.map_or(0, |scanned| scanned.torn);
    let mut opened = Opened {
        file,
        index,
        extent,
        torn: None,
        durable: if secured { extent.bytes } else { begin },
        refused: None,
    };
    if torn > 0 && refused.is_none() {
        let place = extent.bytes..extent.bytes + torn;
        match move_aside(disk, folder, opened.file.as_ref(), place) {
            Ok(tail) => {
                tell_of_torn(id, &tail, notices);
                opened.torn = Some(tail);
            }
            Err(error) => refused = Some(error),
        }
    }
    opened.refused = refused.map(|error| Refused {
        torn: torn > 0,
        error,
    });
    Ok(opened)
}

/// Makes the index anew for a log of at least this extent, keeping of the old one what fits.
pub(crate) fn rebuild(
    disk: &dyn Disk,
    id: ConversationId,
    folder: &Path,
    log: &dyn DiskFile,
    extent: Extent,
    old: &Index,
) -> io::Result<(Index, Extent)> {
    let (index, found, _) = remake(disk, id, folder, log, extent.bytes, Some(old))?;
    Ok((index, found))
}

/// Adds what came to the log since, up to `size`.
pub(crate) fn catch_up(
    index: &Index,
    log: &dyn DiskFile,
    extent: Extent,
    size: u64,
) -> io::Result<Extent> {
    Ok(extend(index, log, extent, size)?.0)
}

/// Whether reading may well work where writing does not.
fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
    )
}

pub(crate) fn tell_of_torn(id: ConversationId, tail: &TornTail, notices: &Notices) {
    tracing::warn!(
        conversation.id = %id, offset = tail.offset, bytes = tail.bytes, kept_in = tail.file,
        "the log's last line was unfinished and has been moved aside"
    );
    let text = format!(
        "the log's last line was unfinished ({} bytes at byte {}); it is kept in {}",
        tail.bytes, tail.offset, tail.file
    );
    notices.add(id, text);
}

fn tell_of_damage(id: ConversationId, index: &Index, scanned: Option<&Scanned>, notices: &Notices) {
    let first = scanned.and_then(|scanned| scanned.first_damaged.as_ref());
    let known = index.damaged(Wait::Yes).unwrap_or_default();
    let damaged = known.max(scanned.map_or(0, |scanned| scanned.damaged));
    if damaged == 0 {
        return;
    }
    let first = first.map_or(String::new(), |(seq, reason)| {
        format!("; the first one found now is line {}: {reason}", seq + 1)
    });
    tracing::warn!(
        conversation.id = %id, damaged, first,
        "the log has damaged lines; they are kept and not served"
    );
    let lines = match damaged {
        1 => "1 line of the log is".to_owned(),
        lines => format!("{lines} lines of the log are"),
    };
    notices.add(id, format!("{lines} damaged{first}"));
}

/// Writes the whole lines of a stretch once more and syncs them: after a crash, or a sync that failed
/// before one, the kernel may hold them for itself, and take them for written.
fn secure(log: &dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    if to - from <= WRITTEN_AGAIN {
        let mut bytes = vec![0; (to - from) as usize];
        read_exact(log, &mut bytes, from, Wait::Yes)?;
        let whole = memchr::memrchr(b'\n', &bytes).map_or(0, |at| at + 1);
        write_all(log, &bytes[..whole], from)?;
    }
    log.sync()
}

/// What the index that is there is good for.
enum Known {
    /// It is right for the log up to here.
    Fits(Index, Extent),
    /// Some of its entries may be.
    Partly(Index),
    Nothing,
}

/// The index that is there with the part of the log it covers, if it fits.
fn known(
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
    // Whatever keeps it from being read, a new one may do.
    let Ok(Some((index, mut len))) = opened else {
        return Ok(Known::Nothing);
    };
    let last_of = |len: u64| match len.checked_sub(1) {
        Some(last) => index.entry(last, Wait::Yes).map(Some),
        None => Ok(None),
    };
    let end_of = |last: &Option<Entry>| last.as_ref().map_or(0, Entry::end);
    let Ok(mut last) = last_of(len) else {
        return Ok(Known::Partly(index));
    };
    if end_of(&last) > size {
        // The log lost what was never synced; its index did not.
        let (mut low, mut high) = (0, len);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            match last_of(middle) {
                Ok(last) if end_of(&last) <= size => low = middle,
                Ok(_) => high = middle - 1,
                Err(_) => return Ok(Known::Partly(index)),
            }
        }
        len = low;
        let Ok(shorter) = last_of(len) else {
            return Ok(Known::Partly(index));
        };
        last = shorter;
        if index.cut(len).is_err() {
            return Ok(Known::Partly(index));
        }
    }
    let bytes = end_of(&last);
    if let Some(last) = last {
        match belongs(log, &last, size)? {
            Belongs::Yes => {}
            Belongs::ButForItsBreak => {
                // Else the next line would join it.
                tracing::warn!(conversation.id = %id, "the last line's break was damaged, and is mended");
                let mended = write_all(log, b"\n", bytes - 1).and_then(|()| log.sync());
                if mended.is_err() {
                    return Ok(Known::Partly(index));
                }
            }
            Belongs::No => return Ok(Known::Nothing),
        }
    }
    let len = Seq(len);
    Ok(Known::Fits(index, Extent { len, bytes }))
}

/// Whether an index's last entry tells of the line that stands at its place.
enum Belongs {
    /// Be it that the line was damaged since.
    Yes,
    ButForItsBreak,
    /// The index is of another time.
    No,
}

fn belongs(log: &dyn DiskFile, entry: &Entry, size: u64) -> io::Result<Belongs> {
    if entry.len as usize > scan::LONGEST {
        // No event, and not worth being read.
        return Ok(Belongs::Yes);
    }
    let mut line = vec![0; entry.len as usize + 1];
    read_exact(log, &mut line, entry.offset, Wait::Yes)?;
    let (end, line) = line.split_last().unwrap_or((&0, &[]));
    let right = crc32c::crc32c(line) == entry.crc;
    // Another event of the same length may stand there.
    let other = || LineHead::parse(line).is_ok_and(|head| !entry.is_of_id(&head.id));
    Ok(match (*end == b'\n', right) {
        (true, true) => Belongs::Yes,
        (false, true) if entry.end() == size && !entry.is_damaged() => Belongs::ButForItsBreak,
        (true, false) if !other() => Belongs::Yes,
        (true | false, false) | (false, true) => Belongs::No,
    })
}

/// Adds the log's tail to its index.
fn extend(
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

/// Makes the index in a file of its own and puts it in place, so that a reader beside this process
/// sees the old one or the new one. On a disk that refuses, it is made in memory.
fn remake(
    disk: &dyn Disk,
    id: ConversationId,
    folder: &Path,
    log: &dyn DiskFile,
    size: u64,
    old: Option<&Index>,
) -> io::Result<(Index, Extent, Option<Scanned>)> {
    let temporary = folder.join(layout::INDEX_MAKING);
    let made = Index::create(disk, &temporary, id);
    let index = made.unwrap_or_else(|error| {
        tracing::warn!(conversation.id = %id, %error, "the index is kept in memory for now");
        Index::in_memory(id)
    });
    let (extent, scanned) = fill(&index, log, Start::ZERO, size, old)?;
    let placed = match index.is_whole_on_disk() {
        true => disk.rename(&temporary, &folder.join(layout::INDEX)),
        false => disk.remove_file(&temporary),
    };
    if let Err(error) = placed {
        tracing::warn!(conversation.id = %id, %error, "the index stays where it was made");
    }
    Ok((index, extent, Some(scanned)))
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
    // What was found may have to be counted, and is from here on known.
    index.damaged(Wait::Yes).ok();
    let extent = Extent {
        len: Seq(seq),
        bytes: scanned.end,
    };
    Ok((extent, scanned))
}

/// Keeps bytes at the log's end in a file of their own, durably, before the log loses them.
pub(crate) fn move_aside(
    disk: &dyn Disk,
    folder: &Path,
    log: &dyn DiskFile,
    torn: Range<u64>,
) -> io::Result<TornTail> {
    let (aside, path) = make_aside(disk, folder)?;
    let kept = copy(log, torn.clone(), aside.as_ref())
        .and_then(|()| aside.sync())
        .and_then(|()| disk.sync_dir(folder));
    if let Err(error) = kept {
        disk.remove_file(&path).ok();
        return Err(error);
    }
    log.set_len(torn.start)?;
    log.sync()?;
    Ok(TornTail {
        file: path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default(),
        offset: torn.start,
        bytes: torn.end - torn.start,
        found_at: UtcTime::now(),
    })
}

fn copy(from: &dyn DiskFile, range: Range<u64>, to: &dyn DiskFile) -> io::Result<()> {
    let mut at = range.start;
    while at < range.end {
        let wanted = (range.end - at).min(CHUNK as u64);
        let mut bytes = vec![0; wanted as usize];
        read_exact(from, &mut bytes, at, Wait::Yes)?;
        write_all(to, &bytes, at - range.start)?;
        at += wanted;
    }
    Ok(())
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
