use std::{
    io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use core_model::{Seq, StoreError, UtcTime};
use thiserror::Error;

/// Why a conversations folder could not be opened.
///
/// ```
#[doc = include_str!("example.txt")]
/// use store_fs::{FsStore, OpenError, Options};
///
/// let server = FsStore::open(&root, Options::default())?;
/// match FsStore::open(&root, Options::default()) {
///     Err(OpenError::Locked { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
///     Err(error) => return Err(error.into()),
///     Ok(_) => unreachable!("one at a time"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Error)]
pub enum OpenError {
    /// The folder cannot be made, or nothing can be written in it.
    #[error("cannot write to the conversations folder {} as OS user {user}: {source}", folder.display())]
    Unusable {
        /// The conversations folder.
        folder: PathBuf,
        /// Who this process is to the operating system.
        user: String,
        /// What it said.
        source: io::Error,
    },
    /// Another live server holds the folder. What its lock file says of it is for people to read
    /// and may be missing.
    #[error(
        "the conversations folder {} is in use by another server ({})",
        folder.display(),
        holder(*pid, host.as_deref(), *started_at)
    )]
    Locked {
        /// The conversations folder.
        folder: PathBuf,
        /// The holder's process.
        pid: Option<u32>,
        /// The machine it runs on.
        host: Option<String>,
        /// When it took the lock.
        started_at: Option<UtcTime>,
    },
    /// Another live server, of another conversations folder, keeps its records of deliveries in this one.
    #[error(
        "the folder {} is in use by another server ({}): it belongs to all servers whose conversations \
         folders are in {}, and one at a time can have it",
        folder.display(),
        holder(*pid, host.as_deref(), *started_at),
        folder.parent().unwrap_or(folder).display()
    )]
    DeliveriesLocked {
        /// The folder of the records.
        folder: PathBuf,
        /// The holder's process.
        pid: Option<u32>,
        /// The machine it runs on.
        host: Option<String>,
        /// When it took the lock.
        started_at: Option<UtcTime>,
    },
    /// Anything else that the file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

impl OpenError {
    /// The same error where the folder is that of the records of deliveries.
    pub(crate) fn of_deliveries(self) -> Self {
        match self {
            Self::Locked {
                folder,
                pid,
                host,
                started_at,
            } => Self::DeliveriesLocked {
                folder,
                pid,
                host,
                started_at,
            },
            Self::Unusable { folder, source, .. } => Self::Io {
                path: folder,
                source,
            },
            other @ (Self::DeliveriesLocked { .. } | Self::Io { .. }) => other,
        }
    }

    pub(crate) fn unusable(folder: &Path, source: io::Error) -> Self {
        Self::Unusable {
            folder: folder.to_owned(),
            user: os_user(),
            source,
        }
    }
}

/// Why [`crate::FsLog::append`] appended nothing.
///
/// ```
#[doc = include_str!("example.txt")]
/// use core_model::Seq;
/// use store_fs::{AppendError, FsStore, Options};
///
/// let log = FsStore::open(&root, Options::default())?.open_log_blocking(id)?;
/// match log.append_blocking(&[message("four")], Some(Seq(2))) {
///     Err(AppendError::Conflict { found, .. }) => assert_eq!(found, Seq(3)),
///     Err(AppendError::Store(error)) => return Err(error.into()),
///     Ok(_) => unreachable!("the log has three lines"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Error)]
pub enum AppendError {
    /// The log is not as long as the caller expected.
    #[error("the log is {found} events long, not {expected}")]
    Conflict {
        /// How long it had to be.
        expected: Seq,
        /// How long it is, appends under way included.
        found: Seq,
    },
    /// The store does not take the events.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What [`crate::FileReader`] or [`crate::FileFollower`] met instead of an event.
///
/// ```
#[doc = include_str!("example.txt")]
/// use std::{fs::OpenOptions, io::Write};
/// use store_fs::{FileReader, ReadError};
///
/// let mut file = OpenOptions::new().append(true).open(folder.join("events.jsonl"))?;
/// file.write_all(b"no event\n{\"id\": \"half an ev")?;
///
/// let mut events = 0;
/// for record in FileReader::open(&folder)? {
///     match record {
///         Ok(_) => events += 1,
///         Err(ReadError::Damaged { seq, reason, .. }) => eprintln!("event {seq}: {reason}"),
///         Err(ReadError::Torn { bytes, .. }) => assert_eq!(bytes.len(), 18),
///         Err(error @ (ReadError::Io { .. } | ReadError::Cut { .. })) => return Err(error.into()),
///     }
/// }
/// assert_eq!(events, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Error)]
pub enum ReadError {
    /// The file system failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// A whole line that is not an event, or not the one that was written. Reading continues with the next line.
    #[error("{}: line {} at byte {offset} is damaged: {reason}", path.display(), seq.0 + 1)]
    Damaged {
        /// The log.
        path: PathBuf,
        /// The line's place in it.
        seq: Seq,
        /// Where the line starts, in bytes.
        offset: u64,
        /// What is wrong with it, in words.
        reason: String,
    },
    /// The last line has no line break: a crash cut it, or a server is writing it right now.
    #[error("{}: the last line, at byte {offset}, is unfinished ({} bytes)", path.display(), bytes.len())]
    Torn {
        /// The log.
        path: PathBuf,
        /// What the line's place would be.
        seq: Seq,
        /// Where the line starts, in bytes.
        offset: u64,
        /// What there is of it.
        bytes: Vec<u8>,
    },
    /// What was read is not there any more: a write that failed was taken back, a crash of the machine
    /// lost what was not yet durable, or another file took the log's place.
    #[error("{}: the log was cut back or replaced after it was read up to event {seq}", path.display())]
    Cut {
        /// The log.
        path: PathBuf,
        /// The event that would have been read next.
        seq: Seq,
    },
}

/// Names the file in an I/O error: `.map_err(io_at(path))`.
pub(crate) fn io_at(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    move |source| StoreError::Io {
        path: path.display().to_string(),
        source,
    }
}

pub(crate) fn damaged(path: &Path, reason: impl ToString) -> StoreError {
    StoreError::Damaged {
        path: path.display().to_string(),
        reason: reason.to_string(),
    }
}

/// Locks, also after a holder panicked: each holder leaves its data consistent at every step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs file work where it may block.
///
/// # Cancel safety
/// Once started, the work runs to its end even when the caller goes away.
pub(crate) async fn blocking<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(stopped) => Err(io_at(path)(io::Error::other(stopped))),
    }
}

fn os_user() -> String {
    let uid = nix::unistd::geteuid();
    match nix::unistd::User::from_uid(uid) {
        Ok(Some(user)) => user.name,
        Ok(None) | Err(_) => uid.to_string(),
    }
}

fn holder(pid: Option<u32>, host: Option<&str>, started_at: Option<UtcTime>) -> String {
    let parts: Vec<String> = [
        pid.map(|pid| format!("process {pid}")),
        host.map(|host| format!("on {host}")),
        started_at.map(|time| format!("since {time}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    if parts.is_empty() {
        return "its lock file does not say which".to_owned();
    }
    parts.join(" ")
}
