//! Prints a conversation's last events: one line an event with its seq, time, source, kind and gist.
//! With `-f` it goes on with what comes, also while a server writes.
//!
//! ```text
//! cargo run -p store-fs --example tail -- [-n COUNT] [-f] workspace/conversations/ID
//! ```

use std::{
    env,
    error::Error,
    ffi::OsString,
    io::{self, ErrorKind, Write},
    process::ExitCode,
};

use core_model::{Content, EventBody, Record, Seq};
use store_fs::{FileReader, ReadError};

const GIST: usize = 100;

fn main() -> ExitCode {
    let Some(wanted) = Wanted::from(env::args_os().skip(1)) else {
        eprintln!("usage: tail [-n COUNT] [-f] FOLDER_OR_EVENTS_JSONL");
        return ExitCode::from(2);
    };
    match tail(wanted) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

struct Wanted {
    path: OsString,
    count: u64,
    follow: bool,
}

impl Wanted {
    fn from(mut arguments: impl Iterator<Item = OsString>) -> Option<Self> {
        let (mut path, mut count, mut follow) = (None, 10, false);
        while let Some(argument) = arguments.next() {
            match argument.to_str() {
                Some("-f") => follow = true,
                Some("-n") => count = arguments.next()?.to_str()?.parse().ok()?,
                Some(_) | None => path = Some(argument),
            }
        }
        Some(Self {
            path: path?,
            count,
            follow,
        })
    }
}

/// Prints the events and reports damage on the way; tells whether there was none.
fn tail(wanted: Wanted) -> Result<bool, Box<dyn Error>> {
    let mut log = FileReader::open(wanted.path)?;
    let len = log.len()?;
    log.seek(Seq(len.0.saturating_sub(wanted.count)))?;
    if wanted.follow {
        print(log.follow())
    } else {
        print(log)
    }
}

fn print(records: impl Iterator<Item = Result<Record, ReadError>>) -> Result<bool, Box<dyn Error>> {
    let mut out = io::stdout().lock();
    let mut sound = true;
    for record in records {
        let printed = match record {
            Ok(record) => print_record(&mut out, &record),
            Err(damage) => {
                sound = false;
                writeln!(io::stderr(), "{damage}")
            }
        };
        match printed {
            // Whoever read our output has seen enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => break,
            printed => printed?,
        }
    }
    Ok(sound)
}

fn print_record(out: &mut impl Write, record: &Record) -> io::Result<()> {
    let head = &record.head;
    let gist = match record.event() {
        Ok(event) => gist(&event.body),
        Err(error) => format!("({error})"),
    };
    let line = format!(
        "{:>6}  {}  {:<11}  {}  {}",
        record.seq.0,
        head.timestamp,
        head.source.as_str(),
        head.kind,
        one_line(&gist)
    );
    writeln!(out, "{}", line.trim_end())
}

/// What an event says, in short.
fn gist(body: &EventBody) -> String {
    match body {
        EventBody::SystemPromptEvent(prompt) => format!("{} tools", prompt.tools.len()),
        EventBody::MessageEvent(message) => message.llm_message.text(),
        EventBody::ActionEvent(action) => {
            let summary = action
                .summary
                .as_ref()
                .unwrap_or(&action.tool_call.arguments);
            format!("{}: {summary}", action.tool_name)
        }
        EventBody::ObservationEvent(result) => {
            let texts = result
                .observation
                .content
                .iter()
                .filter_map(Content::as_text);
            let failed = if result.observation.is_error {
                " failed"
            } else {
                ""
            };
            let text: Vec<&str> = texts.collect();
            format!("{}{failed}: {}", result.tool_name, text.join(" "))
        }
        EventBody::UserRejectObservation(no) => {
            format!("{}: {}", no.tool_name, no.rejection_reason)
        }
        EventBody::AgentErrorEvent(error) => format!("{}: {}", error.tool_name, error.error),
        EventBody::ConversationErrorEvent(error) => format!("{}: {}", error.code, error.detail),
        EventBody::ServerErrorEvent(error) => format!("{}: {}", error.code, error.detail),
        EventBody::ConversationStateUpdateEvent(update) => {
            format!("{} = {}", update.key, update.value)
        }
        EventBody::Condensation(condensation) => {
            format!(
                "{} events forgotten",
                condensation.forgotten_event_ids.len()
            )
        }
        EventBody::SecurityAnalysisEvent(analysis) => format!("by {}", analysis.analyzer),
        EventBody::StreamingDeltaEvent(delta) => delta.content.clone().unwrap_or_default(),
        EventBody::PauseEvent(_)
        | EventBody::InterruptEvent(_)
        | EventBody::CondensationRequest(_)
        | EventBody::Unknown(_) => String::new(),
    }
}

fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    if line.chars().count() <= GIST {
        return line;
    }
    line.chars().take(GIST).chain(['…']).collect()
}
