//! `.receipts/`: requests that came with an `Idempotency-Key`. Each hour in which something is put
//! down has a file, `<hours since 1970>.jsonl`, of one JSON object a line: a request was begun, it was
//! answered, or it left nothing behind. Memory keeps where the last line of each request stands. What
//! is too old goes with its file, so that nothing is ever read or written anew to make room.

mod line;
mod segment;

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

use self::{line::Line, segment::Segment};
use crate::{
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
    segments: BTreeMap<u32, Segment>,
    /// The hour of the segment that is written to.
    current: Option<u32>,
    /// Since a sync failed, it is uncertain whether the current segment is on disk.
    uncertain: bool,
    /// How often that was so.
    failures: u64,
}

/// Where the last line of a request stands.
#[derive(Clone, Copy)]
struct Known {
    offset: u64,
    hour: u32,
    len: u32,
}

/// Something written whose sync is to come: how many had failed by then.
#[must_use]
struct Written {
    failures: u64,
    before: Before,
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

    /// Reads what is there; the first use does it otherwise. Blocks.
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
            // Whoever put it down may still wait for that.
            let written = self.written(&state);
            drop(state);
            self.sync(written).map_err(io_at(&self.folder))?;
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
        let written = self.put_down(&mut state, &line, now);
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
        let written = self.put_down(&mut state, &line, Utc::now().timestamp());
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
        let written = self.put_down(&mut state, &line, Utc::now().timestamp());
        written.map(drop).map_err(io_at(&self.folder))
    }

    /// The state, with all that was written before in order.
    fn ready(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let mut state = lock(&self.state);
        if state.uncertain {
            let renewed = state.renew(self.disk.as_ref());
            renewed.map_err(io_at(&self.folder))?;
            state.loaded = false;
        }
        if !state.loaded {
            self.read_all(&mut state).map_err(io_at(&self.folder))?;
        }
        Ok(state)
    }

    fn read_all(&self, state: &mut State) -> io::Result<()> {
        *state = State {
            failures: state.failures,
            ..State::default()
        };
        let names = match self.disk.names(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            names => names?,
        };
        let hour = |name: &std::ffi::OsString| name.to_str()?.strip_suffix(".jsonl")?.parse().ok();
        let mut hours: Vec<u32> = names.iter().filter_map(hour).collect();
        hours.sort_unstable();
        if !hours.is_empty() {
            // Their names may not have become durable when they were made.
            self.disk.sync_dir(&self.folder)?;
            self.disk.sync_dir(&self.root)?;
        }
        for hour in hours {
            let known = &mut state.known;
            let path = self.path(hour);
            let segment = Segment::load(self.disk.as_ref(), path, |line, offset, len| {
                let place = Known { offset, hour, len };
                take(known, line, place);
            })?;
            state.segments.insert(hour, segment);
        }
        state.loaded = true;
        self.drop_old(state, Utc::now().timestamp());
        Ok(())
    }

    fn put_down(&self, state: &mut State, line: &Line, now: i64) -> io::Result<Written> {
        let hour = u32::try_from(now / HOUR).unwrap_or(0);
        if state.current != Some(hour) {
            self.turn_to(state, hour)?;
            self.drop_old(state, now);
        }
        let written = self.written(state);
        let segment = state.segments.get_mut(&hour);
        let segment = segment.ok_or_else(|| io::Error::other("the segment is not there"))?;
        let (offset, len) = segment.append(line)?;
        take(&mut state.known, line, Known { offset, hour, len });
        Ok(written)
    }

    fn written(&self, state: &State) -> Written {
        Written {
            failures: state.failures,
            before: self.group.begin(),
        }
    }

    /// From here on the segment of this hour is written to.
    fn turn_to(&self, state: &mut State, hour: u32) -> io::Result<()> {
        if let Some(before) = state.current.and_then(|hour| state.segments.get(&hour)) {
            // Whoever wrote to it may sync the next one only.
            let synced = before.file().sync();
            if synced.is_err() {
                state.uncertain = true;
                state.failures += 1;
            }
            synced?;
        }
        if let Entry::Vacant(place) = state.segments.entry(hour) {
            if !self.disk.exists(&self.folder) {
                self.disk.create_dir(&self.folder)?;
            }
            let segment = Segment::make(self.disk.as_ref(), self.path(hour))?;
            self.disk.sync_dir(&self.folder)?;
            self.disk.sync_dir(&self.root)?;
            place.insert(segment);
        }
        state.current = Some(hour);
        Ok(())
    }

    /// Forgets what is too old, with its files.
    fn drop_old(&self, state: &mut State, now: i64) {
        let is_old = |hour: u32| (i64::from(hour) + 1) * HOUR + KEPT <= now;
        let hours: Vec<u32> = state.segments.keys().copied().collect();
        for hour in hours.into_iter().filter(|hour| is_old(*hour)) {
            if let Err(error) = self.disk.remove_file(&self.path(hour))
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(path = %self.path(hour).display(), %error, "could not remove old receipts");
                continue;
            }
            state.segments.remove(&hour);
            state.known.retain(|_, known| known.hour != hour);
            state.current = state.current.filter(|current| *current != hour);
        }
        if state.known.len() < state.known.capacity() / 4 {
            state.known.shrink_to_fit();
        }
    }

    /// One sync for all who wait.
    fn sync(&self, written: Written) -> io::Result<()> {
        self.group.run(written.before, || {
            let state = lock(&self.state);
            let current = state.current.and_then(|hour| state.segments.get(&hour));
            let file = current.map(Segment::file);
            drop(state);
            let synced = file.map_or(Ok(()), |file| file.sync());
            if synced.is_err() {
                let mut state = lock(&self.state);
                state.uncertain = true;
                state.failures += 1;
            }
            synced
        })?;
        // A sync that failed may have taken the bytes for written; the next one says nothing of them.
        match lock(&self.state).failures == written.failures {
            true => Ok(()),
            false => Err(io::Error::other("a sync of the receipts failed")),
        }
    }

    fn path(&self, hour: u32) -> PathBuf {
        self.folder.join(format!("{hour}.jsonl"))
    }
}

impl State {
    fn last_line(&self, key: &Digest) -> io::Result<Option<Line>> {
        let Some(known) = self.known.get(key) else {
            return Ok(None);
        };
        let segment = self.segments.get(&known.hour);
        let segment = segment.ok_or_else(|| io::Error::other("the segment is not there"))?;
        segment.line(known.offset, known.len).map(Some)
    }

    /// Writes the current segment anew, for it may not be on disk.
    fn renew(&mut self, disk: &dyn Disk) -> io::Result<()> {
        let current = self.current.and_then(|hour| self.segments.get(&hour));
        current.map_or(Ok(()), |segment| segment.renew(disk))?;
        self.uncertain = false;
        Ok(())
    }
}

fn take(known: &mut HashMap<Digest, Known>, line: &Line, place: Known) {
    match line.gone {
        true => known.remove(&line.key),
        false => known.insert(line.key, place),
    };
}
