//! A log without its store: beside a server, without a lock and without a runtime.
//!
//! | module | holds |
//! |---|---|
//! | `places` | where lines stand, by the index or by the log's line breaks |
//! | `window` | a stretch of the log in memory |
//! | `follower` | [`FileFollower`]: what is there, then what comes |

mod follower;
mod places;
mod window;

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use core_model::{LineHead, Record, Seq};

use self::{places::Places, window::Window};
use crate::{
    ReadError,
    entry::Entry,
    layout, pages,
    regular_file::{self, Links},
};

pub use follower::FileFollower;

/// A log, event by event, in plain blocking code: for tools. It takes no lock and changes nothing,
/// so it may read while a server writes; it then sees what has reached the file so far, which may
/// be a little more than the server has called durable.
///
/// It reads from the first event on, from the last one back (`rev()`), or from any other on
/// ([`Self::seek`]). `events.idx` leads it to places in the log and tells whether a line is still the one
/// that was written; where there is no index, or one that does not fit, it does without.
///
/// A damaged line comes as [`ReadError::Damaged`], and reading continues after it. An unfinished last
/// line comes as [`ReadError::Torn`]: as the last item, or as the first one backwards. Other errors end
/// the iteration.
///
/// ```
#[doc = include_str!("example.txt")]
/// use store_fs::FileReader;
///
/// for record in FileReader::open(&folder)? {
///     let record = record?;
///     println!("{} {} {}", record.seq, record.head.timestamp, record.head.kind);
/// }
///
/// // The last two, the newest first.
/// let last: Vec<_> = FileReader::open(&folder)?.rev().take(2).collect::<Result<_, _>>()?;
/// assert_eq!((last[0].seq.0, last[1].seq.0), (2, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct FileReader {
    path: PathBuf,
    file: File,
    places: Places,
    window: Window,
    next: Seq,
    /// Where `next` starts.
    offset: u64,
    /// Where reading backwards has come to, once it has begun.
    back: Option<Seq>,
    done: bool,
}

