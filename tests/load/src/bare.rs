use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Result;

/// What a durable append costs at the least: `write` and `fdatasync` at the end of a file.
pub(crate) struct Bare {
    file: File,
    line: Vec<u8>,
}

impl Bare {
    /// Appends lines of so many bytes to a new file in `folder`.
    pub(crate) fn new(folder: &Path, bytes: usize) -> Result<Self> {
        let path = folder.join("bare.jsonl");
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let mut line = vec![b'x'; bytes.max(1) - 1];
        line.push(b'\n');
        Ok(Self { file, line })
    }

    pub(crate) fn append(&mut self) -> Result<Duration> {
        let begin = Instant::now();
        self.file.write_all(&self.line)?;
        self.file.sync_data()?;
        Ok(begin.elapsed())
    }
}
