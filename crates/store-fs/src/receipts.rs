//! `.receipts.jsonl`: requests that came with an `Idempotency-Key`, one JSON object a line. A line
//! says that a request was begun, a later one what it was answered. Memory keeps where the answers
//! stand; what is older than a day is dropped when the file is written anew.

use std::{
    collections::HashMap,
    io,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use chrono::Utc;
use core_model::{
    StoreError,
    port::{Digest, RECEIPT_HOURS, Receipt},
};
use serde::{Deserialize, Serialize};

use crate::{
    disk::{Disk, DiskFile, Open, Wait, read_all, read_exact, write_all},
    error::{io_at, lock},
    group_sync::{Before, GroupSync},
    meta::{parent, replace},
};

const KEPT: i64 = RECEIPT_HOURS as i64 * 3600;
/// A file this long is written anew once half of it is of no more use.
const WORTH_REWRITING: u64 = 1 << 20;

pub(crate) struct ReceiptsFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// None before the first use, and after a failure.
    state: Mutex<Option<State>>,
    /// Whether what is in the file is uncertain since a write or sync failed.
    uncertain: Mutex<bool>,
    group: GroupSync,
}

struct State {
    file: Arc<dyn DiskFile>,
    end: u64,
    /// Bytes of lines that count.
    useful: u64,
    known: HashMap<Digest, Known>,
}

#[derive(Clone, Copy)]
struct Known {
    request: Digest,
    /// Seconds since the epoch.
    at: i64,
    /// The line with the answer, or else the first line.
    offset: u64,
    len: u32,
    answered: bool,
}

#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(with = "hex_digest")]
    key: Digest,
    #[serde(with = "hex_digest")]
    request: Digest,
    at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<String>,
}

impl ReceiptsFile {
    pub(crate) fn new(disk: Arc<dyn Disk>, path: PathBuf) -> Self {
        Self {
            disk,
            path,
            state: Mutex::default(),
            uncertain: Mutex::default(),
            group: GroupSync::default(),
        }
    }

    /// As [`core_model::port::Receipts::begin`]. Blocks.
    pub(crate) fn begin(
        &self,
        key: Digest,
        request: Digest,
    ) -> Result<Option<Receipt>, StoreError> {
        self.try_begin(key, request).map_err(io_at(&self.path))
    }

    /// As [`core_model::port::Receipts::finish`]. Blocks.
    pub(crate) fn finish(&self, key: Digest, answer: &Bytes) -> Result<(), StoreError> {
        self.try_finish(key, answer).map_err(io_at(&self.path))
    }

    fn try_begin(&self, key: Digest, request: Digest) -> io::Result<Option<Receipt>> {
        let now = Utc::now().timestamp();
        let before = self.group.begin();
        let mut guard = lock(&self.state);
        let state = self.loaded(&mut guard, now)?;
        if let Some(known) = state.known.get(&key).filter(|known| now - known.at < KEPT) {
            let answer = match known.answered {
                true => state.answer(known)?,
                false => None,
            };
            let receipt = Receipt {
                request: known.request,
                answer,
            };
            drop(guard);
            // Whoever put it down may still wait for that.
            self.sync(before)?;
            return Ok(Some(receipt));
        }
        let line = Line {
            key,
            request,
            at: now,
            answer: None,
        };
        let before = self.add(state, &line)?;
        drop(guard);
        self.sync(before)?;
        Ok(None)
    }

    fn try_finish(&self, key: Digest, answer: &Bytes) -> io::Result<()> {
        let now = Utc::now().timestamp();
        let mut guard = lock(&self.state);
        let state = self.loaded(&mut guard, now)?;
        let Some(known) = state.known.get(&key).copied() else {
            return Err(io::Error::other("no such request was begun"));
        };
        let line = Line {
            key,
            request: known.request,
            at: known.at,
            answer: Some(BASE64_STANDARD.encode(answer)),
        };
        let before = self.add(state, &line)?;
        drop(guard);
        self.sync(before)
    }

    fn add(&self, state: &mut State, line: &Line) -> io::Result<Before> {
        let before = self.group.begin();
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        if let Err(error) = write_all(state.file.as_ref(), &text, state.end) {
            *lock(&self.uncertain) = true;
            return Err(error);
        }
        state.take(line, text.len() as u64);
        Ok(before)
    }

    /// One sync for all who wait; after one that failed, all is read and written anew.
    fn sync(&self, before: Before) -> io::Result<()> {
        self.group.run(before, || {
            // Not the file that was written to: it may have been written anew since, and synced.
            let file = lock(&self.state)
                .as_ref()
                .map(|state| Arc::clone(&state.file));
            let synced = file.map_or(Ok(()), |file| file.sync());
            if synced.is_err() {
                *lock(&self.uncertain) = true;
            }
            synced
        })
    }

