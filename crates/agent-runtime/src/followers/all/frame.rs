use std::{fmt, str::FromStr};

use bytes::Bytes;
use core_model::{ConversationId, Seq};

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

/// A place in the order over all conversations: before the event `seq` of the change at `position`.
/// Its text is opaque to clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// A part of the feed's id, because a cursor means nothing in another feed.
    pub(super) feed: u64,
    pub(super) position: u64,
    /// 0 for the beginning of the change.
    pub(super) seq: u64,
}

impl Cursor {
    /// The same feed at the beginning of the change at `position`.
    pub(super) fn at(self, position: u64) -> Self {
        Self {
            position,
            seq: 0,
            ..self
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}-{}", self.feed, self.position, self.seq)
    }
}

impl FromStr for Cursor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let cursor = || {
            let mut parts = text.split('-');
            let feed = parts.next().filter(|feed| feed.len() == 16)?;
            let cursor = Self {
                feed: u64::from_str_radix(feed, 16).ok()?,
                position: parts.next()?.parse().ok()?,
                seq: parts.next()?.parse().ok()?,
            };
            parts.next().is_none().then_some(cursor)
        };
        cursor().ok_or_else(|| format!("`{text}` is not a valid cursor"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_from_its_text() {
        let cursor = Cursor {
            feed: 0xfeed,
            position: 12,
            seq: 3,
        };
        assert_eq!(cursor.to_string(), "000000000000feed-12-3");
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for bad in [
            "",
            "x",
            "feed-1-2",
            "000000000000feed-1",
            "000000000000feed-1-2-3",
            "000000000000feed--1",
        ] {
            assert!(bad.parse::<Cursor>().is_err(), "{bad}");
        }
    }
}
