use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use llm_client::Delta;

use crate::{residency::live_conversation::LiveConversation, turn::drafts::piece_frame};

/// Tells the pieces of one streamed reply to whoever listens, and that they are void when no event comes
/// of them: the call failed or is made again, the run was interrupted, the turn was aborted.
pub(crate) struct ReplyPieces {
    live: Arc<LiveConversation>,
    /// Whether pieces were told that no event stands for.
    told: AtomicBool,
}

impl ReplyPieces {
    pub(crate) fn new(live: &Arc<LiveConversation>) -> Self {
        Self {
            live: Arc::clone(live),
            told: AtomicBool::new(false),
        }
    }

    pub(crate) fn tell(&self, delta: Delta) {
        let (content, reasoning) = match delta {
            Delta::Text(text) => (Some(text), None),
            Delta::Reasoning(text) => (None, Some(text)),
            Delta::Discarded => return self.discard(),
        };
        self.told.store(true, Ordering::Release);
        self.live.tell(|| piece_frame(content, reasoning));
    }

    /// The whole reply is in the log.
    pub(crate) fn keep(self) {
        self.told.store(false, Ordering::Release);
    }

    fn discard(&self) {
        if self.told.swap(false, Ordering::AcqRel) {
            self.live.discard_reply();
        }
    }
}

impl Drop for ReplyPieces {
    fn drop(&mut self) {
        self.discard();
    }
}
