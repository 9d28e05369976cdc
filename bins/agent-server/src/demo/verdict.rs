use std::{
    collections::HashSet,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use core_model::{Event, EventBody, ExecutionStatus};
use serde_json::Value;
use store_fs::regular_file::{self, Links};

use super::{error::DemoError, screen::Screen, task::Task};
use crate::config::Settings;

/// What came over the socket, as far as the verdict needs it.
pub(super) struct Seen {
    conversation: String,
    ids: HashSet<String>,
    status: Option<ExecutionStatus>,
    error: Option<String>,
    last_exit_code: Option<i64>,
    failed_call: Option<String>,
    /// Events that REST lists and that never came.
    pub(super) missed: usize,
}

impl Seen {
    pub(super) fn new(conversation: String) -> Self {
        Self {
            conversation,
            ids: HashSet::new(),
            status: None,
            error: None,
            last_exit_code: None,
            failed_call: None,
            missed: 0,
        }
    }

    pub(super) fn conversation(&self) -> &str {
        &self.conversation
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    pub(super) fn log(&self, settings: &Settings) -> PathBuf {
        let folder = settings.conversations_path.join(&self.conversation);
        folder.join("events.jsonl")
    }

    /// Records an event; a snapshot of the whole state, which ends a run, returns its status.
    pub(super) fn take(&mut self, event: &Event) -> Option<ExecutionStatus> {
        self.ids.insert(event.id.to_string());
        // The other kinds have no part in the verdict.
        if let EventBody::ObservationEvent(observation) = &event.body {
            let code = observation.observation.fields.get("exit_code");
            self.last_exit_code = code.and_then(Value::as_i64).or(self.last_exit_code);
        } else if let EventBody::AgentErrorEvent(failure) = &event.body {
            self.failed_call = Some(failure.error.clone());
        } else if let EventBody::ConversationErrorEvent(failure) = &event.body {
            self.error = Some(format!("{}: {}", failure.code, failure.detail));
        } else if let EventBody::ConversationStateUpdateEvent(update) = &event.body
            && update.key == "full_state"
        {
            let status = update.value.get("execution_status")?;
            self.status = serde_json::from_value(status.clone()).ok();
            return self.status;
        }
        None
    }

    /// Whether everything worked. A real model's tool calls may fail on the way; those of the fixed task may not.
    pub(super) fn judge(&self, settings: &Settings, task: &Task) -> Result<(), DemoError> {
        if self.status != Some(ExecutionStatus::Finished) {
            return Err(DemoError::NotFinished {
                status: name(self.status),
                reason: self.error.clone(),
            });
        }
        if self.missed > 0 {
            return Err(DemoError::Missed(self.missed));
        }
        self.check_log(&self.log(settings))?;
        let Task::Fixed { makes, .. } = task else {
            return Ok(());
        };
        if let Some(failure) = &self.failed_call {
            return Err(DemoError::ToolFailed(failure.clone()));
        }
        if let Some(code) = self.last_exit_code.filter(|code| *code != 0) {
            return Err(DemoError::CommandFailed(code));
        }
        let missing = makes
            .iter()
            .find(|name| !settings.workspace_path.join(name).is_file());
        missing.map_or(Ok(()), |name| Err(DemoError::NoFile((*name).to_owned())))
    }

    /// Each line of the log came over the socket too.
    fn check_log(&self, path: &Path) -> Result<(), DemoError> {
        let bad = |reason: String| DemoError::BadLog {
            path: path.to_owned(),
            reason,
        };
        let log = fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
        if log.is_empty() {
            return Err(bad("the log is empty".to_owned()));
        }
        for (number, line) in log.lines().enumerate() {
            let event = Event::from_slice(line.as_bytes());
            let event = event.map_err(|error| bad(format!("line {}: {error}", number + 1)))?;
            if !self.has(&event.id.to_string()) {
                return Err(bad(format!(
                    "line {} never came over the socket",
                    number + 1
                )));
            }
        }
        Ok(())
    }
}

/// Prints the files below `folder` with their sizes and first lines; hidden ones are left out.
pub(super) fn show_files(folder: &Path, screen: &mut Screen) -> io::Result<()> {
    const FIRST_LINES: usize = 6;
    const BEGINNING_BYTES: u64 = 64 << 10;
    let mut files = Vec::new();
    collect(folder, &mut files)?;
    files.sort();
    screen.title("files the agent made");
    if files.is_empty() {
        screen.note("none");
    }
    for path in files {
        let file = regular_file::open(&path, Links::Refuse)?;
        let len = file.metadata()?.len();
        let mut beginning = Vec::new();
        file.take(BEGINNING_BYTES).read_to_end(&mut beginning)?;
        let name = path.strip_prefix(folder).unwrap_or(&path);
        screen.note(&format!("{} ({len} bytes)", name.display()));
        let text = String::from_utf8_lossy(&beginning);
        for line in text.lines().take(FIRST_LINES) {
            screen.quote(line);
        }
    }
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_dir() {
            collect(&entry.path(), files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

fn name(status: Option<ExecutionStatus>) -> String {
    let named = serde_json::to_value(status).unwrap_or_default();
    named.as_str().unwrap_or("an unknown status").to_owned()
}
