use std::{
    io,
    sync::{
        Arc, Mutex,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{error::lock, journal::Journal};

type Waiting = Mutex<Vec<Arc<Mutex<Journal>>>>;

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

    /// Syncs this journal's file at the next tick.
    pub(crate) fn add(&self, journal: Arc<Mutex<Journal>>) {
        lock(&self.waiting).push(journal);
    }
}

impl Drop for Flusher {
    /// Waits for a last sync.
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn flush(waiting: &Waiting) {
    let journals = std::mem::take(&mut *lock(waiting));
    for journal in journals {
        // Appends go on while this syncs.
        let file = lock(&journal).begin_sync();
        if let Err(error) = file.sync_data() {
            lock(&journal).poison(&error);
        }
    }
}
