//! One run of the agent, as a child task that proposes events to its conversation's actor.

pub(crate) mod context;
pub(crate) mod drafts;
pub(crate) mod outcome;
pub(crate) mod prompt;
pub(crate) mod proposal;
pub(crate) mod reply_pieces;
pub(crate) mod running;
pub(crate) mod step;
pub(crate) mod stuck;
