//! A log as something else: its own lines, or a transcript that people read.
//!
//! | module | holds |
//! |---|---|
//! | `entry` | an event as a reader of a transcript meets it |
//! | `text` | names, times and sizes for people |
//! | `markdown` | a transcript in Markdown |
//! | `html` | a transcript as one self-contained page |

mod entry;
mod heading;
mod html;
mod markdown;
mod text;

use std::io::{self, Write};

use core_model::{Record, Seq};
use serde_json::Value;
use thiserror::Error;

use entry::Entry;
use text::closing;

pub use heading::Heading;

/// What a log is exported as.
///
/// ```
#[doc = include_str!("example.txt")]
/// use transcript::export::{Format, Heading, export};
///
/// let mut lines = Vec::new();
/// export(log, &Heading::untitled(id), Format::Jsonl, &mut lines)?;
/// assert_eq!(String::from_utf8(lines)?.lines().count(), 3);
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

/// What a log has at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogItem {
    /// An event.
    Event(Record),
    /// A line that is not an event, or not the one that was written.
    Damaged {
        /// The line's place.
        seq: Seq,
        /// What is wrong with it, in words.
        reason: String,
    },
    /// An unfinished last line.
    Torn,
}

/// What an export has, and what it lacks.
///
/// ```
#[doc = include_str!("example.txt")]
/// use transcript::export::{Exported, Format, Heading, export};
///
/// let done = export(log, &Heading::untitled(id), Format::Html, std::io::sink())?;
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

/// Why an export is not complete; `E` is the error of what gives the log.
///
/// ```
#[doc = include_str!("example.txt")]
/// use transcript::export::{ExportError, Format, Heading, export};
///
/// let mut too_small = [0_u8; 10];
/// let failed = export(log, &Heading::untitled(id), Format::Jsonl, &mut too_small[..]);
/// assert!(matches!(failed, Err(ExportError::Write(_))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Error)]
pub enum ExportError<E> {
    /// The rest of the log cannot be read.
    #[error(transparent)]
    Read(E),
    /// Nothing more can be written.
    #[error("cannot write the export: {0}")]
    Write(#[from] io::Error),
}

/// Writes a log to `out`, one item at a time, so that a log of any length takes no more memory than its
/// largest event. Blocks. `out` is best buffered; it is flushed at the end.
///
/// Only events are exported, no settings: so no secrets except those that an agent was told or printed.
///
/// ```
#[doc = include_str!("example.txt")]
/// use transcript::export::{Format, Heading, export};
///
/// let mut transcript = Vec::new();
/// let done = export(log, &Heading::untitled(id), Format::Markdown, &mut transcript)?;
/// assert_eq!(done.events, 3);
/// assert!(String::from_utf8(transcript)?.contains("two"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// When the rest of the log cannot be read, or nothing more can be written. Damaged lines are not an
/// error: they are counted, and a caller that wants each one looks at `log` on the way
/// (`Iterator::inspect`).
pub fn export<E>(
    log: impl IntoIterator<Item = Result<LogItem, E>>,
    heading: &Heading,
    format: Format,
    mut out: impl Write,
) -> Result<Exported, ExportError<E>> {
    let out = &mut out;
    let mut done = Exported::default();
    begin(format, heading, out)?;
    for item in log {
        match item.map_err(ExportError::Read)? {
            LogItem::Event(record) => {
                done.events += 1;
                event(format, &record, out)?;
            }
            LogItem::Damaged { seq, reason } => {
                done.damaged += 1;
                let text = format!("Event {seq} is damaged and left out: {reason}");
                gap(format, &text, out)?;
            }
            LogItem::Torn => {
                done.torn = true;
                let text = "The log ends in an unfinished event, which is left out";
                gap(format, text, out)?;
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

fn event(format: Format, record: &Record, out: &mut dyn Write) -> io::Result<()> {
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
fn gap(format: Format, text: &str, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Jsonl => Ok(()),
        Format::Markdown => markdown::gap(text, out),
        Format::Html => html::gap(text, out),
    }
}

fn end(format: Format, done: Exported, out: &mut dyn Write) -> io::Result<()> {
    let closing = closing(done.events, done.damaged);
    match format {
        Format::Jsonl => Ok(()),
        Format::Markdown => markdown::end(&closing, out),
        Format::Html => html::end(&closing, out),
    }
}
