use std::{
    io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use core_model::{Seq, StoreError, UtcTime};
use thiserror::Error;

/// Why a conversations folder could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The folder cannot be made, or nothing can be written in it.
    #[error("cannot write to the conversations folder {} as OS user {user}: {source}", folder.display())]
    Unusable {
        folder: PathBuf,
        user: String,
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
        folder: PathBuf,
        pid: Option<u32>,
        host: Option<String>,
        started_at: Option<UtcTime>,
    },
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

impl OpenError {
    pub(crate) fn unusable(folder: &Path, source: io::Error) -> Self {
        Self::Unusable {
            folder: folder.to_owned(),
            user: os_user(),
            source,
        }
    }
}

/// What [`crate::LogReader`] met instead of an event.
#[derive(Debug, Error)]
pub enum ReadError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    /// A whole line that is no event. Reading goes on with the next line.
    #[error("{}: line {} at byte {offset} is damaged: {reason}", path.display(), seq.0 + 1)]
    Damaged {
        path: PathBuf,
        seq: Seq,
        offset: u64,
        reason: String,
    },
    /// The last line has no line break: a crash cut it, or a server is writing it right now.
    #[error("{}: the last line, at byte {offset}, is unfinished ({} bytes)", path.display(), bytes.len())]
    Torn {
        path: PathBuf,
        seq: Seq,
        offset: u64,
        bytes: Vec<u8>,
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
