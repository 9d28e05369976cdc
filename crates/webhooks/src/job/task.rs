//! What is to be done for a conversation next.

use core_model::{ConversationKey, Seq, UtcTime};

use crate::{backlog::Pending, endpoint::Endpoint};

/// The content of the last delivery about a conversation.
const DELETED: &str = "deleted";

#[derive(Clone, Debug)]
pub(crate) enum Task {
    /// The next events of a log.
    Events(Events),
    /// The conversation's details, or that it is deleted, under this id.
    Conversation { id: String, deleting: bool },
    /// What was sent before.
    Again { id: String, first: Seq, last: Seq },
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Events {
    pub(crate) from: Seq,
    /// Up to where the feed has told of them.
    pub(crate) to: Seq,
    /// Where a batch ends that is tried again as it was.
    pub(crate) retry_to: Option<Seq>,
    /// `from` is yet to be found.
    pub(crate) since: Option<UtcTime>,
    /// Even if they are few.
    pub(crate) flush: bool,
}

impl Task {
    /// The next one for a conversation that was rewound last at this time.
    pub(crate) fn next(
        pending: &Pending,
        endpoint: &Endpoint,
        of: &ConversationKey,
        rewound: Option<UtcTime>,
    ) -> Self {
        let conversation = |content: &str| Self::Conversation {
            id: endpoint.delivery_id(of, rewound, content),
            deleting: content == DELETED,
        };
        if pending.owed.created {
            return conversation("created");
        }
        if let Some(at) = pending.owed.changed {
            return conversation(&format!("changed-{}", at.0));
        }
        if pending.next >= pending.to {
            return conversation(DELETED);
        }
        Self::Events(Events {
            from: pending.next,
            to: pending.to,
            retry_to: pending.retry_to,
            since: pending.since,
            flush: pending.next < pending.flush_to || pending.retry_to.is_some(),
        })
    }
}
