//! `events.idx`: an entry for each line of the log, found by its number. It can always be rebuilt
//! from the log, so it is never synced; each entry has a checksum of its own instead.

use std::{io, path::Path, sync::Arc};

use core_model::ConversationId;

use crate::{
    disk::{Disk, DiskFile, Open, Wait, read_exact, write_all},
    entry::{ENTRY, Entry},
    memory::MemoryFile,
};

const MAGIC: &[u8; 8] = b"evlogidx";
const VERSION: u32 = 1;
/// Magic 8, version 4, bytes of an entry 4, conversation id 16, zeros, CRC-32C of the 60 before 4.
const HEADER: usize = 64;

/// An index that can be read and added to.
#[derive(Clone)]
pub(crate) struct Index {
    file: Arc<dyn DiskFile>,
}

/// Why entries could not be read.
#[derive(Debug)]
pub(crate) enum IndexError {
    /// Also `WouldBlock`.
    Io(io::Error),
    /// What is there is no entry, or does not continue the one before.
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
        write_all(file.as_ref(), &header(id), 0)?;
        Ok(Self { file })
    }

    /// An empty one that is never on disk.
    pub(crate) fn in_memory(id: ConversationId) -> Self {
        Self {
            file: Arc::new(MemoryFile::new(header(id).to_vec())),
        }
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
        let mut found = [0; HEADER];
        read_exact(file.as_ref(), &mut found, 0, Wait::Yes)?;
        if found != header(id) {
            return Ok(None);
        }
        Ok(Some((Self { file }, entries / ENTRY as u64)))
    }

    /// The entries `from..from + count`.
    pub(crate) fn read(
        &self,
        from: u64,
        count: usize,
        wait: Wait,
    ) -> Result<Vec<Entry>, IndexError> {
        let mut bytes = vec![0; count * ENTRY];
        read_exact(self.file.as_ref(), &mut bytes, place(from), wait)?;
        let mut entries: Vec<Entry> = Vec::with_capacity(count);
        for bytes in bytes.chunks_exact(ENTRY) {
            let entry = Entry::decode(bytes).ok_or(IndexError::Wrong)?;
            let continues = entries
                .last()
                .is_none_or(|before| before.end() == entry.offset);
            if !continues {
                return Err(IndexError::Wrong);
            }
            entries.push(entry);
        }
        Ok(entries)
    }

    pub(crate) fn entry(&self, seq: u64, wait: Wait) -> Result<Entry, IndexError> {
        let mut bytes = [0; ENTRY];
        read_exact(self.file.as_ref(), &mut bytes, place(seq), wait)?;
        Entry::decode(&bytes).ok_or(IndexError::Wrong)
    }

    /// Puts entries down at `seq` and after.
    pub(crate) fn write(&self, seq: u64, entries: &[Entry]) -> io::Result<()> {
        let bytes: Vec<u8> = entries.iter().flat_map(Entry::encode).collect();
        write_all(self.file.as_ref(), &bytes, place(seq))
    }

    /// Forgets all entries from `count` on, durably: they must not come back under other lines.
    pub(crate) fn cut(&self, count: u64) -> io::Result<()> {
        self.file.set_len(place(count))?;
        self.file.sync()
    }
}

fn place(seq: u64) -> u64 {
    HEADER as u64 + seq * ENTRY as u64
}

fn header(id: ConversationId) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[0..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[12..16].copy_from_slice(&(ENTRY as u32).to_le_bytes());
    header[16..32].copy_from_slice(id.0.as_bytes());
    let crc = crc32c::crc32c(&header[..60]);
    header[60..64].copy_from_slice(&crc.to_le_bytes());
    header
}
