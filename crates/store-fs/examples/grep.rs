//! Searches the events of one conversation, or of all in a folder, for a text, also while a server
//! writes. Ends like `grep`: 0 when something was found, 1 when nothing, 2 when something went wrong.
//!
//! ```text
//! cargo run -p store-fs --example grep -- [-k KIND]… TEXT workspace/conversations[/ID]
//! ```

use std::{
    env,
    error::Error,
    io::{self, BufWriter, ErrorKind, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use core_model::Record;
use memchr::memmem;
use store_fs::{FileReader, ReadError, conversations};

/// How much is shown on either side of a find, in bytes.
const AROUND: usize = 40;

fn main() -> ExitCode {
    let Some(wanted) = Wanted::from(env::args().skip(1)) else {
        eprintln!("usage: grep [-k KIND]... TEXT CONVERSATION_OR_FOLDER_OF_THEM");
        return ExitCode::from(2);
    };
    match search(&wanted) {
        Ok(Found {
            went_wrong: true, ..
        }) => ExitCode::from(2),
        Ok(Found { events: 0, .. }) => ExitCode::FAILURE,
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

struct Wanted {
    /// Any if there is none.
    kinds: Vec<String>,
    text: String,
    path: PathBuf,
}

impl Wanted {
    fn from(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let (mut kinds, mut others) = (Vec::new(), Vec::new());
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "-k" => kinds.push(arguments.next()?),
                _ => others.push(argument),
            }
        }
        let [text, path] = others.try_into().ok()?;
        Some(Self {
            kinds,
            text,
            path: path.into(),
        })
    }

    /// Where the text stands in an event, as it is or as JSON writes it.
    fn find(&self, record: &Record) -> Option<usize> {
        let kind = &record.head.kind;
        if !self.kinds.is_empty() && !self.kinds.iter().any(|wanted| kind == wanted) {
            return None;
        }
        let escaped = serde_json::Value::from(self.text.as_str()).to_string();
        let needles = [self.text.as_str(), &escaped[1..escaped.len() - 1]];
        needles
            .iter()
            .find_map(|needle| memmem::find(&record.bytes, needle.as_bytes()))
    }
}

#[derive(Default)]
struct Found {
    events: u64,
    went_wrong: bool,
}

fn search(wanted: &Wanted) -> Result<Found, Box<dyn Error>> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut found = Found::default();
    let searched = logs(&wanted.path)?.iter().try_for_each(|log| {
        let searched = search_log(wanted, log, &mut out, &mut found);
        searched.and_then(|()| out.flush())
    });
    match searched {
        // Whoever read our output has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(found),
        searched => Ok(searched.map(|()| found)?),
    }
}

/// The one log at a path, or those of the conversations in it.
fn logs(path: &Path) -> Result<Vec<PathBuf>, ReadError> {
    if path.is_file() || path.join("events.jsonl").exists() {
        return Ok(vec![path.to_owned()]);
    }
    let found = conversations(path)?.into_iter();
    Ok(found.map(|conversation| conversation.folder).collect())
}

fn search_log(
    wanted: &Wanted,
    log: &Path,
    out: &mut impl Write,
    found: &mut Found,
) -> io::Result<()> {
    let records = match FileReader::open(log) {
        Ok(records) => records,
        Err(error) => {
            found.went_wrong = true;
            return writeln!(io::stderr(), "{error}");
        }
    };
    for record in records {
        match record {
            Ok(record) => {
                if let Some(at) = wanted.find(&record) {
                    found.events += 1;
                    print(log, &record, at, wanted.text.len(), out)?;
                }
            }
            // A server may be writing it right now.
            Err(ReadError::Torn { .. }) => {}
            Err(error) => {
                found.went_wrong = true;
                writeln!(io::stderr(), "{error}")?;
            }
        }
    }
    Ok(())
}

fn print(
    log: &Path,
    record: &Record,
    at: usize,
    len: usize,
    out: &mut impl Write,
) -> io::Result<()> {
    let name = log.file_name().unwrap_or(log.as_os_str()).to_string_lossy();
    let from = at.saturating_sub(AROUND);
    let until = record.bytes.len().min(at + len + AROUND);
    let excerpt = String::from_utf8_lossy(&record.bytes[from..until]);
    writeln!(
        out,
        "{name}:{}: {}: {excerpt}",
        record.seq, record.head.kind
    )
}
