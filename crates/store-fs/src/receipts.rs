//! `.receipts/`: requests that came with an `Idempotency-Key`. Each hour in which something is recorded
//! has a file, `<hours since 1970>.jsonl`, of one JSON object a line: a request was begun, it was
//! answered, or it left nothing behind. Memory knows the place of the last line of each request. What is
//! too old is removed with its file, so that nothing is read or rewritten to make room.

mod line;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap, btree_map::Entry},
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;
use chrono::Utc;
use core_model::{
    StoreError,
    port::{Digest, RECEIPT_HOURS, Receipt},
};
use uuid::Uuid;

use self::line::Line;
use crate::{
    append_file::AppendFile,
    disk::Disk,
    error::{io_at, lock},
    group_sync::{Before, GroupSync},
};

const HOUR: i64 = 3600;
const KEPT: i64 = RECEIPT_HOURS as i64 * HOUR;

pub(crate) struct ReceiptFiles {
    disk: Arc<dyn Disk>,
    /// The store's, and in it the one for the files.
    root: PathBuf,
    folder: PathBuf,
    limit: usize,
    state: Mutex<State>,
    group: GroupSync,
}

#[derive(Default)]
struct State {
    loaded: bool,
    known: HashMap<Digest, Known>,
    /// By their hour.
    files: BTreeMap<u32, AppendFile>,
    /// The hour of the file that is written to.
    current: Option<u32>,
    /// Since a sync failed, it is uncertain whether the current file is on disk.
    uncertain: bool,
}

/// The place of the last line of a request.
#[derive(Clone, Copy)]
struct Known {
    offset: u64,
    hour: u32,
    len: u32,
}

impl ReceiptFiles {
    pub(crate) fn new(disk: Arc<dyn Disk>, root: PathBuf, folder: PathBuf, limit: usize) -> Self {
        Self {
            disk,
            root,
            folder,
            limit,
            state: Mutex::default(),
            group: GroupSync::default(),
        }
    }

    /// Reads what is stored; otherwise the first use does it. Blocks.
    pub(crate) fn load(&self) -> Result<(), StoreError> {
        self.ready().map(drop)
    }

    /// As [`core_model::port::Receipts::begin`]. Blocks.
    pub(crate) fn begin(&self, key: Digest, request: Digest) -> Result<Receipt, StoreError> {
        self.begin_at(key, request, Utc::now().timestamp())
    }

    fn begin_at(&self, key: Digest, request: Digest, now: i64) -> Result<Receipt, StoreError> {
        let mut state = self.ready()?;
        let last = state.last_line(&key).map_err(io_at(&self.folder))?;
        if let Some(line) = last.filter(|line| now - line.at < KEPT) {
            // The caller that recorded it may still wait for the sync.
            let before = self.group.begin();
            drop(state);
            self.sync(before).map_err(io_at(&self.folder))?;
            return Ok(Receipt {
                nonce: line.nonce,
                begun: true,
                request: line.request,
                answer: line.answer,
            });
        }
        if state.known.len() >= self.limit {
            self.drop_old(&mut state, now);
        }
        if state.known.len() >= self.limit {
            let limit = self.limit;
            return Err(StoreError::TooManyReceipts { limit });
        }
        let nonce = Uuid::new_v4();
        let line = Line {
            key,
            request,
            nonce,
            at: now,
            answer: None,
            gone: false,
        };
        let written = self.record(&mut state, &line, now);
        let written = written.map_err(io_at(&self.folder))?;
        drop(state);
        self.sync(written).map_err(io_at(&self.folder))?;
        Ok(Receipt {
            nonce,
            begun: false,
            request,
            answer: None,
        })
    }

    /// As [`core_model::port::Receipts::finish`]. Blocks.
    pub(crate) fn finish(&self, key: Digest, answer: &Bytes) -> Result<(), StoreError> {
        let mut state = self.ready()?;
        let last = state.last_line(&key).and_then(|line| {
            line.ok_or_else(|| io::Error::other("no request with this key was begun"))
        });
        let line = Line {
            answer: Some(answer.clone()),
            ..last.map_err(io_at(&self.folder))?
        };
        let written = self.record(&mut state, &line, Utc::now().timestamp());
        let written = written.map_err(io_at(&self.folder))?;
        drop(state);
        self.sync(written).map_err(io_at(&self.folder))
    }

    /// As [`core_model::port::Receipts::forget`]. Blocks, but waits for no sync.
    pub(crate) fn forget(&self, key: Digest) -> Result<(), StoreError> {
        let mut state = self.ready()?;
        let last = state.last_line(&key).map_err(io_at(&self.folder))?;
        let Some(line) = last else { return Ok(()) };
        let line = Line { gone: true, ..line };
        let written = self.record(&mut state, &line, Utc::now().timestamp());
        written.map(drop).map_err(io_at(&self.folder))
    }

    /// The state, read from the files when it is not known, or not sure.
    fn ready(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let mut state = lock(&self.state);
        if state.uncertain {
            let renewed = state.renew(self.disk.as_ref());
            renewed.map_err(io_at(&self.folder))?;
            *state = State::default();
        }
        if !state.loaded {
            self.read_all(&mut state).map_err(io_at(&self.folder))?;
        }
        Ok(state)
    }

