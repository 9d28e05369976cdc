use bytes::Bytes;
use core_model::{ConversationId, Seq};

use super::cursor::Cursor;

/// Where a follower of all conversations begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AllStart {
    /// With what happens from now on.
    #[default]
    Live,
    /// With everything that is still stored.
    Beginning,
    At(Cursor),
}

/// What a follower wants. Empty: everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllFilter {
    pub conversations: Vec<ConversationId>,
    /// Class names of events. Frames about conversations as a whole are sent in any case.
    pub kinds: Vec<String>,
    /// All of these tags, each with that value or with any. A deletion is sent whatever they are, because
    /// a conversation's tags are gone with it.
    pub tags: Vec<(String, Option<String>)>,
}

/// What a follower of all conversations is sent. `cursor` is where to continue after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllFrame {
    /// A conversation was created. One that had events already when a lost feed was begun again is left out.
    Created {
        cursor: Cursor,
        conversation: ConversationId,
    },
    /// A logged event, as the JSON text of its line.
    Event {
        cursor: Cursor,
        conversation: ConversationId,
        seq: Seq,
        json: Bytes,
    },
    /// The events `from..to` cannot be read, because what is stored is damaged. Single damaged lines in a
    /// log that can be read show as gaps between the seqs.
    Skipped {
        cursor: Cursor,
        conversation: ConversationId,
        from: Seq,
        to: Seq,
    },
    /// A conversation is gone, with all its events.
    Deleted {
        cursor: Cursor,
        conversation: ConversationId,
    },
}
