//! The terminal's output as it arrives: a task reads it, whether or not a call waits for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::{sync::watch, task::JoinHandle};
use workspace::PtyOutput;

use super::{
    capture::{Capture, Limits},
    marker::{Piece, Prompt, Scanner},
};

/// What the shell is doing.
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
    /// Between that command's begin marker and its prompt marker.
    capturing: bool,
    capture: Capture,
    /// What is written between commands: by background jobs, and by bash about them.
    between: Capture,
    /// What was written before the command that began last, until it is taken.
    before: String,
    /// Whether the shell is set up; what it writes before that is of no interest.
    ready: bool,
    status: Status,
}

/// The share of an output's limit that background jobs get.
const BACKGROUND_SHARE: usize = 3;

impl Stream {
    /// Reads until the terminal hangs up. The shell is taken to be busy with command 0.
    pub(super) fn open(output: PtyOutput, nonce: &str, limits: Limits) -> Self {
        let background = Limits {
            shown: limits.shown / BACKGROUND_SHARE,
            ..limits.clone()
        };
        let inner = Arc::new(Mutex::new(Inner {
            scanner: Scanner::new(nonce),
            number: 0,
            capturing: false,
            capture: Capture::new(limits),
            between: Capture::new(background),
            before: String::new(),
            ready: false,
            status: Status::Busy,
        }));
        let (grew, changed) = watch::channel(0);
        let reader = tokio::spawn(read(output, Arc::clone(&inner), grew));
        Self {
            inner,
            changed,
            reader,
        }
    }

    /// Prepares for the command of that number.
    pub(super) fn expect(&self, number: u64) {
        let mut inner = lock(&self.inner);
        inner.number = number;
        inner.capturing = false;
        // drops what an earlier command left
        inner.capture.end();
        inner.capture.take();
        if inner.status != Status::Closed {
            inner.status = Status::Busy;
        }
    }

    /// Whether the shell has started the command.
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

    /// What was written between the command that began last and the one before it.
    pub(super) fn take_before(&self) -> String {
        std::mem::take(&mut lock(&self.inner).before)
    }

    /// What was written since the last command was done, while nothing runs.
    pub(super) fn take_between(&self) -> String {
        let mut inner = lock(&self.inner);
        let between = inner.between.take();
        joined(std::mem::take(&mut inner.before), &between)
    }

    /// Whether the running program asked for the other form of arrow keys.
    pub(super) fn application_cursor(&self) -> bool {
        lock(&self.inner).capture.application_cursor()
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

async fn read(mut output: PtyOutput, inner: Arc<Mutex<Inner>>, grew: watch::Sender<u64>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = output.read(&mut buffer).await;
        if length == 0 {
            lock(&inner).close();
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
            between,
            before,
            ready,
            status,
        } = self;
        scanner.push(bytes, |piece| match piece {
            Piece::Output(bytes) if *capturing => capture.push(bytes),
            Piece::Output(bytes) if *ready => between.push(bytes),
            Piece::Output(_) => {}
            Piece::Begin(begun) => {
                *capturing = begun == *number;
                between.end();
                let written = without_own_line(&between.take(), begun);
                *before = joined(std::mem::take(before), &written);
            }
            Piece::Prompt(prompt) if prompt.number == *number && (*capturing || *number == 0) => {
                *capturing = false;
                *ready = true;
                capture.end();
                *status = Status::Done(prompt);
            }
            // a line typed at the prompt by accident: no call waits for it
            Piece::Prompt(_) => {}
        });
    }

    fn close(&mut self) {
        self.capture.end();
        self.between.end();
        self.status = Status::Closed;
    }
}

/// Both, the earlier first. When an earlier one was never taken, its last part is enough.
fn joined(earlier: String, later: &str) -> String {
    const KEPT: usize = 10_000;
    if earlier.is_empty() || later.is_empty() {
        return earlier + later;
    }
    let start = earlier.len().saturating_sub(KEPT);
    let start = earlier.ceil_char_boundary(start);
    format!("{}\n{later}", &earlier[start..])
}

/// `set -x` and `set -v` show the line by which a command is started, which is not the agent's.
fn without_own_line(text: &str, number: u64) -> String {
    let own = format!("__terminal_begin {number} ");
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !format!("{line} ").contains(&own))
        .collect();
    lines.join("\n")
}

/// A panic elsewhere leaves the output readable.
fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}
