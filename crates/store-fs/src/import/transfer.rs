use std::{
    collections::HashSet,
    fs::{self, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::TimeDelta;
use core_model::{
    Catalog, Claims, ConversationId, ConversationState, Draft, Event, EventId, EventTime,
    ExecutionStatus, Extent, Limit, LogReader, LogWriter, Metadata, NewRecord, Seq, Snapshot,
    StoreError, Summary, UtcTime, port::Claimed,
};
use serde_json::Value;
use uuid::Uuid;

use super::{
    Foreign, ImportError, MAX_FILE_BYTES,
    folder::{CARRIED_ALONG, EventFile},
    io_at, line, off_thread,
    settings::{Standing, StoredHead},
};
use crate::{
    FsStore,
    regular_file::{self, Links},
};

/// What is read, appended and synced at a time.
const BATCH_FILES: usize = 2_000;
const BATCH_BYTES: usize = 8 << 20;

/// What an import brought over, or would.
///
/// ```
#[doc = include_str!("example.txt")]
/// std::fs::write(theirs.join("events/event-00001-2.json"), "no event")?;
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let outcome = store_fs::import::Foreign::open(&theirs, &treatment)?.check(|_files| {}).await?;
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
    /// The conversation, here as there.
    pub id: ConversationId,
    /// How many of its events are in the log now.
    pub events: u64,
    /// How many state updates follow them, for what only the settings knew.
    pub added: u64,
    /// The files that are no event, or one that was there already, and why.
    pub left_out: Vec<(PathBuf, String)>,
    /// What a person should know of it, in words.
    pub notices: Vec<String>,
}

pub(super) async fn check(
    foreign: Foreign,
    progress: impl Fn(usize) + Send,
) -> Result<Outcome, ImportError> {
    let mut reading = Reading::new(foreign);
    while reading.batch().await?.is_some() {
        progress(reading.read);
    }
    let added = reading.rest()?.len() as u64;
    Ok(reading.outcome(added))
}

pub(super) async fn import(
    foreign: Foreign,
    store: &FsStore,
    progress: impl Fn(usize) + Send,
) -> Result<Outcome, ImportError> {
    let mut reading = Reading::new(foreign);
    let metadata = &reading.foreign.settings.metadata;
    let id = metadata.id;
    let mut writing = Writing::begin(store, metadata).await?;
    while let Some(records) = reading.batch().await? {
        writing.put(records, reading.summary()).await?;
        progress(reading.read);
    }
    let rest = reading.rest()?;
    let added = rest.len() as u64;
    writing.put(rest, reading.summary()).await?;
    writing.end().await?;
    carry_along(&mut reading, store.folder(id)).await?;
    let finished = reading.finished(writing.log.extent());
    writing.log.set_metadata(&finished).await?;
    writing.log.append(Vec::new(), reading.summary()).await?;
    Ok(reading.outcome(added))
}

/// The lines of a conversation in their order, and what they come to.
struct Reading {
    foreign: Foreign,
    files: Arc<[EventFile]>,
    /// How many files have been read.
    read: usize,
    events: u64,
    ids: HashSet<EventId>,
    state: ConversationState,
    left_out: Vec<(PathBuf, String)>,
}

impl Reading {
    fn new(mut foreign: Foreign) -> Self {
        Self {
            files: std::mem::take(&mut foreign.files).into(),
            read: 0,
            events: 0,
            ids: HashSet::new(),
            state: ConversationState::new(&foreign.settings.metadata),
            left_out: Vec::new(),
            foreign,
        }
    }

    /// The next lines; none after the last file.
    async fn batch(&mut self) -> Result<Option<Vec<NewRecord>>, ImportError> {
        if self.read == self.files.len() {
            return Ok(None);
        }
        let (files, from) = (Arc::clone(&self.files), self.read);
        let lines = off_thread(&self.foreign.folder, move || read_lines(&files[from..])).await?;
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
                        self.foreign.notices.push(notice);
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
        match Event::from_slice(&record.bytes) {
            Ok(event) => self.state.apply(&event),
            Err(error) => self.foreign.notices.push(format!(
                "event {} is kept as it is, but cannot be understood: {error}",
                record.head.id
            )),
        }
    }

    /// After the last file: state updates that bring the log up to where the settings say the
    /// conversation stands. The same files give the same bytes.
    fn rest(&mut self) -> Result<Vec<NewRecord>, ImportError> {
        let mut records = Vec::new();
        for (key, value) in self.differences() {
            let mut draft = Draft::state(key, value);
            let name = format!("import/{key}");
            draft.id = EventId(Uuid::new_v5(&self.foreign.id().0, name.as_bytes()).to_string());
            let event = draft.at(self.next_time(), None);
            self.state.apply(&event);
            records.push(
                NewRecord::encode(&event)
                    .map_err(|error| io_at(&self.foreign.folder)(error.into()))?,
            );
        }
        Ok(records)
    }

    fn differences(&mut self) -> Vec<(&'static str, Value)> {
        let Standing {
            status,
            head,
            agent_state,
            stats: _,
        } = &self.foreign.settings.now;
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
                    "it stood at event {id}, which is missing; it goes on after the last one"
                );
                self.foreign.notices.push(notice);
            }
            Some(StoredHead::Empty) | None => {}
        }
        found
    }

    /// Just after the last event, whatever the clock says: a run of the import that was cut short
    /// must have given the same.
    fn next_time(&self) -> EventTime {
        let created = EventTime::from(self.foreign.settings.metadata.created_at.0);
        let last = self.state.last_timestamp.unwrap_or(created);
        let next = last.utc().checked_add_signed(TimeDelta::microseconds(1));
        next.map_or(last, EventTime::from)
    }

    /// The metadata of the whole conversation; its snapshot says that the import is complete.
    fn finished(&self, extent: Extent) -> Metadata {
        let mut state = self.state.clone();
        if let Some(stats) = &self.foreign.settings.now.stats {
            // With the list of calls, which events do not carry.
            state.stats = stats.clone();
        }
        let mut metadata = self.foreign.settings.metadata.clone();
        metadata.snapshot = Some(Snapshot { extent, state });
        metadata
    }

    fn summary(&self) -> Summary {
        let created_at = self.foreign.settings.metadata.created_at;
        Summary {
            updated_at: self
                .state
                .updated_at
                .map_or(created_at, |time| UtcTime(time.utc())),
            status: self.state.execution_status,
        }
    }

    fn outcome(self, added: u64) -> Outcome {
        Outcome {
            id: self.foreign.id(),
            events: self.events,
            added,
            left_out: self.left_out,
            notices: self.foreign.notices,
        }
    }
}

