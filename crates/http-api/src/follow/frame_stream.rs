use std::time::Duration;

use futures_util::stream::{self, LocalBoxStream, StreamExt};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::{
    close_reason::CloseReason, frame_encoding::FrameEncoding, frame_source::FrameSource,
    slots::FollowerSlot,
};
use crate::buf_list::BufList;

/// Chunks to send, each with whole frames; the error is why no more come.
pub(crate) type FrameChunks = LocalBoxStream<'static, Result<BufList, CloseReason>>;

/// The pages of `source`, encoded, with heartbeats when nothing happens. A page is read when the one
/// before it was sent. The slot is freed with the stream.
pub(crate) fn frame_chunks(
    source: FrameSource,
    encoding: FrameEncoding,
    heartbeat_interval: Duration,
    slot: FollowerSlot,
) -> FrameChunks {
    let mut heartbeat = interval_at(Instant::now() + heartbeat_interval, heartbeat_interval);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let frames = FrameStream {
        source,
        encoding,
        heartbeat,
        started: false,
        end: None,
        _slot: slot,
    };
    // Boxed, because it is moved into each future and would have room there twice.
    let next = async |frames: Option<Box<FrameStream>>| {
        let mut frames = frames?;
        match frames.next().await {
            Ok(chunk) => Some((Ok(chunk), Some(frames))),
            Err(reason) => Some((Err(reason), None)),
        }
    };
    stream::unfold(Some(Box::new(frames)), next).boxed_local()
}

struct FrameStream {
    source: FrameSource,
    encoding: FrameEncoding,
    heartbeat: Interval,
    started: bool,
    /// Why nothing comes after the chunk that was given out last.
    end: Option<CloseReason>,
    _slot: FollowerSlot,
}

impl FrameStream {
    /// The next frames, at least one.
    async fn next(&mut self) -> Result<BufList, CloseReason> {
        if let Some(reason) = self.end.take() {
            return Err(reason);
        }
        if !self.started {
            self.started = true;
            let chunk = self.opening()?;
            if !chunk.is_empty() {
                return Ok(chunk);
            }
        }
        tokio::select! {
            page = self.source.next() => {
                let page = page?;
                let mut chunk = FrameEncoding::buffer_for(&page);
                for frame in page {
                    if let Err(reason) = self.encoding.frame(frame, &mut chunk) {
                        // The frames before it are sent first.
                        if chunk.is_empty() {
                            return Err(reason);
                        }
                        self.end = Some(reason);
                        break;
                    }
                }
                Ok(chunk)
            }
            _ = self.heartbeat.tick() => {
                let mut chunk = BufList::default();
                self.encoding.heartbeat(chunk.buffer())?;
                if let Some(frame) = self.source.heartbeat() {
                    self.encoding.frame(frame, &mut chunk)?;
                }
                Ok(chunk)
            }
        }
    }

    fn opening(&mut self) -> Result<BufList, CloseReason> {
        let mut chunk = BufList::default();
        self.encoding
            .opening(self.source.position(), chunk.buffer());
        if let Some(frame) = self.source.opening() {
            self.encoding.frame(frame, &mut chunk)?;
        }
        Ok(chunk)
    }
}
