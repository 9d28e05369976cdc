use std::{cmp::Ordering, collections::VecDeque, sync::Arc};

use bytes::Bytes;
use core_model::{EventId, EventTime, Limit, Seq};
use tokio::sync::{
    broadcast::{
        self,
        error::{RecvError, TryRecvError},
    },
    watch,
};

use crate::{
    RuntimeError,
    residency::{
        live_conversation::LiveConversation,
        published::{End, Published},
        transients::{TransientDelta, discarded_frame},
    },
};

/// What a follower holds at a time. A slow client costs this much memory, and what its connection
/// holds.
const PAGE: Limit = Limit {
    records: 64,
    bytes: 8 * 1024,
};

/// Where a follower begins. The first frame is a snapshot of the state, except with [`Self::From`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// With what happens from now on.
    #[default]
    Live,
    /// With the log's first event.
    Beginning,
    /// With the first event at or after this time (inclusive, as the reference has it).
    Since(EventTime),
    /// With the event after this one: neither loses nor repeats.
    After(EventId),
    /// With the event at this position, or the end if the log is not that long (a crash may have
    /// taken what was not synced, so that is warned of, except for `u64::MAX`, which means the end). The
    /// first snapshot comes when everything before it was sent.
    From(Seq),
}

/// What a follower is sent, as the JSON text of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A logged event and its position.
    Event(Seq, Bytes),
    /// A `full_state`. Except for the first, it is true of exactly the events sent so far.
    Snapshot(Bytes),
    /// A piece of a reply that is still being written, or a state update with the key
    /// `streaming_reply`: the pieces so far are void.
    Delta(Bytes),
}

/// Reads a conversation from a cursor and then keeps up. Costs a cursor, not a queue: a slow reader
/// holds one page, and token deltas that it cannot keep up with are skipped.
pub struct Follower {
    live: Arc<LiveConversation>,
    watch: watch::Receiver<Published>,
    deltas: broadcast::Receiver<TransientDelta>,
    /// A delta that comes after events which are still to be sent.
    held: Option<TransientDelta>,
    /// Discarded replies that it was sent, or that came before it.
    discards: u64,
    /// The next seq to send.
    cursor: Seq,
    /// The snapshot epoch sent last.
    epoch: Option<u64>,
    /// Whether the events may come before any snapshot.
    events_first: bool,
    /// The moment being caught up with.
    goal: Option<Published>,
    page: VecDeque<Frame>,
    began_at: Seq,
}

impl Follower {
    pub(crate) async fn new(
        live: Arc<LiveConversation>,
        start: &Start,
    ) -> Result<Self, RuntimeError> {
        let deltas = live.listen();
        let discards = live.no_delta().discards;
        let mut watch = live.published.subscribe();
        let goal = watch.borrow_and_update().clone();
        let began_at = goal.extent.len;
        let cursor = first_seq(&live, goal.extent.len, start).await?;
        let (page, epoch) = (VecDeque::new(), None);
        Ok(Self {
            live,
            watch,
            deltas,
            held: None,
            discards,
            cursor,
            epoch,
            events_first: matches!(start, Start::From(_)),
            goal: Some(goal),
            page,
            began_at,
        })
    }

    /// Where the events end that were there when the follower began.
    #[must_use]
    pub fn began_at(&self) -> Seq {
        self.began_at
    }

    /// The next event to come.
    #[must_use]
    pub fn cursor(&self) -> Seq {
        let waiting = self.page.iter().find_map(|frame| match frame {
            Frame::Event(seq, _) => Some(*seq),
            Frame::Snapshot(_) | Frame::Delta(_) => None,
        });
        waiting.unwrap_or(self.cursor)
    }

    /// The next frames, at least one, as soon as there are some: all that are in memory.
    ///
    /// # Errors
    /// The reason why no more will come.
    ///
    /// # Cancel safety
    /// A dropped call loses nothing but, at most, one delta.
    pub async fn next_page(&mut self) -> Result<Vec<Frame>, End> {
        let mut frames = vec![self.next().await?];
        frames.extend(self.page.drain(..));
        Ok(frames)
    }

