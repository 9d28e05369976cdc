//! Prints a conversation's log: one line an event with its seq, time, source, kind and gist.
//!
//! ```text
//! cargo run -p store-fs --example print_log -- workspace/conversations/ID
//! ```

use std::{
    env,
    error::Error,
    io::{self, ErrorKind, Write},
    process::ExitCode,
};

use core_model::{Content, EventBody, Record};
use store_fs::LogReader;

const GIST: usize = 100;

fn main() -> ExitCode {
    let Some(path) = env::args_os().nth(1) else {
        eprintln!("usage: print_log FOLDER_OR_EVENTS_JSONL");
        return ExitCode::from(2);
    };
    match print(LogReader::open(path)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints all events and reports damage on the way; tells whether there was none.
fn print(log: Result<LogReader, store_fs::ReadError>) -> Result<bool, Box<dyn Error>> {
    let mut out = io::stdout().lock();
    let mut sound = true;
    for record in log? {
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
