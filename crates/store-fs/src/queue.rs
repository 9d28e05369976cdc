//! What a log is about to write, and who may append to it.

use std::path::Path;

use core_model::{ConversationId, LineHead, NewRecord, Seq, StoreError, Summary, UtcTime};
use tokio::sync::{oneshot, watch};

use crate::{AppendError, closed::Closed, entry::Entry, error::damaged, extent::Extent};

/// What a log is about to write.
pub(crate) struct Queue {
    pub(crate) pending: Batch,
    /// A thread has this log, or will have it soon: nobody else writes to its file.
    pub(crate) committing: bool,
    /// The log's extent with all that is pending.
    pub(crate) extent: Extent,
    pub(crate) closed: Option<Closed>,
    /// The claim whose holder may append.
    pub(crate) held: Option<Held>,
    /// Moves when a failure takes back what was under way.
    pub(crate) epoch: u64,
}

/// Lines that are written with one write.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) lines: Vec<u8>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) waiting: Vec<Waiting>,
    pub(crate) epoch: u64,
}

pub(crate) struct Waiting {
    pub(crate) extent: Extent,
    pub(crate) listing: Option<Listing>,
    answer: Answer,
}

/// By what right somebody appends.
#[derive(Clone, Copy)]
pub(crate) enum Right {
    /// It owns the folder and uses no claim.
    Owner { expected: Option<Seq> },
    /// It holds, or held, the claim of this epoch.
    Claim {
        epoch: u64,
        expected: Seq,
        listing: Listing,
    },
}

/// What a conversation's row says once an append is visible.
#[derive(Clone, Copy)]
pub(crate) struct Listing {
    pub(crate) created_at: UtcTime,
    pub(crate) summary: Summary,
}

/// What to tell whom. Sent when the log is let go of, so that the callers may close it.
#[must_use]
pub(crate) struct Answers(pub(crate) Vec<(Answer, Result<Seq, StoreError>)>);

impl Answers {
    pub(crate) fn send(self) {
        for (answer, result) in self.0 {
            answer.send(result).ok();
        }
    }
}

impl Batch {
    pub(crate) fn answers(self, result: impl Fn(Seq) -> Result<Seq, StoreError>) -> Answers {
        let waiting = self.waiting.into_iter();
        Answers(
            waiting
                .map(|one| (one.answer, result(one.extent.len)))
                .collect(),
        )
    }
}

impl Queue {
    pub(crate) fn new(extent: Extent, closed: Option<Closed>) -> Self {
        Self {
            pending: Batch::default(),
            committing: false,
            extent,
            closed,
            held: None,
            epoch: 0,
        }
    }

    /// Whether the claim of this epoch is the latest, and not given back.
    pub(crate) fn is_held_by(&self, epoch: u64) -> bool {
        self.held.as_ref().is_some_and(|held| held.epoch == epoch)
    }

    /// Adds lines to what is pending, with what the conversation's row is to say then, and whom to answer.
    pub(crate) fn push(&mut self, lines: Lines, listing: Option<Listing>, answer: Answer) {
        let base = self.extent.bytes;
        self.extent = Extent {
            len: self.extent.len.after(lines.entries.len()),
            bytes: base + lines.size(),
        };
        let placed = lines.entries.into_iter().map(|entry| entry.moved(base));
        self.pending.entries.extend(placed);
        if self.pending.lines.is_empty() {
            self.pending.lines = lines.bytes;
        } else {
            self.pending.lines.extend_from_slice(&lines.bytes);
        }
        self.pending.epoch = self.epoch;
        self.pending.waiting.push(Waiting {
            extent: self.extent,
            listing,
            answer,
        });
    }

    /// What this may append, and what its row is to say.
    pub(crate) fn admit(
        &mut self,
        id: ConversationId,
        right: Right,
    ) -> Result<Option<Listing>, AppendError> {
        let found = self.extent.len;
        if let Right::Claim { epoch, .. } = right
            && !self.is_held_by(epoch)
        {
            return Err(StoreError::Fenced.into());
        }
        if let Some(closed) = &self.closed {
            return Err(closed.error(id).into());
        }
        match right {
            Right::Owner {
                expected: Some(expected),
            } if expected != found => Err(AppendError::Conflict { expected, found }),
            Right::Owner { .. } => Ok(None),
            Right::Claim { expected, .. } if expected != found => {
                // The folder's owner appended without a claim: the holder no longer knows the log.
                self.held = None;
                Err(StoreError::Fenced.into())
            }
            Right::Claim { listing, .. } => Ok(Some(listing)),
        }
    }
}

pub(crate) type Answer = oneshot::Sender<Result<Seq, StoreError>>;

/// Whole lines and their entries, as if they were at the start of the file.
pub(crate) struct Lines {
    pub(crate) bytes: Vec<u8>,
    pub(crate) entries: Vec<Entry>,
}

impl Lines {
    /// Those of a log at `path`.
    ///
    /// # Errors
    /// `Damaged` for a record that is not one line: it would shift every later seq.
    pub(crate) fn of(records: &[NewRecord], path: &Path) -> Result<Self, StoreError> {
        let size = records.iter().map(|record| record.bytes.len() + 1).sum();
        let mut lines = Self {
            bytes: Vec::with_capacity(size),
            entries: Vec::with_capacity(records.len()),
        };
        for record in records {
            let line = &record.bytes;
            let fits = u32::try_from(line.len()).is_ok();
            if line.is_empty() || !fits || memchr::memchr(b'\n', line).is_some() {
                let reason = format!("event {} is not one line of JSON", record.head.id);
                return Err(damaged(path, reason));
            }
            let offset = lines.bytes.len() as u64;
            let head = LineHead::from(&record.head);
            lines.entries.push(Entry::new(offset, line, &head));
            lines.bytes.extend_from_slice(line);
            lines.bytes.push(b'\n');
        }
        Ok(lines)
    }

    pub(crate) fn size(&self) -> u64 {
        self.bytes.len() as u64
    }
}

/// A claim in the log that it is of. Dropping it tells its holder.
pub(crate) struct Held {
    pub(crate) epoch: u64,
    lost: watch::Sender<bool>,
}

impl Held {
    /// With what tells its holder that it is lost.
    pub(crate) fn new(epoch: u64) -> (Self, watch::Receiver<bool>) {
        let (lost, is_lost) = watch::channel(false);
        (Self { epoch, lost }, is_lost)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.lost.send_replace(true);
    }
}
