use std::{collections::HashSet, path::PathBuf, sync::Arc};

use chrono::TimeDelta;
use core_model::{
    ConversationId, ConversationState, Draft, EventId, EventTime, ExecutionStatus, Extent,
    Metadata, NewRecord, Snapshot, Summary, UtcTime,
};
use serde_json::Value;
use uuid::Uuid;

use super::{
    error::{ImportError, io_at, off_thread},
    folder::EventFile,
    line,
    settings::{Settings, StoredHead, StoredState},
};

/// What is read, appended and synced at a time.
const BATCH_FILES: usize = 2_000;
const BATCH_BYTES: usize = 8 << 20;

/// What an import transferred, or would transfer.
///
/// ```
#[doc = include_str!("example.txt")]
/// std::fs::write(theirs.join("events/event-00001-2.json"), "no event")?;
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let outcome = transcript::import::ReferenceConversation::open(&theirs, &options)?.check(|_files| {}).await?;
/// for (file, reason) in &outcome.left_out {
///     println!("{}: {reason}", file.display());
/// }
/// assert_eq!((outcome.events, outcome.left_out.len()), (1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The conversation; the id stays the same.
    pub id: ConversationId,
    /// How many of its events are in the log now.
    pub events: u64,
    /// How many state updates follow them, for what only the settings knew.
    pub added: u64,
    /// The files that are not an event, or repeat one, and why.
    pub left_out: Vec<(PathBuf, String)>,
    /// What a person should know about it, in words.
    pub notices: Vec<String>,
}

/// What a folder of the reference server holds.
pub(super) struct Source {
    pub(super) folder: PathBuf,
    pub(super) files: Vec<EventFile>,
    pub(super) settings: Settings,
    pub(super) notices: Vec<String>,
}

/// The lines of a conversation in their order, and the state they lead to.
pub(super) struct Reading {
    source: Source,
    files: Arc<[EventFile]>,
    /// How many files have been read.
    pub(super) read: usize,
    events: u64,
    ids: HashSet<EventId>,
    state: ConversationState,
    left_out: Vec<(PathBuf, String)>,
}

impl Reading {
    pub(super) fn new(mut source: Source) -> Self {
        Self {
            files: std::mem::take(&mut source.files).into(),
            read: 0,
            events: 0,
            ids: HashSet::new(),
            state: ConversationState::new(&source.settings.metadata),
            left_out: Vec::new(),
            source,
        }
    }

    pub(super) fn metadata(&self) -> &Metadata {
        &self.source.settings.metadata
    }

    pub(super) fn notices(&mut self, notices: Vec<String>) {
        self.source.notices.extend(notices);
    }

    /// The next lines; none after the last file.
    pub(super) async fn batch(&mut self) -> Result<Option<Vec<NewRecord>>, ImportError> {
        if self.read == self.files.len() {
            return Ok(None);
        }
        let (files, from) = (Arc::clone(&self.files), self.read);
        let lines = off_thread(&self.source.folder, move || read_lines(&files[from..])).await?;
        let mut records = Vec::with_capacity(lines.len());
        for line in lines {
            let file = &self.files[self.read];
            self.read += 1;
            match line {
                Ok(record) if self.ids.contains(&record.head.id) => {
                    let reason = format!("an event with the id {} came before", record.head.id);
                    self.left_out.push((file.path.clone(), reason));
                }
                Ok(record) => {
                    if record.head.id.as_str() != file.id {
                        let notice = format!("{}: its id is {}", file.name(), record.head.id);
                        self.source.notices.push(notice);
                    }
                    self.take(&record);
                    records.push(record);
                }
                Err(reason) => self.left_out.push((file.path.clone(), reason)),
            }
        }
        Ok(Some(records))
    }

    fn take(&mut self, record: &NewRecord) {
        self.events += 1;
        self.ids.insert(record.head.id.clone());
        if let Err(error) = self.state.apply_bytes(&record.bytes) {
            self.source.notices.push(format!(
                "event {} is kept as it is, but cannot be understood: {error}",
                record.head.id
            ));
        }
    }

