use std::{
    io,
    ops::Range,
    sync::{PoisonError, RwLock},
};

use crate::disk::DiskFile;

/// A file that is only in memory, for what can be made again.
pub(crate) struct MemoryFile(RwLock<Vec<u8>>);

impl MemoryFile {
    pub(crate) fn new(contents: Vec<u8>) -> Self {
        Self(RwLock::new(contents))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn look<T>(&self, look: impl FnOnce(&[u8]) -> T) -> T {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl DiskFile for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.look(|bytes| bytes.len() as u64))
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        Ok(self.look(|bytes| {
            let from = bytes.get(at as usize..).unwrap_or_default();
            let count = from.len().min(buffer.len());
            buffer[..count].copy_from_slice(&from[..count]);
            count
        }))
    }

    fn read_now(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.read_at(buffer, at)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        self.change(|contents| {
            let at = at as usize;
            let end = at + bytes.len();
            if contents.len() < end {
                contents.resize(end, 0);
            }
            contents[at..end].copy_from_slice(bytes);
        });
        Ok(bytes.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(|contents| contents.resize(len as usize, 0));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn start_writeout(&self, _range: Range<u64>) {}
}
