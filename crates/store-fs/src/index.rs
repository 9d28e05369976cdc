//! `events.idx`: an entry for each line of the log, found by its number. It can always be rebuilt
//! from the log, so appending does not sync it; each entry has a checksum of its own instead.

use std::{
    io,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use core_model::ConversationId;

use crate::{
    disk::{Disk, DiskFile, Open, Wait, read_exact, write_all},
    entry::{ENTRY, Entry},
    error::lock,
};

const MAGIC: &[u8; 8] = b"evlogidx";
const VERSION: u32 = 1;
/// Magic 8, version 4, bytes of an entry 4, conversation id 16, number of damaged lines 8, zeros,
/// CRC-32C of the 60 before 4.
const HEADER: usize = 64;
/// In the place of the number of damaged lines while it is about to change.
const UNCOUNTED: u64 = u64::MAX;
/// Entries counted at a time.
const STRIDE: u64 = 4096;
/// How often a file that refused entries is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// An index that can be read and added to. Clones are the same index.
#[derive(Clone)]
pub(crate) struct Index(Arc<OpenLog>);

struct OpenLog {
    id: ConversationId,
    /// None where none could be made: then all entries are in memory.
    file: Option<Arc<dyn DiskFile>>,
    damaged: AtomicU64,
    kept: Mutex<Kept>,
}

/// Entries that the disk refused, for as long as it does.
struct Kept {
    /// The first one's line.
    from: u64,
    entries: Vec<Entry>,
    tried: Option<Instant>,
}

/// Why entries could not be read.
#[derive(Debug)]
pub(crate) enum IndexError {
    /// Also `WouldBlock`.
    Io(io::Error),
    /// The bytes are not an entry, or not the next one.
    Wrong,
}

impl From<io::Error> for IndexError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Self::Wrong;
        }
        Self::Io(error)
    }
}

impl Index {
    /// Makes an empty one in place of whatever stands there.
    pub(crate) fn create(disk: &dyn Disk, path: &Path, id: ConversationId) -> io::Result<Self> {
        let file = disk.open(path, Open::Make)?;
        file.set_len(0)?;
        write_all(file.as_ref(), &header(id, 0), 0)?;
        Ok(Self::new(id, Some(file), 0, 0))
    }

    /// An empty one that has no file.
    pub(crate) fn in_memory(id: ConversationId) -> Self {
        Self::new(id, None, 0, 0)
    }

    /// The index that is there, and how many entries it has; none if it is not this log's.
    pub(crate) fn open(
        disk: &dyn Disk,
        path: &Path,
        id: ConversationId,
        how: Open,
    ) -> io::Result<Option<(Self, u64)>> {
        let file = match disk.open(path, how) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let len = file.len()?;
        let Some(entries) = len.checked_sub(HEADER as u64) else {
            return Ok(None);
        };
        let entries = entries / ENTRY as u64;
        let mut found = [0; HEADER];
        read_exact(file.as_ref(), &mut found, 0, Wait::Yes)?;
        let mut damaged = [0; 8];
        damaged.copy_from_slice(&found[32..40]);
        let damaged = u64::from_le_bytes(damaged);
        if found != header(id, damaged) {
            return Ok(None);
        }
        Ok(Some((Self::new(id, Some(file), damaged, entries), entries)))
    }

