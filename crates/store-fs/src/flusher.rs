use std::{
    io,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use core_model::{ConversationId, port::Fault};
use tokio::sync::watch;

use crate::{disk::DiskFile, durable::Durable, error::lock, extent::Extent, notices::Notices};

pub(crate) type Waiting = Mutex<Vec<Unsynced>>;

/// A log that is told how the sync of its file went.
pub(crate) trait UnsyncedLog: Send + Sync {
    fn sync_failed(&self, error: &io::Error);
}

/// A log with events that are written and not yet synced.
pub(crate) struct Unsynced {
    pub(crate) file: Arc<dyn DiskFile>,
    /// Cleared before the sync: later appends ask for another one.
    pub(crate) flag: Arc<AtomicBool>,
    /// Not to be held for the length of a sync: closing it waits for nobody.
    pub(crate) log: Weak<dyn UnsyncedLog>,
    /// What is written, and how much of it is on disk.
    pub(crate) extent: watch::Receiver<Extent>,
    pub(crate) durable: Arc<Durable>,
    pub(crate) id: ConversationId,
    pub(crate) notices: Arc<Notices>,
}

/// Syncs written logs in the background, for [`crate::Durability::Interval`]. Its own thread, since
/// a task would die with the runtime or worker that happened to append.
pub(crate) struct Flusher {
    waiting: Arc<Waiting>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Flusher {
    pub(crate) fn start(interval: Duration) -> io::Result<Self> {
        // Zero would turn the thread into a busy loop.
        let interval = interval.max(Duration::from_millis(1));
        let waiting = Arc::new(Waiting::default());
        let (stop, stopped) = mpsc::channel::<()>();
        let queue = waiting.clone();
        let thread = thread::Builder::new()
            .name("store-flusher".to_owned())
            .spawn(move || {
                while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                    flush(&queue);
                }
                flush(&queue);
            })?;
        Ok(Self {
            waiting,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Syncs this log's file at the next tick.
    pub(crate) fn add(&self, log: Unsynced) {
        lock(&self.waiting).push(log);
    }
}

impl Drop for Flusher {
    /// Waits for a last sync.
    fn drop(&mut self) {
        drop(self.stop.take());
        // The thread itself may be the last to let go of a log, and with it of this.
        let other = |thread: &JoinHandle<()>| thread.thread().id() != thread::current().id();
        if let Some(thread) = self.thread.take().filter(other) {
            thread.join().ok();
        }
    }
}

pub(crate) fn flush(waiting: &Waiting) {
    let logs = std::mem::take(&mut *lock(waiting));
    for log in logs {
        log.flag.store(false, Ordering::Release);
        // Appends continue while this syncs.
        let written = log.extent.borrow().bytes;
        let before = log.durable.sound();
        let Err(error) = log.file.sync() else {
            if let Some(before) = before {
                log.durable.reaches_since(&before, written);
            }
            continue;
        };
        match log.log.upgrade() {
            Some(open) => open.sync_failed(&error),
            None => {
                let id = log.id;
                tracing::error!(conversation.id = %id, %error, "the last events of a closed log could not be synced");
                let text = format!("its last events could not be synced: {}", Fault::of(&error));
                log.notices.add(id, text);
            }
        }
    }
}
