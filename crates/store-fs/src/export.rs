//! A log as something else: its own lines, or a transcript that people read.
//!
//! | module | holds |
//! |---|---|
//! | `entry` | an event as a reader of a transcript meets it |
//! | `text` | names, times and sizes for people |
//! | `markdown` | a transcript in Markdown |
//! | `html` | a transcript as one self-contained page |

mod entry;
mod html;
mod markdown;
mod text;

use std::{
    io::{self, Write},
    path::Path,
};

use core_model::{ConversationId, Metadata, Record, StoreError, UtcTime};
use serde_json::Value;
use thiserror::Error;

use crate::{ReadError, meta::read_metadata};
use entry::Entry;

/// What a log is exported as.
///
/// ```
#[doc = include_str!("example.txt")]
/// use store_fs::{FileReader, export::{Format, Heading, export}};
///
/// let heading = Heading::read(&folder, id)?;
/// let mut lines = Vec::new();
/// export(FileReader::open(&folder)?, &heading, Format::Jsonl, &mut lines)?;
/// assert_eq!(lines, std::fs::read(folder.join("events.jsonl"))?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The log's own lines, byte for byte.
    Jsonl,
    /// A transcript in Markdown.
    Markdown,
    /// A transcript as one HTML file that loads nothing and runs nothing.
    Html,
}

/// What a transcript says above its first event.
///
/// ```
#[doc = include_str!("example.txt")]
/// use store_fs::export::Heading;
///
/// let metadata = store_fs::conversations(&root)?[0].metadata()?;
/// let heading = Heading { title: Some("Greetings".to_owned()), ..Heading::from(&metadata) };
/// assert_eq!(heading.name(), "Greetings");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heading {
    /// The conversation.
    pub id: ConversationId,
    /// Its title, if it was given one.
    pub title: Option<String>,
    /// When it was made.
    pub created_at: Option<UtcTime>,
}

impl Heading {
    /// The heading of a conversation of which nothing else is known.
    ///
    /// ```
    /// let id = core_model::ConversationId::random();
    /// let heading = store_fs::export::Heading::untitled(id);
    /// assert_eq!(heading.name(), format!("Conversation {id}"));
    /// ```
    #[must_use]
    pub fn untitled(id: ConversationId) -> Self {
        Self {
            id,
            title: None,
            created_at: None,
        }
    }

    /// Reads it from a conversation's folder, without a lock.
    ///
    /// # Errors
    /// When the metadata cannot be read.
    ///
    /// ```
    #[doc = include_str!("example.txt")]
    /// let heading = store_fs::export::Heading::read(&folder, id)?;
    /// assert!(heading.created_at.is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read(folder: &Path, id: ConversationId) -> Result<Self, StoreError> {
        read_metadata(&crate::disk::RealDisk, folder, id).map(|metadata| Self::from(&metadata))
    }

    /// What to call the conversation.
    ///
    /// ```
    #[doc = include_str!("example.txt")]
    /// let heading = store_fs::export::Heading::read(&folder, id)?;
    /// assert_eq!(heading.name(), format!("Conversation {id}"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn name(&self) -> String {
        match self.title.as_deref().map(str::trim) {
            Some(title) if !title.is_empty() => title.to_owned(),
            Some(_) | None => format!("Conversation {}", self.id),
        }
    }
}

impl From<&Metadata> for Heading {
    fn from(metadata: &Metadata) -> Self {
        Self {
            id: metadata.id,
            title: metadata.title.clone(),
            created_at: Some(metadata.created_at),
        }
    }
}

/// What an export passed on, and what it could not.
///
/// ```
#[doc = include_str!("example.txt")]
/// use store_fs::{FileReader, export::{Exported, Format, Heading, export}};
///
/// let (log, heading) = (FileReader::open(&folder)?, Heading::untitled(id));
/// let done = export(log, &heading, Format::Html, std::io::sink())?;
/// assert_eq!(done, Exported { events: 3, damaged: 0, torn: false });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// How many events it has.
    pub events: u64,
    /// Lines that are no event. A transcript says where they stand; [`Format::Jsonl`] leaves them
    /// out.
    pub damaged: u64,
    /// Whether the log ends in an unfinished line: a crash cut it, or a server is writing it.
    pub torn: bool,
}

