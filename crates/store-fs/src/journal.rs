use std::{
    fs::File,
    io::{self, Write},
    path::PathBuf,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use core_model::{ConversationId, StoreError};

use crate::error::{io_at, lock};

/// What "durable" means for appended events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// On disk: `fdatasync` before an append returns.
    #[default]
    Always,
    /// Written to the operating system, and on disk after at most this long. A crash of the machine
    /// may lose the last events; a crash of the server loses none.
    Interval(Duration),
    /// Written to the operating system, which decides when it reaches the disk.
    Os,
}

/// The writing end of one log's file. Whoever holds it is the one writer.
pub(crate) struct Journal {
    id: ConversationId,
    path: PathBuf,
    file: Arc<File>,
    durability: Durability,
    health: Arc<Health>,
    /// The length of what was written well; a failed write is cut back to it.
    end: u64,
    /// Written to since the last sync; only kept for [`Durability::Interval`].
    unsynced: bool,
    closed: Option<Closed>,
}

/// Why a journal takes no more events.
enum Closed {
    /// An earlier write or sync failed, so what is on disk is uncertain.
    Poisoned(Arc<Fault>),
    Deleted,
}

/// Which log failed and how.
struct Fault {
    id: ConversationId,
    reason: String,
}

/// The poisoned logs of a store. A fault counts as long as its journal lives.
#[derive(Default)]
pub(crate) struct Health(Mutex<Vec<Weak<Fault>>>);

impl Journal {
    pub(crate) fn new(
        id: ConversationId,
        path: PathBuf,
        file: Arc<File>,
        end: u64,
        durability: Durability,
        health: Arc<Health>,
    ) -> Self {
        Self {
            id,
            path,
            file,
            durability,
            health,
            end,
            unsynced: false,
            closed: None,
        }
    }

    /// # Errors
    /// Why nothing can be appended any more.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        match &self.closed {
            None => Ok(()),
            Some(Closed::Poisoned(fault)) => Err(StoreError::Poisoned(fault.reason.clone())),
            Some(Closed::Deleted) => Err(StoreError::NotFound(self.id)),
        }
    }

    /// Writes whole lines with one write and makes them as durable as the setting says. Tells
    /// whether the log now waits for [`Journal::begin_sync`] and did not before.
    ///
    /// # Errors
    /// `Io` for the write or sync that failed and poisoned the journal; afterwards [`Self::check`]'s.
    pub(crate) fn append(&mut self, lines: &[u8]) -> Result<bool, StoreError> {
        self.check()?;
        let mut written = (&*self.file).write_all(lines);
        if written.is_ok() && self.durability == Durability::Always {
            written = self.file.sync_data();
        }
        if let Err(error) = written {
            self.poison(&error);
            self.cut_back();
            return Err(io_at(&self.path)(error));
        }
        self.end += lines.len() as u64;
        let interval = matches!(self.durability, Durability::Interval(_));
        Ok(interval && !std::mem::replace(&mut self.unsynced, interval))
    }

    /// The file to sync now; later appends ask for another sync.
    pub(crate) fn begin_sync(&mut self) -> Arc<File> {
        self.unsynced = false;
        self.file.clone()
    }

    /// Takes no more events, since a write or sync failed: after a failed `fdatasync` the kernel may
    /// have dropped the bytes, and a second call would not say so.
    pub(crate) fn poison(&mut self, error: &io::Error) {
        if self.closed.is_some() {
            return;
        }
        let fault = Arc::new(Fault {
            id: self.id,
            reason: reason(error),
        });
        tracing::error!(
            conversation.id = %self.id,
            reason = fault.reason,
            "the log takes no more events: a write failed"
        );
        self.health.report(&fault);
        self.closed = Some(Closed::Poisoned(fault));
    }

    /// Takes no more events, since the conversation is gone.
    pub(crate) fn close_deleted(&mut self) {
        self.closed = Some(Closed::Deleted);
    }

    /// Takes unacknowledged bytes off the file. If this fails too, the next opening mends the tail.
    fn cut_back(&self) {
        let cut = self.file.set_len(self.end);
        if let Err(error) = cut.and_then(|()| self.file.sync_all()) {
            tracing::warn!(conversation.id = %self.id, %error, "could not cut the failed write off");
        }
    }
}

impl Health {
    /// # Errors
    /// The first poisoned log that is still open, and why it is.
    pub(crate) fn check(&self) -> Result<(), String> {
        let mut faults = lock(&self.0);
        faults.retain(|fault| fault.strong_count() > 0);
        match faults.iter().find_map(Weak::upgrade) {
            None => Ok(()),
            Some(fault) => Err(format!(
                "conversation {} takes no more events: {}",
                fault.id, fault.reason
            )),
        }
    }

    fn report(&self, fault: &Arc<Fault>) {
        lock(&self.0).push(Arc::downgrade(fault));
    }
}

/// An I/O error in words that a person can act on.
fn reason(error: &io::Error) -> String {
    let names = [
        (io::ErrorKind::StorageFull, "disk full"),
        (io::ErrorKind::QuotaExceeded, "disk quota used up"),
        (io::ErrorKind::ReadOnlyFilesystem, "read-only"),
    ];
    let name = names.iter().find(|(kind, _)| *kind == error.kind());
    name.map_or_else(|| error.to_string(), |(_, name)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_failures_have_plain_names() {
        let reasons = [28, 122, 30].map(|errno| reason(&io::Error::from_raw_os_error(errno)));
        assert_eq!(reasons, ["disk full", "disk quota used up", "read-only"]);
    }
}