/// A conversation in the store that takes these lines and no others.
struct Writing {
    stored: Arc<dyn LogReader>,
    log: Box<dyn LogWriter>,
    id: ConversationId,
    /// How many lines have been put; fewer than the log has while an import goes on that was cut
    /// short.
    put: Seq,
}

impl Writing {
    /// # Errors
    /// [`StoreError::Exists`] unless what exists is an import without its end: one that no snapshot
    /// was stored for.
    async fn begin(store: &FsStore, metadata: &Metadata) -> Result<Self, ImportError> {
        let id = metadata.id;
        match store.create(metadata).await {
            Err(StoreError::Exists(_)) if store.metadata(id).await?.snapshot.is_none() => {}
            made => made?,
        }
        let log = match store.claim(id).await? {
            Claimed::Mine(claim) => claim.log,
            Claimed::Theirs(holder) => {
                return Err(StoreError::OwnedElsewhere { id, holder }.into());
            }
        };
        Ok(Self {
            stored: store.open(id).await?,
            log,
            id,
            put: Seq(0),
        })
    }

    /// Appends the lines that are not there yet.
    async fn put(
        &mut self,
        mut records: Vec<NewRecord>,
        summary: Summary,
    ) -> Result<(), ImportError> {
        let known = self.log.extent().len.0.saturating_sub(self.put.0) as usize;
        let known = known.min(records.len());
        let fresh = records.split_off(known);
        self.compare(&records).await?;
        if !fresh.is_empty() {
            self.put = self.log.append(fresh, summary).await?.len;
        }
        Ok(())
    }

    async fn compare(&mut self, records: &[NewRecord]) -> Result<(), ImportError> {
        let end = self.put.after(records.len());
        let mut expected = records.iter();
        while self.put < end {
            let left = (end.0 - self.put.0) as usize;
            let stored = self.stored.read(self.put, Limit::records(left)).await?;
            let same = stored.iter().take(left).all(|stored| {
                let same = expected.next().is_some_and(|new| new.bytes == stored.bytes);
                let in_line = stored.seq == self.put;
                self.put = self.put.after(1);
                same && in_line
            });
            if stored.is_empty() || !same {
                return Err(StoreError::Exists(self.id).into());
            }
        }
        Ok(())
    }

    /// # Errors
    /// [`StoreError::Exists`] when the log has more lines than were put.
    async fn end(&self) -> Result<(), ImportError> {
        if self.log.extent().len == self.put {
            Ok(())
        } else {
            Err(StoreError::Exists(self.id).into())
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

/// Copies what tools keep beside the log. It is no truth: what cannot be copied is told of.
async fn carry_along(reading: &mut Reading, to: PathBuf) -> Result<(), ImportError> {
    let from = reading.foreign.folder.clone();
    let notices = off_thread(&reading.foreign.folder, move || {
        let mut notices = Vec::new();
        for name in CARRIED_ALONG {
            if let Err(error) = copy(&from.join(name), &to.join(name)) {
                notices.push(format!("`{name}` cannot be copied: {error}"));
            }
        }
        Ok(notices)
    })
    .await?;
    reading.foreign.notices.extend(notices);
    Ok(())
}

/// A file, or a folder's files; not what links lead to. What is not copied is an error, but none that
/// keeps the rest from being copied.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let kind = match fs::symlink_metadata(from) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !kind.is_dir() {
        return copy_file(from, to);
    }
    fs::create_dir_all(to)?;
    let mut outcome = Ok(());
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if let Err(error) = copy_file(&entry.path(), &to.join(entry.file_name())) {
            let name = entry.file_name();
            let reason = format!("{}: {error}", name.to_string_lossy());
            outcome = Err(io::Error::new(error.kind(), reason));
        }
    }
    outcome
}

/// Takes the place of what an import that was cut short left there.
fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let from = regular_file::open(from, Links::Refuse)?;
    if from.metadata()?.len() > MAX_FILE_BYTES {
        let reason = format!("it has more than {MAX_FILE_BYTES} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    match fs::remove_file(to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut copied = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)?;
    io::copy(&mut from.take(MAX_FILE_BYTES), &mut copied).map(drop)
}