/// Why an export is not complete.
///
/// ```
#[doc = include_str!("example.txt")]
/// use store_fs::{FileReader, export::{ExportError, Format, Heading, export}};
///
/// let (log, heading) = (FileReader::open(&folder)?, Heading::untitled(id));
/// let mut too_small = [0_u8; 10];
/// let failed = export(log, &heading, Format::Jsonl, &mut too_small[..]);
/// assert!(matches!(failed, Err(ExportError::Write(_))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Error)]
pub enum ExportError {
    /// The log cannot be read on.
    #[error(transparent)]
    Read(ReadError),
    /// Nothing more can be written.
    #[error("cannot write the export: {0}")]
    Write(#[from] io::Error),
}

/// Writes `records`, as [`crate::FileReader`] gives them, to `out`: one at a time, so that a log of
/// any length takes no more memory than its largest event. Blocks. `out` is best buffered; it is
/// flushed at the end.
///
/// Only events are exported, no settings: so no secrets but those that an agent was told or printed.
///
/// ```
#[doc = include_str!("example.txt")]
/// use store_fs::{FileReader, export::{Format, Heading, export}};
///
/// let heading = Heading::untitled(id);
/// let mut transcript = Vec::new();
/// let done = export(FileReader::open(&folder)?, &heading, Format::Markdown, &mut transcript)?;
/// assert_eq!(done.events, 3);
/// assert!(String::from_utf8(transcript)?.contains("two"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// When the log cannot be read on, or nothing more written. Damaged lines are no error: they are
/// counted, and whoever wants each one looks at `records` on the way (`Iterator::inspect`).
pub fn export(
    records: impl IntoIterator<Item = Result<Record, ReadError>>,
    heading: &Heading,
    format: Format,
    mut out: impl Write,
) -> Result<Exported, ExportError> {
    let out = &mut out;
    let mut done = Exported::default();
    begin(format, heading, out)?;
    for record in records {
        match record {
            Ok(record) => {
                done.events += 1;
                pass_on(format, &record, out)?;
            }
            Err(problem @ (ReadError::Io { .. } | ReadError::Cut { .. })) => {
                return Err(ExportError::Read(problem));
            }
            Err(problem @ ReadError::Damaged { .. }) => {
                done.damaged += 1;
                gap(format, &problem, out)?;
            }
            Err(problem @ ReadError::Torn { .. }) => {
                done.torn = true;
                gap(format, &problem, out)?;
            }
        }
    }
    end(format, done, out)?;
    out.flush()?;
    Ok(done)
}

fn begin(format: Format, heading: &Heading, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Jsonl => Ok(()),
        Format::Markdown => markdown::begin(heading, out),
        Format::Html => html::begin(heading, out),
    }
}

fn pass_on(format: Format, record: &Record, out: &mut dyn Write) -> io::Result<()> {
    if format == Format::Jsonl {
        out.write_all(&record.bytes)?;
        return out.write_all(b"\n");
    }
    // Readers check a line's head only; what follows may still be more than a parser takes.
    let entry = match serde_json::from_slice::<Value>(&record.bytes) {
        Ok(event) => Entry::of(record, &event),
        Err(error) => Some(Entry::unreadable(record, &error.to_string())),
    };
    match (entry, format) {
        (None, _) | (Some(_), Format::Jsonl) => Ok(()),
        (Some(entry), Format::Markdown) => markdown::entry(&entry, out),
        (Some(entry), Format::Html) => html::entry(&entry, out),
    }
}

/// A transcript shows where something is missing.
fn gap(format: Format, problem: &ReadError, out: &mut dyn Write) -> io::Result<()> {
    let text = match problem {
        ReadError::Damaged { seq, reason, .. } => {
            format!("Event {seq} is damaged and left out: {reason}")
        }
        ReadError::Torn { .. } => "The log ends in an unfinished event, which is left out".into(),
        ReadError::Io { .. } | ReadError::Cut { .. } => problem.to_string(),
    };
    match format {
        Format::Jsonl => Ok(()),
        Format::Markdown => markdown::gap(&text, out),
        Format::Html => html::gap(&text, out),
    }
}

fn end(format: Format, done: Exported, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Jsonl => Ok(()),
        Format::Markdown => markdown::end(done, out),
        Format::Html => html::end(done, out),
    }
}