impl FileReader {
    /// Opens a log by its `events.jsonl` or by its conversation's folder.
    ///
    /// # Errors
    /// [`ReadError::Io`] when the file cannot be opened.
    ///
    /// ```
    #[doc = include_str!("example.txt")]
    /// use store_fs::FileReader;
    ///
    /// assert_eq!(FileReader::open(&folder)?.count(), 3);
    /// assert_eq!(FileReader::open(folder.join("events.jsonl"))?.count(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ReadError> {
        let mut path = path.as_ref().to_owned();
        if path.is_dir() {
            path.push(layout::EVENTS);
        }
        match regular_file::open(&path, Links::Follow) {
            Ok(file) => Ok(Self {
                places: Places::of(&path, &file),
                path,
                file,
                window: Window::default(),
                next: Seq(0),
                offset: 0,
                back: None,
                done: false,
            }),
            Err(source) => Err(ReadError::Io { path, source }),
        }
    }

    /// How many lines the log has now, damaged ones included and an unfinished last one not. With an
    /// index that fits, this costs the same at any length.
    ///
    /// # Errors
    /// [`ReadError::Io`].
    ///
    /// ```
    #[doc = include_str!("example.txt")]
    /// let mut log = store_fs::FileReader::open(&folder)?;
    /// assert_eq!(log.len()?, core_model::Seq(3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn len(&mut self) -> Result<Seq, ReadError> {
        let len = self.places.len(&self.file);
        len.map_err(|source| failed(&self.path, source))
    }

    /// Continues from `seq`, or from the log's end if that comes first. Reading backwards starts again at
    /// the end and comes back to `seq`. With an index that fits, this costs the same at any length.
    ///
    /// # Errors
    /// [`ReadError::Io`].
    ///
    /// ```
    #[doc = include_str!("example.txt")]
    /// use core_model::Seq;
    ///
    /// let mut log = store_fs::FileReader::open(&folder)?;
    /// log.seek(Seq(2))?;
    /// assert_eq!(log.next().transpose()?.map(|record| record.seq), Some(Seq(2)));
    /// log.seek(Seq(100))?;
    /// assert!(log.next().is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn seek(&mut self, seq: Seq) -> Result<(), ReadError> {
        let place = seq.min(self.len()?);
        let indexed = self.places.are_indexed();
        let start = match place.0.checked_sub(1) {
            Some(before) => self.place(Seq(before)).map(|line| line.end),
            None => Ok(0),
        };
        if indexed && !self.places.are_indexed() {
            // The length was wrong too.
            return self.seek(seq);
        }
        self.offset = start.map_err(|source| failed(&self.path, source))?;
        self.next = place;
        self.back = None;
        self.done = false;
        self.window.forget();
        Ok(())
    }

    /// Follows the log from where the reader stands: what is there, then what comes.
    ///
    /// ```
    #[doc = include_str!("example.txt")]
    /// let mut log = store_fs::FileReader::open(&folder)?;
    /// let end = log.len()?;
    /// log.seek(end)?;
    /// let mut follower = log.follow();
    ///
    /// // Meanwhile, elsewhere:
    /// append(&folder, "more")?;
    ///
    /// assert_eq!(follower.next().transpose()?.map(|record| record.seq), Some(end));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn follow(self) -> FileFollower {
        FileFollower::new(self)
    }

    fn read(&mut self) -> Result<Option<Record>, ReadError> {
        let (seq, offset) = (self.next, self.offset);
        if self.back.is_some_and(|back| seq >= back) {
            return Ok(None);
        }
        let line = match self.window.line(&self.file, offset) {
            Ok(Some(line)) => line,
            Ok(None) => return Ok(None),
            Err(source) => return Err(failed(&self.path, source)),
        };
        if !line.complete {
            let bytes = line.bytes.to_owned();
            // Whatever it becomes is to be read then.
            self.window.forget();
            return Err(self.torn(seq, offset, bytes));
        }
        let end = offset + line.bytes.len() as u64 + 1;
        let mut entry = self.places.entry(seq);
        if entry.is_some_and(|entry| (entry.offset, entry.end()) != (offset, end)) {
            self.places.distrust();
            entry = None;
        }
        self.next = seq.after(1);
        self.offset = end;
        record(&self.path, seq, offset, line.bytes, entry).map(Some)
    }

    fn read_back(&mut self) -> Result<Option<Record>, ReadError> {
        let back = match self.back {
            Some(back) => back,
            None => {
                let len = self.len()?;
                self.back = Some(len);
                if let Some(torn) = self.unfinished(len)? {
                    return Err(torn);
                }
                len
            }
        };
        if back <= self.next {
            return Ok(None);
        }
        let seq = Seq(back.0 - 1);
        let indexed = self.places.are_indexed();
        let place = self.place(seq);
        let entry = self.places.entry(seq);
        if indexed && !self.places.are_indexed() {
            // The length was wrong too.
            self.back = Some(back.min(self.len()?));
            return self.read_back();
        }
        let line = place.and_then(|place| {
            let bytes = self.window.back_from(&self.file, place.clone())?;
            Ok((place.start, &bytes[..bytes.len() - 1]))
        });
        self.back = Some(seq);
        match line {
            Ok((offset, line)) => record(&self.path, seq, offset, line, entry).map(Some),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(ReadError::Cut {
                path: self.path.clone(),
                seq,
            }),
            Err(source) => Err(failed(&self.path, source)),
        }
    }

    /// The bytes of a line, its line break included.
    fn place(&mut self, seq: Seq) -> io::Result<std::ops::Range<u64>> {
        let place = self.places.line(&self.file, seq)?;
        if self.places.entry(seq).is_none() {
            return Ok(place);
        }
        // An entry may be whole and yet of another log than this.
        let before = place.start.checked_sub(1);
        let from = before.unwrap_or(place.start);
        let bytes = self.window.back_from(&self.file, from..place.end)?;
        let (breaks, rest) = match before {
            Some(_) => bytes.split_at(1),
            None => (&b"\n"[..], bytes),
        };
        if breaks == b"\n" && memchr::memchr(b'\n', rest) == Some(rest.len() - 1) {
            return Ok(place);
        }
        self.places.distrust();
        self.places.line(&self.file, seq)
    }

    /// What stands after the last whole line.
    fn unfinished(&mut self, len: Seq) -> Result<Option<ReadError>, ReadError> {
        let end = self.places.end();
        let line = match self.window.line(&self.file, end) {
            Ok(line) => line,
            Err(source) => return Err(failed(&self.path, source)),
        };
        // A complete one has come this moment, and is not among those to be read.
        let torn = line.filter(|line| !line.complete);
        let torn = torn.map(|line| line.bytes.to_owned());
        self.window.forget();
        Ok(torn.map(|bytes| self.torn(len, end, bytes)))
    }

    fn torn(&self, seq: Seq, offset: u64, bytes: Vec<u8>) -> ReadError {
        ReadError::Torn {
            path: self.path.clone(),
            seq,
            offset,
            bytes,
        }
    }
}

impl Iterator for FileReader {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let item = self.read().transpose();
        self.done = !matches!(item, Some(Ok(_) | Err(ReadError::Damaged { .. })));
        item
    }
}

impl DoubleEndedIterator for FileReader {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let item = self.read_back().transpose();
        let goes_on = matches!(
            item,
            Some(Ok(_) | Err(ReadError::Damaged { .. } | ReadError::Torn { .. }))
        );
        self.done = !goes_on;
        item
    }
}

/// The event that a line is.
fn record(
    path: &Path,
    seq: Seq,
    offset: u64,
    line: &[u8],
    entry: Option<Entry>,
) -> Result<Record, ReadError> {
    let head = match entry.filter(|entry| !entry.is_damaged()) {
        Some(entry) => pages::head(&entry, line),
        None => LineHead::parse(line).map(|head| head.to_head()),
    };
    match head {
        Ok(head) => Ok(Record {
            seq,
            head,
            bytes: line.to_owned().into(),
        }),
        Err(reason) => Err(ReadError::Damaged {
            path: path.to_owned(),
            seq,
            offset,
            reason,
        }),
    }
}

fn failed(path: &Path, source: io::Error) -> ReadError {
    ReadError::Io {
        path: path.to_owned(),
        source,
    }
}