    fn read_all(&self, state: &mut State) -> io::Result<()> {
        *state = State::default();
        let names = match self.disk.names(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            names => names?,
        };
        let hour = |name: &std::ffi::OsString| name.to_str()?.strip_suffix(".jsonl")?.parse().ok();
        let mut hours: Vec<u32> = names.iter().filter_map(hour).collect();
        hours.sort_unstable();
        if !hours.is_empty() {
            // Their names may not have become durable when they were created.
            self.disk.sync_dir(&self.folder)?;
            self.disk.sync_dir(&self.root)?;
        }
        for hour in hours {
            let known = &mut state.known;
            let path = self.path(hour);
            let file = AppendFile::open_lines(self.disk.as_ref(), &path, |text, offset| {
                // Parsed as a whole, because it has to be whole when it is read later.
                match Line::parse(text) {
                    Ok(line) => {
                        let len = text.len() as u32;
                        take(known, &line, Known { offset, hour, len });
                    }
                    Err(error) => {
                        tracing::warn!(path = %path.display(), offset, %error, "a line that is not a receipt is skipped");
                    }
                }
            })?;
            state.files.insert(hour, file);
        }
        state.loaded = true;
        self.drop_old(state, Utc::now().timestamp());
        Ok(())
    }

    /// Writes a line; what has to be synced is what was written since the returned moment.
    fn record(&self, state: &mut State, line: &Line, now: i64) -> io::Result<Before> {
        let hour = u32::try_from(now / HOUR).unwrap_or(0);
        if state.current != Some(hour) {
            self.turn_to(state, hour)?;
            self.drop_old(state, now);
        }
        let before = self.group.begin();
        let text = line.encode()?;
        let offset = state.file(hour)?.append(&text)?;
        let len = (text.len() - 1) as u32;
        take(&mut state.known, line, Known { offset, hour, len });
        Ok(before)
    }

    /// From here on the file of this hour is written to.
    fn turn_to(&self, state: &mut State, hour: u32) -> io::Result<()> {
        if let Some(before) = state.current.and_then(|hour| state.files.get(&hour)) {
            // A caller that wrote to it may sync the next one only.
            let synced = before.file().sync();
            if let Err(error) = &synced {
                state.uncertain = true;
                self.group.fail(error);
            }
            synced?;
        }
        if let Entry::Vacant(place) = state.files.entry(hour) {
            if !self.disk.exists(&self.folder) {
                self.disk.create_dir(&self.folder)?;
            }
            let file = AppendFile::create(self.disk.as_ref(), &self.path(hour))?;
            self.disk.sync_dir(&self.folder)?;
            self.disk.sync_dir(&self.root)?;
            place.insert(file);
        }
        state.current = Some(hour);
        Ok(())
    }

    /// Forgets what is too old, with its files.
    fn drop_old(&self, state: &mut State, now: i64) {
        let is_old = |hour: u32| (i64::from(hour) + 1) * HOUR + KEPT <= now;
        let hours: Vec<u32> = state.files.keys().copied().collect();
        for hour in hours.into_iter().filter(|hour| is_old(*hour)) {
            if let Err(error) = self.disk.remove_file(&self.path(hour))
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(path = %self.path(hour).display(), %error, "could not remove old receipts");
                continue;
            }
            state.files.remove(&hour);
            state.known.retain(|_, known| known.hour != hour);
            state.current = state.current.filter(|current| *current != hour);
        }
        if state.known.len() < state.known.capacity() / 4 {
            state.known.shrink_to_fit();
        }
    }

    /// One sync for all who wait.
    fn sync(&self, before: Before) -> io::Result<()> {
        self.group.run(before, || {
            let state = lock(&self.state);
            let current = state.current.and_then(|hour| state.files.get(&hour));
            let file = current.map(AppendFile::file);
            drop(state);
            let synced = file.map_or(Ok(()), |file| file.sync());
            if synced.is_err() {
                lock(&self.state).uncertain = true;
            }
            synced
        })
    }

    fn path(&self, hour: u32) -> PathBuf {
        self.folder.join(format!("{hour}.jsonl"))
    }
}

impl State {
    fn last_line(&mut self, key: &Digest) -> io::Result<Option<Line>> {
        let Some(Known { offset, hour, len }) = self.known.get(key).copied() else {
            return Ok(None);
        };
        let text = self.file(hour)?.read(offset, len as usize)?;
        Ok(Some(Line::parse(&text)?))
    }

    fn file(&mut self, hour: u32) -> io::Result<&mut AppendFile> {
        let file = self.files.get_mut(&hour);
        file.ok_or_else(|| io::Error::other("a file of receipts is missing"))
    }

    /// Replaces the current file with what can be read of it, because it may not be on disk.
    fn renew(&self, disk: &dyn Disk) -> io::Result<()> {
        let current = self.current.and_then(|hour| self.files.get(&hour));
        current.map_or(Ok(()), |file| {
            file.renew_lines(disk, |line| Line::parse(line).is_ok())
        })
    }
}

fn take(known: &mut HashMap<Digest, Known>, line: &Line, place: Known) {
    if line.gone {
        known.remove(&line.key);
    } else {
        known.insert(line.key, place);
    }
}
