//! Looks through a stored conversation, line by line, beside whatever else reads or writes it.

use std::{
    io,
    path::{Path, PathBuf},
};

use core_model::{ConversationId, LineHead, StoreError};
use serde::Serialize;

use crate::{
    disk::{Disk, DiskFile, Open, RealDisk, Wait, read_exact},
    entry::Entry,
    error::{damaged, io_at},
    index::Index,
    layout,
    meta::read_metadata,
    scan::{self, Start},
};

/// What [`verify`] found of one conversation.
///
/// ```
#[doc = include_str!("example.txt")]
/// let report = store_fs::verify(&folder, |_bytes| {})?;
/// assert!(report.is_fine());
/// println!("{} has {} lines, {} bytes", report.id, report.lines, report.bytes);
/// # assert_eq!(report.lines, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The conversation, by its folder's name.
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
    /// How the index fits.
    pub index: IndexState,
    /// Why the metadata cannot be read.
    pub metadata: Option<String>,
}

/// A line that stands in the place of an event.
///
/// ```
#[doc = include_str!("example.txt")]
/// let log = folder.join("events.jsonl");
/// let text = std::fs::read_to_string(&log)?;
/// std::fs::write(&log, text.replace("two", "TWO"))?;
///
/// let report = store_fs::verify(&folder, |_bytes| {})?;
/// let damage = &report.damaged[0];
/// assert_eq!((damage.seq, damage.readable), (1, true));
/// assert_eq!(damage.reason, "its checksum does not match");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// Its place in the log.
    pub seq: u64,
    /// Where the line begins, in bytes.
    pub offset: u64,
    /// What is wrong with it, in words.
    pub reason: String,
    /// Whether the line is an event all the same, but not the one that was written: it can be read, and
    /// is not served.
    pub readable: bool,
}

/// Bytes after the last line break.
///
/// ```
#[doc = include_str!("example.txt")]
/// use std::{fs::OpenOptions, io::Write};
/// use store_fs::{TornBytes, verify};
///
/// let end = verify(&folder, |_bytes| {})?.bytes;
/// let mut log = OpenOptions::new().append(true).open(folder.join("events.jsonl"))?;
/// log.write_all(b"{\"id\":")?;
/// let torn = verify(&folder, |_bytes| {})?.torn;
/// assert_eq!(torn, Some(TornBytes { offset: end, bytes: 6 }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TornBytes {
    /// Where they start.
    pub offset: u64,
    /// How many there are.
    pub bytes: u64,
}

/// How `events.idx` fits its log. All but a wrong one is completed when the log is opened; a wrong one when
/// it is read.
///
/// ```
#[doc = include_str!("example.txt")]
/// use store_fs::{IndexState, verify};
///
/// assert_eq!(verify(&folder, |_bytes| {})?.index, IndexState::Right);
/// std::fs::remove_file(folder.join("events.idx"))?;
/// assert_eq!(verify(&folder, |_bytes| {})?.index, IndexState::Missing);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IndexState {
    /// It has an entry for each line, and each fits.
    Right,
    /// There is none.
    Missing,
    /// The log has more lines.
    Short {
        /// How many lines it has entries for.
        entries: u64,
    },
    /// It has entries for lines that the log does not have.
    Long {
        /// How many lines it has entries for.
        entries: u64,
    },
    /// It does not say what the log says.
    Wrong {
        /// The first line that it has wrong.
        seq: u64,
    },
}

impl Report {
    /// Whether every line is the event that was written, and all can be read.
    ///
    /// ```
    #[doc = include_str!("example.txt")]
    /// std::fs::remove_file(folder.join("metadata.json"))?;
    /// assert!(!store_fs::verify(&folder, |_bytes| {})?.is_fine());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
/// ```
#[doc = include_str!("example.txt")]
/// let report = store_fs::verify(&folder, |bytes| eprintln!("{bytes} bytes done"))?;
/// for damage in &report.damaged {
///     println!("line {}: {}", damage.seq, damage.reason);
/// }
/// # assert!(report.is_fine());
/// # Ok::<(), Box<dyn std::error::Error>>(())
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
    let old = index.as_ref().map(|(index, _)| index);
    let entries = index.as_ref().map_or(0, |(_, entries)| *entries);
    let (mut lines, mut wrong, mut damaged) = (0, None, Vec::new());
    let scanned = scan::scan(file.as_ref(), Start::ZERO, size, old, |found| {
        for line in found {
            let told = || {
                let entry = index.as_ref()?.0.entry(lines, Wait::Yes).ok()?;
                Some(entry == line.entry)
            };
            if !line.known && lines < entries && told() != Some(true) {
                wrong.get_or_insert(lines);
            }
            if let Some(reason) = &line.damage {
                damaged.push(Damage {
                    seq: lines,
                    offset: line.entry.offset,
                    reason: reason.clone(),
                    readable: is_event(file.as_ref(), &line.entry)?,
                });
            }
            lines += 1;
        }
        progress(found.last().map_or(0, |line| line.entry.end()));
        Ok(())
    })
    .map_err(at_log)?;
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

fn is_event(log: &dyn DiskFile, entry: &Entry) -> io::Result<bool> {
    let mut line = vec![0; entry.len as usize];
    read_exact(log, &mut line, entry.offset, Wait::Yes)?;
    Ok(LineHead::parse(&line).is_ok())
}
