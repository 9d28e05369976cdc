//! The terminal's output as it arrives: a task reads it, whether or not anyone waits for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pty_process::OwnedReadPty;
use tokio::{io::AsyncReadExt, sync::watch, task::JoinHandle};

use super::{
    capture::{Capture, Limits},
    marker::{Piece, Prompt, Scanner},
};

/// What the shell is at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// A command was sent and is not done.
    Busy,
    /// The last command is done.
    Done(Prompt),
    /// The terminal hung up: the shell is gone.
    Closed,
}

/// A handle on the output of one shell. Dropping it stops the reading.
#[derive(Debug)]
pub(super) struct Stream {
    inner: Arc<Mutex<Inner>>,
    changed: watch::Receiver<u64>,
    reader: JoinHandle<()>,
}

#[derive(Debug)]
struct Inner {
    scanner: Scanner,
    /// The number of the command last sent.
    number: u64,
    /// Between that command's begin marker and its prompt marker. What is written outside belongs
    /// to no command: echo, job notices, background output.
    capturing: bool,
    capture: Capture,
    status: Status,
}

impl Stream {
    /// Reads until the terminal hangs up. The shell is taken to be busy with command 0.
    pub(super) fn open(pty: OwnedReadPty, nonce: &str, limits: Limits) -> Self {
        let inner = Arc::new(Mutex::new(Inner {
            scanner: Scanner::new(nonce),
            number: 0,
            capturing: false,
            capture: Capture::new(limits),
            status: Status::Busy,
        }));
        let (grew, changed) = watch::channel(0);
        let reader = tokio::spawn(read(pty, Arc::clone(&inner), grew));
        Self {
            inner,
            changed,
            reader,
        }
    }

    /// Makes ready for the command of that number.
    pub(super) fn expect(&self, number: u64) {
        let mut inner = lock(&self.inner);
        inner.number = number;
        inner.capturing = false;
        // drops what an earlier command left
        inner.capture.take();
        if inner.status != Status::Closed {
            inner.status = Status::Busy;
        }
    }

    /// Whether the shell has taken the command.
    pub(super) fn has_begun(&self) -> bool {
        let inner = lock(&self.inner);
        inner.capturing || inner.status != Status::Busy
    }

    pub(super) fn status(&self) -> Status {
        lock(&self.inner).status.clone()
    }

    /// The output since the last call.
    pub(super) fn take(&self) -> String {
        lock(&self.inner).capture.take()
    }

    /// Sees every change after this call.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        let mut changed = self.changed.clone();
        changed.mark_unchanged();
        changed
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

async fn read(mut pty: OwnedReadPty, inner: Arc<Mutex<Inner>>, grew: watch::Sender<u64>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        // a closed slave side reads as EIO on Linux, as the end elsewhere
        let length = pty.read(&mut buffer).await.unwrap_or(0);
        if length == 0 {
            lock(&inner).status = Status::Closed;
        } else {
            lock(&inner).push(&buffer[..length]);
        }
        grew.send_modify(|count| *count = count.wrapping_add(1));
        if length == 0 {
            return;
        }
    }
}

impl Inner {
    fn push(&mut self, bytes: &[u8]) {
        let Self {
            scanner,
            number,
            capturing,
            capture,
            status,
        } = self;
        scanner.push(bytes, |piece| match piece {
            Piece::Output(bytes) if *capturing => capture.push(bytes),
            Piece::Output(_) => {}
            Piece::Begin(begun) => *capturing = begun == *number,
            Piece::Prompt(prompt) if prompt.number == *number && (*capturing || *number == 0) => {
                *capturing = false;
                *status = Status::Done(prompt);
            }
            // a line typed at the prompt by accident: nobody waits for it
            Piece::Prompt(_) => {}
        });
    }
}

/// A panic elsewhere leaves the output readable.
fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}
