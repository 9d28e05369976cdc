//! Looks through a stored conversation, line by line, beside whatever else reads or writes it.

use std::{
    io,
    path::{Path, PathBuf},
};

use core_model::{ConversationId, StoreError};
use serde::Serialize;

use crate::{
    disk::{Disk, DiskFile, Open, RealDisk, Wait, read_exact},
    entry::Entry,
    error::{damaged, io_at},
    head::LineHead,
    index::Index,
    layout,
    meta::read_metadata,
    scan,
};

/// What [`verify`] found of one conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    pub id: ConversationId,
    /// Whole lines of the log, damaged ones included: each has its seq.
    pub lines: u64,
    /// Bytes of these lines.
    pub bytes: u64,
    /// The lines that are not served as events, in order.
    pub damaged: Vec<Damage>,
    /// An unfinished last line. It was never acknowledged; beside a server that writes right now it may
    /// be a line on its way.
    pub torn: Option<TornBytes>,
    pub index: IndexState,
    /// Why the metadata cannot be read.
    pub metadata: Option<String>,
}

/// A line that stands in the place of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damage {
    pub seq: u64,
    /// Where the line begins, in bytes.
    pub offset: u64,
    pub reason: String,
    /// Whether the line is an event all the same, but not the one that was written.
    pub readable: bool,
}

/// Bytes after the last line break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TornBytes {
    pub offset: u64,
    pub bytes: u64,
}

/// How `events.idx` fits its log. All but a wrong one is mended when the log is opened; a wrong one when
/// it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IndexState {
    Right,
    Missing,
    /// It has this many entries; the log has more lines.
    Short {
        entries: u64,
    },
    /// It has entries for lines that the log does not have.
    Long {
        entries: u64,
    },
    /// From this line on it does not say what the log says.
    Wrong {
        seq: u64,
    },
}

impl Report {
    /// Whether every line is the event that was written, and all can be read.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.damaged.is_empty()
            && self.torn.is_none()
            && self.metadata.is_none()
            && !matches!(self.index, IndexState::Wrong { .. })
    }
}

/// Compares a conversation's log with its index and reads every line and the metadata. Changes nothing,
/// takes no lock, and needs no memory for the log's length; `progress` is told how many bytes are done.
///
/// # Errors
/// When `folder` is no conversation's, or its log cannot be read at all.
///
/// ```no_run
/// let report = store_fs::verify("workspace/conversations/ID".as_ref(), |_bytes| {})?;
/// for damage in &report.damaged {
///     println!("line {}: {}", damage.seq, damage.reason);
/// }
/// # Ok::<(), core_model::StoreError>(())
/// ```
pub fn verify(folder: &Path, progress: impl FnMut(u64)) -> Result<Report, StoreError> {
    verify_on(&RealDisk, conversation(folder)?, folder, progress)
}

pub(crate) fn verify_on(
    disk: &dyn Disk,
    id: ConversationId,
    folder: &Path,
    mut progress: impl FnMut(u64),
) -> Result<Report, StoreError> {
    let path = folder.join(layout::EVENTS);
    let at_log = |error| io_at(&path)(error);
    let file = disk.open(&path, Open::Read).map_err(at_log)?;
    let size = file.len().map_err(at_log)?;
    let index_path = folder.join(layout::INDEX);
    let index = Index::open(disk, &index_path, id, Open::Read).unwrap_or(None);
    let mut checking = Checking {
        file: file.as_ref(),
        index: index.as_ref().map(|(index, _)| index),
        entries: index.as_ref().map_or(0, |(_, entries)| *entries),
        lines: 0,
        wrong: None,
        damaged: Vec::new(),
    };
    let scanned = scan::scan(file.as_ref(), 0, 0, size, i64::MIN, |entries| {
        checking.take(entries)?;
        progress(entries.last().map_or(0, Entry::end));
        Ok(())
    })
    .map_err(at_log)?;
    let Checking {
        entries,
        lines,
        wrong,
        damaged,
        ..
    } = checking;
    let index = match wrong {
        _ if index.is_none() => match disk.exists(&index_path) {
            true => IndexState::Wrong { seq: 0 },
            false => IndexState::Missing,
        },
        Some(seq) => IndexState::Wrong { seq },
        None if entries < lines => IndexState::Short { entries },
        // A server that writes meanwhile is no reason to worry.
        None if entries > lines && file.len().map_err(at_log)? == size => {
            IndexState::Long { entries }
        }
        None => IndexState::Right,
    };
    let metadata = read_metadata(disk, folder, id);
    Ok(Report {
        id,
        lines,
        bytes: scanned.end,
        damaged,
        torn: (scanned.torn > 0).then_some(TornBytes {
            offset: scanned.end,
            bytes: scanned.torn,
        }),
        index,
        metadata: metadata.err().map(|error| error.to_string()),
    })
}

