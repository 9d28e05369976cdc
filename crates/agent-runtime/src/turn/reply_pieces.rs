use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use llm_client::Delta;

use crate::residency::{live_conversation::LiveConversation, transients::piece_frame};

/// Sends the pieces of one streamed reply to those who listen, and that they are void when no event comes
/// of them: the call failed or is repeated, the run was interrupted, the turn was aborted.
pub(super) struct ReplyPieces {
    live: Arc<LiveConversation>,
    /// Whether pieces were sent that no event stands for.
    are_sent: AtomicBool,
}

impl ReplyPieces {
    pub(super) fn new(live: &Arc<LiveConversation>) -> Self {
        Self {
            live: Arc::clone(live),
            are_sent: AtomicBool::new(false),
        }
    }

    pub(super) fn send(&self, delta: Delta) {
        let (content, reasoning) = match delta {
            Delta::Text(text) => (Some(text), None),
            Delta::Reasoning(text) => (None, Some(text)),
            Delta::Discarded => return self.discard(),
        };
        self.are_sent.store(true, Ordering::Release);
        self.live.send_piece(|| piece_frame(content, reasoning));
    }

    /// The whole reply is in the log.
    pub(super) fn keep(self) {
        self.are_sent.store(false, Ordering::Release);
    }

    fn discard(&self) {
        if self.are_sent.swap(false, Ordering::AcqRel) {
            self.live.discard_reply();
        }
    }
}

impl Drop for ReplyPieces {
    fn drop(&mut self) {
        self.discard();
    }
}
