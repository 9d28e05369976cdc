use std::{
    fs::{self, File},
    io::{self, BufWriter, ErrorKind, IsTerminal, Write},
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use core_model::{ConversationId, Record};
use store_fs::{FileReader, ReadError, StoredConversation};
use transcript::export::{ExportError, Exported, Format, Heading, LogItem, export};

use super::{MaintenanceError, folder, progress::Progress};
use crate::{console, flags::Flags};

const BUFFER: usize = 256 * 1024;

#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The conversation's id, with dashes or without, or its first 6 or more digits
    #[arg(value_name = "ID")]
    pub id: String,
    /// What to write
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "markdown")]
    pub format: ExportFormat,
    /// Write to this file instead of standard output; it appears when it is complete
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// JSON configuration file that names the conversations folder, as for `serve`
    #[arg(long, value_name = "PATH")]
    pub config: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// The events as they are stored, one JSON object a line
    Jsonl,
    /// A transcript in Markdown
    #[value(alias = "md")]
    Markdown,
    /// A transcript as one web page that needs no other file
    Html,
}

impl From<ExportFormat> for Format {
    fn from(format: ExportFormat) -> Self {
        match format {
            ExportFormat::Jsonl => Self::Jsonl,
            ExportFormat::Markdown => Self::Markdown,
            ExportFormat::Html => Self::Html,
        }
    }
}

/// The command `export`. Whether all events were written.
///
/// # Errors
/// When it did not do its work.
pub fn run(args: &ExportArgs, before: &Flags) -> Result<bool, MaintenanceError> {
    let settings = folder::settings(args.config.as_deref(), before)?;
    let root = &settings.conversations_path;
    let id = folder::conversation(root, &args.id)?;
    let folder = root.join(id.to_string());
    let heading = heading(id, folder.clone());
    let done = match &args.output {
        Some(path) => {
            let done = to_file(path, |out| {
                write(&folder, &heading, args.format, out, false)
            })?;
            console::error_line(format_args!(
                "{} events written to {}",
                done.events,
                path.display()
            ));
            done
        }
        None => {
            let stdout = io::stdout();
            let shown = stdout.is_terminal();
            match write(&folder, &heading, args.format, &mut stdout.lock(), shown) {
                // The reader has read enough.
                Err(MaintenanceError::Export(ExportError::Write(error)))
                    if error.kind() == ErrorKind::BrokenPipe =>
                {
                    return Ok(true);
                }
                done => done?,
            }
        }
    };
    Ok(done.damaged == 0)
}

fn heading(id: ConversationId, folder: PathBuf) -> Heading {
    match (StoredConversation { id, folder }).metadata() {
        Ok(metadata) => Heading::from(&metadata),
        Err(error) => {
            console::error_line(format_args!(
                "warning: {error}; the transcript has no title"
            ));
            Heading::untitled(id)
        }
    }
}

fn write(
    folder: &Path,
    heading: &Heading,
    format: ExportFormat,
    out: &mut dyn Write,
    on_terminal: bool,
) -> Result<Exported, MaintenanceError> {
    let reader = FileReader::open(folder)?;
    let progress = if on_terminal {
        Progress::none()
    } else {
        Progress::bytes("exporting", events_size(folder))
    };
    let mut read = 0;
    let records = reader.inspect(|record| match record {
        Ok(record) => {
            read += record.bytes.len() as u64 + 1;
            progress.at(read);
        }
        Err(problem) => progress.suspend(|| {
            console::error_line(format_args!("warning: {}", described(problem)));
        }),
    });
    let out = BufWriter::with_capacity(BUFFER, out);
    Ok(export(records.map(item), heading, format.into(), out)?)
}

/// Only what ends the export is an error to it.
fn item(read: Result<Record, ReadError>) -> Result<LogItem, ReadError> {
    match read {
        Ok(record) => Ok(LogItem::Event(record)),
        Err(ReadError::Damaged { seq, reason, .. }) => Ok(LogItem::Damaged { seq, reason }),
        Err(ReadError::Torn { .. }) => Ok(LogItem::Torn),
        Err(error @ (ReadError::Io { .. } | ReadError::Cut { .. })) => Err(error),
    }
}

fn described(problem: &ReadError) -> String {
    match problem {
        ReadError::Damaged { .. } => format!("{problem}; it is left out"),
        ReadError::Torn { .. } => {
            format!("{problem} and left out: a server is writing it right now, or a crash cut it")
        }
        ReadError::Io { .. } | ReadError::Cut { .. } => problem.to_string(),
    }
}

/// Only for the bar.
fn events_size(folder: &Path) -> u64 {
    fs::metadata(folder.join("events.jsonl")).map_or(0, |file| file.len())
}

/// Lets `write` fill a file that takes the place of `path` when it is complete.
fn to_file<T>(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<T, MaintenanceError>,
) -> Result<T, MaintenanceError> {
    let at_path = |source| MaintenanceError::File {
        path: path.to_owned(),
        source,
    };
    // A device or a pipe cannot be replaced; a link's target can.
    let target = match fs::canonicalize(path) {
        Ok(target) if target.is_file() => target,
        Ok(target) => {
            let mut file = File::options().write(true).open(target).map_err(at_path)?;
            return write(&mut file);
        }
        Err(_) => path.to_owned(),
    };
    let unfinished = unfinished(&target);
    let outcome = (|| {
        let mut file = File::create(&unfinished).map_err(at_path)?;
        let done = write(&mut file)?;
        file.sync_all().map_err(at_path)?;
        fs::rename(&unfinished, &target).map_err(at_path)?;
        Ok(done)
    })();
    if outcome.is_err() {
        fs::remove_file(&unfinished).ok();
    }
    outcome
}

fn unfinished(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.part", std::process::id()));
    path.with_file_name(name)
}