    /// After the last file: state updates that bring the log up to where the settings say the
    /// conversation stands. The same files give the same bytes.
    pub(super) fn rest(&mut self) -> Result<Vec<NewRecord>, ImportError> {
        let mut records = Vec::new();
        for (key, value) in self.differences() {
            let mut draft = Draft::state(key, value);
            let name = format!("import/{key}");
            draft.id = EventId(Uuid::new_v5(&self.metadata().id.0, name.as_bytes()).to_string());
            let event = draft.at(self.next_time(), None);
            self.state.apply(&event);
            records.push(
                NewRecord::encode(&event)
                    .map_err(|error| io_at(&self.source.folder)(error.into()))?,
            );
        }
        Ok(records)
    }

    fn differences(&mut self) -> Vec<(&'static str, Value)> {
        let StoredState {
            status,
            head,
            agent_state,
            stats: _,
        } = &self.source.settings.now;
        let mut found = Vec::new();
        if let Some(status) = *status
            && status != self.state.execution_status
            && status != ExecutionStatus::Deleting
        {
            found.push(("execution_status", Value::from(status.as_str())));
        }
        if let Some(agent_state) = agent_state
            && *agent_state != self.state.agent_state
        {
            found.push(("agent_state", Value::Object(agent_state.clone())));
        }
        match head {
            Some(StoredHead::Empty) if self.state.leaf_event_id.is_some() => {
                found.push(("leaf_event_id", Value::Null));
            }
            Some(StoredHead::At(id)) if self.state.leaf_event_id.as_ref() == Some(id) => {}
            Some(StoredHead::At(id)) if self.ids.contains(id) => {
                found.push(("leaf_event_id", Value::from(id.as_str())));
            }
            Some(StoredHead::At(id)) => {
                let notice = format!(
                    "it stood at event {id}, which is missing; it continues after the last one"
                );
                self.source.notices.push(notice);
            }
            Some(StoredHead::Empty) | None => {}
        }
        found
    }

    /// Just after the last event, whatever the clock says: a run of the import that was cut short
    /// must have given the same.
    fn next_time(&self) -> EventTime {
        let created = EventTime::from(self.source.settings.metadata.created_at.0);
        let last = self.state.last_timestamp.unwrap_or(created);
        let next = last.utc().checked_add_signed(TimeDelta::microseconds(1));
        next.map_or(last, EventTime::from)
    }

    /// The metadata of the whole conversation; its snapshot says that the import is complete.
    pub(super) fn finished(&self, extent: Extent) -> Metadata {
        let mut state = self.state.clone();
        if let Some(stats) = &self.source.settings.now.stats {
            // With the list of calls, which events do not carry.
            state.stats = stats.clone();
        }
        let mut metadata = self.source.settings.metadata.clone();
        metadata.snapshot = Some(Snapshot { extent, state });
        metadata
    }

    /// What lists are to show of what has been read so far.
    pub(super) fn summary(&self) -> Summary {
        let created_at = self.source.settings.metadata.created_at;
        Summary {
            updated_at: self
                .state
                .updated_at
                .map_or(created_at, |time| UtcTime(time.utc())),
            status: self.state.execution_status,
        }
    }

    pub(super) fn outcome(self, added: u64) -> Outcome {
        Outcome {
            id: self.metadata().id,
            events: self.events,
            added,
            left_out: self.left_out,
            notices: self.source.notices,
        }
    }
}

/// A batch's worth of lines from the first of `files` on; at least one.
fn read_lines(files: &[EventFile]) -> Result<Vec<Result<NewRecord, String>>, ImportError> {
    let (mut lines, mut bytes) = (Vec::new(), 0);
    for file in files.iter().take(BATCH_FILES) {
        let line = line::read(file)?;
        bytes += line.as_ref().map_or(0, |record| record.bytes.len());
        lines.push(line);
        if bytes >= BATCH_BYTES {
            break;
        }
    }
    Ok(lines)
}
