use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use core_model::{Draft, EventBody, EventTime, Seq, Source, event::StreamingDeltaEvent};
use serde_json::json;
use tokio::sync::broadcast;

/// Token deltas that a listener may fall behind before it skips some.
const DELTA_RING: usize = 128;

/// The transient events of one conversation: pieces of a reply that is being written.
#[derive(Default)]
pub(crate) struct Transients {
    /// Created for the first listener, because it has its full size at once.
    ring: OnceLock<broadcast::Sender<TransientDelta>>,
    /// Replies whose pieces were sent and then discarded.
    discards: AtomicU64,
}

/// A piece of a reply that is being written, or that the pieces so far are void.
#[derive(Clone)]
pub(crate) struct TransientDelta {
    /// The length of the log when it came: it belongs behind the events before that.
    pub(crate) at: Seq,
    /// How many replies had been discarded by then.
    pub(crate) discards: u64,
    /// None: the last of those was discarded just now.
    pub(crate) piece: Option<Bytes>,
}

impl Transients {
    pub(crate) fn listen(&self) -> broadcast::Receiver<TransientDelta> {
        let ring = || broadcast::Sender::new(DELTA_RING);
        self.ring.get_or_init(ring).subscribe()
    }

    /// How many replies were discarded so far.
    pub(crate) fn discards(&self) -> u64 {
        self.discards.load(Ordering::Acquire)
    }

    pub(crate) fn discard_reply(&self, at: Seq) {
        self.discards.fetch_add(1, Ordering::AcqRel);
        self.send(|| TransientDelta {
            at,
            discards: self.discards(),
            piece: None,
        });
    }

    pub(crate) fn send_piece(&self, at: Seq, piece: impl FnOnce() -> Bytes) {
        self.send(|| TransientDelta {
            at,
            discards: self.discards(),
            piece: Some(piece()),
        });
    }

    /// Encodes nothing when no one listens.
    fn send(&self, delta: impl FnOnce() -> TransientDelta) {
        let ring = self.ring.get().filter(|ring| ring.receiver_count() > 0);
        if let Some(ring) = ring {
            ring.send(delta()).ok();
        }
    }
}

/// A piece of a streamed reply, as listeners are sent it.
pub(crate) fn piece_frame(content: Option<String>, reasoning_content: Option<String>) -> Bytes {
    let event = StreamingDeltaEvent {
        content,
        reasoning_content,
    };
    transient(Draft::new(
        Source::Agent,
        EventBody::StreamingDeltaEvent(event),
    ))
}

/// That the pieces of a streamed reply are void. Clients refuse kinds that they do not know, and ignore a
/// state update whose key they do not know.
pub(crate) fn discarded_frame() -> Bytes {
    transient(Draft::state("streaming_reply", json!("discarded")))
}

fn transient(draft: Draft) -> Bytes {
    let event = draft.at(EventTime::now(), None);
    event.to_vec().unwrap_or_default().into()
}