    /// The state, read from the file if need be.
    fn loaded<'a>(&self, state: &'a mut Option<State>, now: i64) -> io::Result<&'a mut State> {
        let uncertain = *lock(&self.uncertain);
        let due = |state: &State| state.end > WORTH_REWRITING && state.end > state.useful * 2;
        if let Some(state) = state.as_mut().filter(|_| !uncertain) {
            state.forget(now);
        }
        if state.is_none() || uncertain || state.as_ref().is_some_and(due) {
            let missing = !self.disk.exists(&self.path);
            let kept = self.read(now)?;
            if uncertain || missing || kept.worn {
                replace(self.disk.as_ref(), &self.path, &kept.text)?;
            } else {
                // Its name may not have become durable when it was made.
                self.disk.sync_dir(parent(&self.path))?;
            }
            let file = self.disk.open(&self.path, Open::Write)?;
            let mut fresh = State {
                file,
                end: 0,
                useful: 0,
                known: HashMap::new(),
            };
            for (line, len) in &kept.lines {
                fresh.take(line, *len);
            }
            *lock(&self.uncertain) = false;
            *state = Some(fresh);
        }
        state
            .as_mut()
            .ok_or_else(|| io::Error::other("the receipts are not there"))
    }

    /// The lines that count. Those that cannot be read, or are too old, are left out.
    fn read(&self, now: i64) -> io::Result<Kept> {
        let text = match read_all(self.disk.as_ref(), &self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            text => text?,
        };
        let mut kept = Kept::default();
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let parsed: Option<Line> = line
                .strip_suffix(b"\n")
                .and_then(|line| serde_json::from_slice(line).ok());
            match parsed {
                Some(parsed) if now - parsed.at < KEPT => {
                    kept.text.extend_from_slice(line);
                    kept.lines.push((parsed, line.len() as u64));
                }
                Some(_) => kept.worn = true,
                None => {
                    kept.worn = true;
                    tracing::warn!(path = %self.path.display(), "a line that is no receipt is dropped");
                }
            }
        }
        Ok(kept)
    }
}

#[derive(Default)]
struct Kept {
    text: Vec<u8>,
    lines: Vec<(Line, u64)>,
    /// Whether the file has more than that.
    worn: bool,
}

impl State {
    fn take(&mut self, line: &Line, len: u64) {
        let known = Known {
            request: line.request,
            at: line.at,
            offset: self.end,
            len: len as u32,
            answered: line.answer.is_some(),
        };
        self.end += len;
        self.useful += len;
        self.known.insert(line.key, known);
    }

    /// Forgets what is too old.
    fn forget(&mut self, now: i64) {
        if self.end <= WORTH_REWRITING {
            return;
        }
        let useful = &mut self.useful;
        self.known.retain(|_, known| {
            let keep = now - known.at < KEPT;
            if !keep {
                *useful = useful.saturating_sub(u64::from(known.len));
            }
            keep
        });
    }

    fn answer(&self, known: &Known) -> io::Result<Option<Bytes>> {
        let mut text = vec![0; known.len as usize];
        read_exact(self.file.as_ref(), &mut text, known.offset, Wait::Yes)?;
        let line: Line = serde_json::from_slice(&text)?;
        let answer = line.answer.map(|answer| BASE64_STANDARD.decode(answer));
        let answer = answer.transpose().map_err(io::Error::other)?;
        Ok(answer.map(Bytes::from))
    }
}

mod hex_digest {
    use core_model::port::Digest;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(digest: &Digest, to: S) -> Result<S::Ok, S::Error> {
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        to.serialize_str(&hex)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Digest, D::Error> {
        let hex = String::deserialize(from)?;
        let mut digest = [0; 32];
        if hex.len() != 64 || !hex.is_ascii() {
            return Err(de::Error::custom("a digest has 64 hex digits"));
        }
        for (at, byte) in digest.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).map_err(de::Error::custom)?;
        }
        Ok(digest)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::disk::RealDisk;

    fn file(folder: &tempfile::TempDir) -> ReceiptsFile {
        ReceiptsFile::new(Arc::new(RealDisk), folder.path().join(".receipts.jsonl"))
    }

    #[test]
    fn a_request_is_new_once_and_its_answer_stays_across_restarts() {
        let folder = tempfile::tempdir().unwrap();
        let receipts = file(&folder);
        assert_eq!(receipts.begin([1; 32], [9; 32]).unwrap(), None);
        let begun = Receipt {
            request: [9; 32],
            answer: None,
        };
        assert_eq!(
            receipts.begin([1; 32], [8; 32]).unwrap(),
            Some(begun.clone())
        );
        assert_eq!(file(&folder).begin([1; 32], [9; 32]).unwrap(), Some(begun));
        let answer = Bytes::from_static(b"{\"seq\":1}\n\xff");
        receipts.finish([1; 32], &answer).unwrap();
        let answered = Some(Receipt {
            request: [9; 32],
            answer: Some(answer),
        });
        assert_eq!(receipts.begin([1; 32], [9; 32]).unwrap(), answered);
        assert_eq!(file(&folder).begin([1; 32], [9; 32]).unwrap(), answered);
        assert_eq!(receipts.begin([2; 32], [9; 32]).unwrap(), None);
        assert!(receipts.finish([3; 32], &Bytes::new()).is_err());
    }

    #[test]
    fn old_torn_and_foreign_lines_are_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".receipts.jsonl");
        let now = Utc::now().timestamp();
        let line = |key: u8, at: i64| {
            let line = Line {
                key: [key; 32],
                request: [0; 32],
                at,
                answer: None,
            };
            serde_json::to_string(&line).unwrap()
        };
        let good = line(1, now);
        let text = format!("{}\nnonsense\n{good}\n{{\"key\":", line(2, now - KEPT));
        fs::write(&path, text).unwrap();
        let receipts = file(&folder);
        assert!(receipts.begin([1; 32], [0; 32]).unwrap().is_some());
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{good}\n"));
        assert!(receipts.begin([2; 32], [0; 32]).unwrap().is_none());
    }
}
