//! `{follower}/cursors.jsonl`: the records of each follower, one note a line.
//!
//! Nothing is added to a file of which it is uncertain what is on disk: one that an earlier process
//! left, or whose sync failed. Its whole lines replace it first, so that what is added later cannot be
//! lost with what was not there.

use std::{
    collections::HashMap,
    io,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use core_model::{ConversationKey, StoreError, port::FollowerChange};
use serde::de::IgnoredAny;

use super::fold::{fold, notes};
use crate::{
    append_file::AppendFile,
    disk::{Disk, Open, read_all},
    error::{io_at, lock},
    layout,
    meta::replace,
};

/// Lines after which a file is compacted, if they are more than twice what was left the last time.
pub(super) const MAX_LINES: usize = 20_000;

pub(crate) struct NoteFiles {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    files: Mutex<HashMap<String, Arc<Mutex<NoteFile>>>>,
}

impl NoteFiles {
    pub(super) fn new(disk: Arc<dyn Disk>, folder: PathBuf) -> Self {
        Self {
            disk,
            folder,
            files: Mutex::default(),
        }
    }

    /// Those that have a file, by name. Blocks, as all that follow.
    pub(crate) fn followers(&self) -> Result<Vec<String>, StoreError> {
        let names = self.disk.names(&self.folder).map_err(io_at(&self.folder))?;
        let mut found: Vec<String> = names
            .into_iter()
            .filter_map(|name| name.into_string().ok())
            .filter(|name| layout::is_follower(name))
            .filter(|name| {
                let file = self.folder.join(name).join(layout::CURSORS);
                self.disk.exists(&file)
            })
            .collect();
        found.sort_unstable();
        Ok(found)
    }

    /// All notes about a follower, in the order in which they were written. Lines that a crash cut or
    /// damaged are left out, with a warning.
    pub(crate) fn read(&self, follower: &str) -> Result<Vec<FollowerChange>, StoreError> {
        self.with(follower, |file| file.read())
    }

    /// Writes more notes.
    ///
    /// # Errors
    /// When they cannot be written: none, some or all were.
    pub(crate) fn append(
        &self,
        follower: &str,
        notes: &[FollowerChange],
    ) -> Result<(), StoreError> {
        self.with(follower, |file| file.append(notes))
    }

    /// Makes durable what was written; where the file is large, by replacing it with fewer notes that come
    /// to the same, without cursors of conversations that `keep` does not name.
    pub(crate) fn sync(
        &self,
        follower: &str,
        keep: impl Fn(&ConversationKey) -> bool,
    ) -> Result<(), StoreError> {
        self.with(follower, |file| {
            if file.is_large() {
                file.compact(keep)
            } else {
                file.sync()
            }
        })
    }

    /// Replaces all notes, whole or not at all, durably.
    #[cfg(test)]
    pub(crate) fn replace(
        &self,
        follower: &str,
        notes: &[FollowerChange],
    ) -> Result<(), StoreError> {
        self.with(follower, |file| file.put(&lines(notes)?, notes.len()))
    }

    /// Removes all notes about a follower.
    pub(crate) fn forget(&self, follower: &str) -> Result<(), StoreError> {
        self.with(follower, NoteFile::forget)
    }

    fn with<T>(
        &self,
        follower: &str,
        work: impl FnOnce(&mut NoteFile) -> io::Result<T>,
    ) -> Result<T, StoreError> {
        if !layout::is_follower(follower) {
            let reason = format!("{follower:?} is not a valid name of a follower");
            let error = io::Error::new(io::ErrorKind::InvalidInput, reason);
            return Err(io_at(&self.folder)(error));
        }
        let file = {
            let mut files = lock(&self.files);
            let file = files.entry(follower.to_owned()).or_insert_with(|| {
                let file = NoteFile::new(Arc::clone(&self.disk), self.folder.clone(), follower);
                Arc::new(Mutex::new(file))
            });
            Arc::clone(file)
        };
        let mut file = lock(&file);
        let done = work(&mut file);
        done.map_err(io_at(&file.path))
    }
}

struct NoteFile {
    disk: Arc<dyn Disk>,
    /// That of all followers, and in it this one's.
    above: PathBuf,
    folder: PathBuf,
    path: PathBuf,
    /// Kept open between appends.
    open: Option<AppendFile>,
    /// Whether it is uncertain what of the file is on disk.
    unsure: bool,
    /// Whether the names of file and folder are durable.
    named: bool,
    /// Lines in it, and how many were left when it was last compacted.
    lines: usize,
    compacted: usize,
}

impl NoteFile {
    fn new(disk: Arc<dyn Disk>, above: PathBuf, follower: &str) -> Self {
        let folder = above.join(follower);
        Self {
            path: folder.join(layout::CURSORS),
            disk,
            above,
            folder,
            open: None,
            unsure: true,
            named: false,
            lines: 0,
            compacted: 0,
        }
    }

    fn read(&self) -> io::Result<Vec<FollowerChange>> {
        let text = self.text()?.unwrap_or_default();
        let mut bad = 0;
        let notes = text
            .split_inclusive(|byte| *byte == b'\n')
            .filter_map(|line| {
                let note = line.strip_suffix(b"\n");
                let note = note.and_then(|line| serde_json::from_slice(line).ok());
                bad += usize::from(note.is_none());
                note
            })
            .collect();
        if bad > 0 {
            tracing::warn!(
                path = %self.path.display(), bad,
                "lines that are not valid notes, or are cut off, are left out"
            );
        }
        Ok(notes)
    }

    fn append(&mut self, notes: &[FollowerChange]) -> io::Result<()> {
        if notes.is_empty() {
            return Ok(());
        }
        let text = lines(notes)?;
        if self.unsure {
            self.rewrite()?;
        }
        if self.open.is_none() {
            self.open = Some(self.make()?);
        }
        if let Some(open) = &mut self.open {
            open.append(&text)?;
            self.lines += notes.len();
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.unsure {
            return self.rewrite();
        }
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        let synced = open.sync();
        // Another sync of the same file would prove nothing.
        self.unsure = synced.is_err();
        synced?;
        if !self.named {
            self.disk.sync_dir(&self.folder)?;
            self.disk.sync_dir(&self.above)?;
            self.named = true;
        }
        Ok(())
    }

    fn is_large(&self) -> bool {
        self.lines > MAX_LINES.max(self.compacted * 2)
    }

    fn compact(&mut self, keep: impl Fn(&ConversationKey) -> bool) -> io::Result<()> {
        let Some(records) = fold(self.read()?) else {
            return self.sync();
        };
        let fewest = notes(&records, keep);
        self.put(&lines(&fewest)?, fewest.len())?;
        self.compacted = fewest.len();
        Ok(())
    }

    /// Replaces the file's text, of so many lines.
    fn put(&mut self, text: &[u8], lines: usize) -> io::Result<()> {
        self.make_folder()?;
        // Whatever comes of it, the file that was open is not the one that counts.
        self.open = None;
        self.unsure = true;
        replace(self.disk.as_ref(), &self.path, text)?;
        self.lines = lines;
        if !self.named {
            self.disk.sync_dir(&self.above)?;
            self.named = true;
        }
        self.unsure = false;
        Ok(())
    }

    fn forget(&mut self) -> io::Result<()> {
        self.open = None;
        self.unsure = true;
        self.named = false;
        match self.disk.remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        self.disk.sync_dir(&self.above)
    }

    /// Replaces the file by its own whole lines, those with kinds of notes that this build does not know
    /// included.
    fn rewrite(&mut self) -> io::Result<()> {
        let Some(text) = self.text()? else {
            self.open = None;
            self.unsure = false;
            self.lines = 0;
            return Ok(());
        };
        let is_whole = |line: &&[u8]| {
            let line = line.strip_suffix(b"\n");
            line.is_some_and(|line| serde_json::from_slice::<IgnoredAny>(line).is_ok())
        };
        let lines = text.split_inclusive(|byte| *byte == b'\n');
        let good: Vec<&[u8]> = lines.filter(is_whole).collect();
        self.put(&good.concat(), good.len())
    }

    /// What is in the file, if there is one.
    fn text(&self) -> io::Result<Option<Vec<u8>>> {
        let mut text = match read_all(self.disk.as_ref(), &self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        if let Some(open) = &self.open {
            text.truncate(usize::try_from(open.end()).unwrap_or(usize::MAX));
        }
        Ok(Some(text))
    }

    /// Opens a file of whole lines that are on disk, or a new one.
    fn make(&self) -> io::Result<AppendFile> {
        self.make_folder()?;
        let file = self.disk.open(&self.path, Open::Make)?;
        let end = file.len()?;
        Ok(AppendFile::new(file, &self.path, end))
    }

    fn make_folder(&self) -> io::Result<()> {
        if self.disk.exists(&self.folder) {
            return Ok(());
        }
        self.disk.create_dir(&self.folder)
    }
}

fn lines(notes: &[FollowerChange]) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    for note in notes {
        serde_json::to_writer(&mut text, note)?;
        text.push(b'\n');
    }
    Ok(text)
}
