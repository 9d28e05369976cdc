use std::{
    fs,
    os::unix::fs::{FileExt, MetadataExt},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use core_model::{Record, Seq};

use super::{FileReader, failed};
use crate::ReadError;

/// How often the file is looked at while nothing comes.
const PAUSE: Duration = Duration::from_millis(25);

/// Follows a log that another process writes, in plain blocking code: what is there, then what comes,
/// without gap or double. It looks at the file again and again; the store's owner has
/// [`crate::Follow`], which is told.
///
/// As an iterator it waits for the next event. A damaged line comes as [`ReadError::Damaged`]; an
/// unfinished last line is waited for. After any other error nothing more comes.
///
/// ```
#[doc = include_str!("../example.txt")]
/// use store_fs::{FileReader, ReadError};
///
/// let mut follower = FileReader::open(&folder)?.follow();
/// for record in follower.by_ref().take(3) {
///     println!("{}", record?.head.kind);
/// }
///
/// // The log goes, and so its follower has an end.
/// std::fs::remove_dir_all(&folder)?;
/// assert!(matches!(follower.next(), Some(Err(ReadError::Io { .. }))));
/// assert!(follower.next().is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct FileFollower {
    reader: FileReader,
    /// Where the last event starts that was read, and its line: if the file says otherwise later, it is
    /// not the same log any more.
    last: Option<(u64, Bytes)>,
    /// Whether there may be more to read without looking at the file again.
    reading: bool,
    /// How the file was when it was last looked at: its size, and when it was written to.
    seen: (u64, i64, i64),
    cut: bool,
    ended: bool,
}

impl FileFollower {
    pub(super) fn new(mut reader: FileReader) -> Self {
        // What was left out so far is not left out any more.
        reader.back = None;
        Self {
            reader,
            last: None,
            reading: true,
            seen: (0, 0, 0),
            cut: false,
            ended: false,
        }
    }

    /// The seq of the next event.
    ///
    /// ```
    #[doc = include_str!("../example.txt")]
    /// let follower = store_fs::FileReader::open(&folder)?.follow();
    /// assert_eq!(follower.cursor(), core_model::Seq(0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn cursor(&self) -> Seq {
        self.reader.next
    }

    /// The next event; none when the time is up before one comes.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] for a line that is not an event: the next call continues after it.
    /// [`ReadError::Cut`] when the log is not any more what was read of it: to continue, open it
    /// again. [`ReadError::Io`], also when the log was deleted.
    ///
    /// ```
    #[doc = include_str!("../example.txt")]
    /// use std::time::Duration;
    ///
    /// let mut follower = store_fs::FileReader::open(&folder)?.follow();
    /// let mut count = 0;
    /// while let Some(record) = follower.next_within(Duration::from_millis(10))? {
    ///     println!("{}", record.head.kind);
    ///     count += 1;
    /// }
    /// assert_eq!(count, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn next_within(&mut self, timeout: Duration) -> Result<Option<Record>, ReadError> {
        self.next_until(Instant::now().checked_add(timeout))
    }

    fn next_until(&mut self, deadline: Option<Instant>) -> Result<Option<Record>, ReadError> {
        loop {
            if self.reading || self.has_changed()? {
                self.reading = true;
                if let Some(record) = self.read()? {
                    return Ok(Some(record));
                }
                self.reading = false;
            }
            let left = deadline.map(|deadline| deadline.duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
            thread::sleep(left.map_or(PAUSE, |left| left.min(PAUSE)));
        }
    }

    /// The next event, if it is there as a whole.
    fn read(&mut self) -> Result<Option<Record>, ReadError> {
        let offset = self.reader.offset;
        match self.reader.read() {
            Ok(Some(record)) => {
                self.last = Some((offset, record.bytes.clone()));
                Ok(Some(record))
            }
            Ok(None) | Err(ReadError::Torn { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether the file was written to since this was last asked.
    fn has_changed(&mut self) -> Result<bool, ReadError> {
        let path = &self.reader.path;
        let there = fs::metadata(path).map_err(|source| failed(path, source))?;
        let ours = self.reader.file.metadata();
        let ours = ours.map_err(|source| failed(path, source))?;
        let is_ours = (there.dev(), there.ino()) == (ours.dev(), ours.ino());
        let seen = (there.len(), there.mtime(), there.mtime_nsec());
        let changed = seen != self.seen;
        self.seen = seen;
        // Cut and written to again, it may be longer than before.
        let is_cut = there.len() < self.reader.offset || (changed && !self.has_last());
        self.cut |= is_cut || !is_ours;
        if self.cut {
            return Err(ReadError::Cut {
                path: path.clone(),
                seq: self.reader.next,
            });
        }
        Ok(changed)
    }

    /// Whether the last event is still where it was read.
    fn has_last(&self) -> bool {
        let Some((offset, line)) = &self.last else {
            return true;
        };
        let mut bytes = vec![0; line.len()];
        let read = self.reader.file.read_exact_at(&mut bytes, *offset);
        read.is_ok() && bytes == *line
    }
}

impl Iterator for FileFollower {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let item = self.next_until(None).transpose();
        self.ended = !matches!(item, Some(Ok(_) | Err(ReadError::Damaged { .. })));
        item
    }
}