/// The conversation that a folder is.
pub(crate) fn conversation(folder: &Path) -> Result<ConversationId, StoreError> {
    let whole: PathBuf = folder
        .canonicalize()
        .map_err(|error| io_at(folder)(error))?;
    let name = whole.file_name().and_then(|name| name.to_str());
    name.and_then(layout::conversation)
        .ok_or_else(|| damaged(folder, "its name is no conversation's id"))
}

/// The log against its index, a stretch at a time.
struct Checking<'a> {
    file: &'a dyn DiskFile,
    index: Option<&'a Index>,
    entries: u64,
    lines: u64,
    /// The first line that the index has wrong; from there on it tells nothing.
    wrong: Option<u64>,
    damaged: Vec<Damage>,
}

impl Checking<'_> {
    fn take(&mut self, found: &[Entry]) -> io::Result<()> {
        let known = self.entries.saturating_sub(self.lines);
        let count = known.min(found.len() as u64) as usize;
        let stored = match (self.index, self.wrong) {
            (Some(index), None) if count > 0 => index.read(self.lines, count, Wait::Yes).ok(),
            _ => Some(Vec::new()),
        };
        if stored.is_none() {
            // Somewhere in this stretch: one by one.
            self.wrong = Some(self.first_unreadable(count));
        }
        let stored = stored.unwrap_or_default();
        for (at, entry) in found.iter().enumerate() {
            let seq = self.lines + at as u64;
            let written = stored.get(at).filter(|_| self.wrong.is_none());
            self.compare(seq, entry, written)?;
        }
        self.lines += found.len() as u64;
        Ok(())
    }

    fn compare(&mut self, seq: u64, entry: &Entry, written: Option<&Entry>) -> io::Result<()> {
        let same_place =
            |written: &Entry| (written.offset, written.len) == (entry.offset, entry.len);
        let changed =
            written.is_some_and(|written| same_place(written) && written.crc != entry.crc);
        if changed {
            let reason = "its checksum does not match".to_owned();
            self.damaged.push(Damage {
                seq,
                offset: entry.offset,
                reason,
                readable: !entry.is_damaged(),
            });
            return Ok(());
        }
        if written.is_some_and(|written| written != entry) {
            self.wrong.get_or_insert(seq);
        }
        if entry.is_damaged() {
            let mut line = vec![0; entry.len as usize];
            read_exact(self.file, &mut line, entry.offset, Wait::Yes)?;
            let parsed = LineHead::parse(&line).map(|_| ());
            self.damaged.push(Damage {
                seq,
                offset: entry.offset,
                reason: parsed.err().unwrap_or_else(|| "it is no event".to_owned()),
                readable: false,
            });
        }
        Ok(())
    }

    fn first_unreadable(&self, count: usize) -> u64 {
        let readable = |seq: &u64| {
            self.index
                .is_some_and(|index| index.entry(*seq, Wait::Yes).is_ok())
        };
        let range = self.lines..self.lines + count as u64;
        range
            .clone()
            .find(|seq| !readable(seq))
            .unwrap_or(range.start)
    }
}