    fn new(id: ConversationId, file: Option<Arc<dyn DiskFile>>, damaged: u64, from: u64) -> Self {
        Self(Arc::new(OpenLog {
            id,
            file,
            damaged: AtomicU64::new(damaged),
            kept: Mutex::new(Kept {
                from,
                entries: Vec::new(),
                tried: None,
            }),
        }))
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The entries `from..from + count`.
    pub(crate) fn read(
        &self,
        from: u64,
        count: usize,
        wait: Wait,
    ) -> Result<Vec<Entry>, IndexError> {
        let entries = self.read_each(from, count, wait)?;
        let mut before: Option<Entry> = None;
        let each = entries.into_iter().map(|entry| {
            let entry = entry.ok_or(IndexError::Wrong)?;
            let continues = before.is_none_or(|before| before.end() == entry.offset);
            before = Some(entry);
            continues.then_some(entry).ok_or(IndexError::Wrong)
        });
        each.collect()
    }

    /// The entries `from..from + count`, none in the place of one that cannot be told.
    pub(crate) fn read_each(
        &self,
        from: u64,
        count: usize,
        wait: Wait,
    ) -> Result<Vec<Option<Entry>>, IndexError> {
        let (kept, in_file) = {
            let kept = lock(&self.0.kept);
            let in_file = kept.from.saturating_sub(from).min(count as u64) as usize;
            let first = (from + in_file as u64).saturating_sub(kept.from) as usize;
            let wanted = kept.entries.iter().skip(first).take(count - in_file);
            (wanted.copied().collect::<Vec<_>>(), in_file)
        };
        if in_file + kept.len() < count {
            return Err(IndexError::Wrong);
        }
        let mut bytes = vec![0; in_file * ENTRY];
        if let Some(file) = self.0.file.as_ref().filter(|_| in_file > 0) {
            read_exact(file.as_ref(), &mut bytes, place(from), wait)?;
        }
        let entries = bytes.chunks_exact(ENTRY).map(Entry::decode);
        Ok(entries.chain(kept.into_iter().map(Some)).collect())
    }

    pub(crate) fn entry(&self, seq: u64, wait: Wait) -> Result<Entry, IndexError> {
        let entries = self.read_each(seq, 1, wait)?;
        entries
            .into_iter()
            .next()
            .flatten()
            .ok_or(IndexError::Wrong)
    }

    /// The first of `len` entries that are in order of what `before` looks at for which that is false.
    pub(crate) fn partition_point(
        &self,
        len: u64,
        wait: Wait,
        before: impl Fn(&Entry) -> bool,
    ) -> Result<u64, IndexError> {
        let (mut low, mut high) = (0, len);
        while low < high {
            let middle = low + (high - low) / 2;
            if before(&self.entry(middle, wait)?) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// Puts entries down at `seq`, its end. What the disk refuses is kept in memory.
    pub(crate) fn write(&self, seq: u64, entries: &[Entry]) {
        let mut kept = lock(&self.0.kept);
        if kept.entries.is_empty() {
            kept.from = seq;
        }
        kept.entries.extend_from_slice(entries);
        if kept.tried.is_none_or(|tried| tried.elapsed() >= RETRY) {
            self.flush(&mut kept);
        }
    }

    /// Tries at once whether the disk takes what it refused.
    pub(crate) fn retry(&self) {
        let mut kept = lock(&self.0.kept);
        if !kept.entries.is_empty() {
            self.flush(&mut kept);
        }
    }

    fn flush(&self, kept: &mut Kept) {
        let Some(file) = &self.0.file else { return };
        let bytes: Vec<u8> = kept.entries.iter().flat_map(Entry::encode).collect();
        match write_all(file.as_ref(), &bytes, place(kept.from)) {
            Ok(()) => {
                kept.from += kept.entries.len() as u64;
                kept.entries = Vec::new();
                kept.tried = None;
            }
            Err(error) => {
                if kept.tried.replace(Instant::now()).is_none() {
                    tracing::warn!(conversation.id = %self.0.id, %error, "the index is not written for now");
                }
            }
        }
    }

    /// Whether nothing of it is in memory alone.
    pub(crate) fn is_whole_on_disk(&self) -> bool {
        self.0.file.is_some() && lock(&self.0.kept).entries.is_empty()
    }

    /// How many lines are not events.
    ///
    /// # Errors
    /// When they have to be counted, and cannot.
    pub(crate) fn damaged(&self, wait: Wait) -> Result<u64, IndexError> {
        let known = self.0.damaged.load(Ordering::Acquire);
        if known != UNCOUNTED {
            return Ok(known);
        }
        let len = self.len();
        let (mut from, mut found) = (0, 0);
        while from < len {
            let count = (len - from).min(STRIDE);
            let entries = self.read(from, count as usize, wait)?;
            found += entries.iter().filter(|entry| entry.is_damaged()).count() as u64;
            from += count;
        }
        self.set_damaged(found);
        Ok(found)
    }

    /// To be called before entries of damaged lines are written; the next count then looks.
    pub(crate) fn begin_damage(&self) {
        self.set_damaged(UNCOUNTED);
    }

    /// Removes all entries from `count` on.
    pub(crate) fn cut(&self, count: u64) -> io::Result<()> {
        self.set_damaged(UNCOUNTED);
        let Some(file) = &self.0.file else {
            return Ok(());
        };
        file.set_len(place(count))?;
        // Else a crash could bring back what no longer fits.
        file.sync()?;
        lock(&self.0.kept).from = count;
        Ok(())
    }

    /// How many entries it has.
    pub(crate) fn len(&self) -> u64 {
        let kept = lock(&self.0.kept);
        kept.from + kept.entries.len() as u64
    }

    fn set_damaged(&self, damaged: u64) {
        if self.0.damaged.swap(damaged, Ordering::AcqRel) == damaged {
            return;
        }
        let Some(file) = &self.0.file else { return };
        let written = write_all(file.as_ref(), &header(self.0.id, damaged), 0);
        if let Err(error) = written.and_then(|()| file.sync()) {
            tracing::warn!(conversation.id = %self.0.id, %error, "the index's header was not written");
        }
    }
}

fn place(seq: u64) -> u64 {
    HEADER as u64 + seq * ENTRY as u64
}

fn header(id: ConversationId, damaged: u64) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[0..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[12..16].copy_from_slice(&(ENTRY as u32).to_le_bytes());
    header[16..32].copy_from_slice(id.0.as_bytes());
    header[32..40].copy_from_slice(&damaged.to_le_bytes());
    let crc = crc32c::crc32c(&header[..60]);
    header[60..64].copy_from_slice(&crc.to_le_bytes());
    header
}