    /// The next frame, as soon as there is one.
    ///
    /// # Errors
    /// The reason why no more will come.
    ///
    /// # Cancel safety
    /// A dropped call loses nothing but, at most, one delta.
    pub async fn next(&mut self) -> Result<Frame, End> {
        loop {
            if let Some(frame) = self.page.pop_front() {
                return Ok(frame);
            }
            let Some(goal) = self.goal.clone() else {
                self.news().await?;
                continue;
            };
            if self.epoch.is_none() && !self.events_first {
                self.epoch = Some(goal.epoch);
                return Ok(Frame::Snapshot(self.live.snapshot_frame(&goal)));
            }
            if let Some(delta) = self.delta() {
                return Ok(Frame::Delta(delta));
            }
            if self.cursor < goal.extent.len {
                let behind = self.held.as_ref().map_or(goal.extent.len, |held| held.at);
                self.turn_page(goal.extent.len.min(behind)).await?;
            } else if self.epoch != Some(goal.epoch) {
                self.epoch = Some(goal.epoch);
                return Ok(Frame::Snapshot(self.live.snapshot_frame(&goal)));
            } else if let Some(end) = goal.end {
                return Err(end);
            } else {
                self.goal = None;
            }
        }
    }

    /// A delta that came, if all events before it were sent. A follower that is too slow for the deltas
    /// skips those that wait, but not that pieces are void.
    fn delta(&mut self) -> Option<Bytes> {
        loop {
            let delta = match self.held.take() {
                Some(held) => held,
                None => match self.deltas.try_recv() {
                    Ok(delta) => delta,
                    Err(TryRecvError::Lagged(_)) => self.skip_deltas(),
                    // No reason to end: an end is published, too.
                    Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
                },
            };
            if delta.at > self.cursor {
                self.held = Some(delta);
                return None;
            }
            match delta.discards.cmp(&self.discards) {
                Ordering::Greater => {
                    self.discards = delta.discards;
                    self.held = Some(delta).filter(|delta| delta.piece.is_some());
                    return Some(discarded_frame());
                }
                Ordering::Equal if delta.piece.is_some() => return delta.piece,
                // Known already, or a piece of a reply that is void by now.
                Ordering::Equal | Ordering::Less => {}
            }
        }
    }

    fn skip_deltas(&mut self) -> TransientDelta {
        self.deltas = self.deltas.resubscribe();
        self.live.no_delta()
    }

    /// Waits until the log grew or a delta came.
    async fn news(&mut self) -> Result<(), End> {
        tokio::select! {
            delta = self.deltas.recv(), if self.held.is_none() => match delta {
                Ok(delta) => self.held = Some(delta),
                Err(RecvError::Lagged(_)) => self.held = Some(self.skip_deltas()),
                Err(RecvError::Closed) => return Err(End::Failed),
            },
            changed = self.watch.changed() => changed.map_err(|_closed| End::Failed)?,
        }
        self.goal = Some(self.watch.borrow_and_update().clone());
        Ok(())
    }

    async fn turn_page(&mut self, until: Seq) -> Result<(), End> {
        let wanted = (until.0 - self.cursor.0).min(PAGE.records as u64) as usize;
        let limit = Limit {
            records: wanted,
            ..PAGE
        };
        let records = self.live.log.read(self.cursor, limit).await.map_err(|error| {
            tracing::error!(conversation.id = %self.live.id, %error, "a follower cannot read the log");
            End::Failed
        })?;
        // The log skips damaged lines, so what comes may start later than asked and go further.
        self.cursor = records
            .last()
            .map_or(until, |record| record.seq.after(1))
            .min(until);
        let due = records.into_iter().filter(|record| record.seq < until);
        self.page
            .extend(due.map(|record| Frame::Event(record.seq, record.bytes)));
        Ok(())
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // The idle time counts from here.
        self.live.note_read();
    }
}

async fn first_seq(live: &LiveConversation, len: Seq, start: &Start) -> Result<Seq, RuntimeError> {
    Ok(match start {
        Start::Live => len,
        Start::Beginning => Seq(0),
        Start::From(seq) => {
            if *seq > len && *seq != Seq(u64::MAX) {
                // Clients may ask for anything.
                tracing::debug!(
                    conversation.id = %live.id, cursor = seq.0, len = len.0,
                    "a follower's cursor is beyond the log's end and continues there"
                );
            }
            (*seq).min(len)
        }
        Start::Since(time) => live.log.since(*time).await?.min(len),
        Start::After(id) => live
            .log
            .find(id)
            .await?
            .filter(|seq| *seq < len)
            .ok_or_else(|| RuntimeError::UnknownEvent(id.clone()))?
            .after(1),
    })
}
