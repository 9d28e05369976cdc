//! One run of the agent, as a child task that proposes events to its conversation's actor and never
//! appends. Plain functions over one [`state::Turn`], one file a stage:
//!
//! | stage | does |
//! |---|---|
//! | `prepare` | opens model and tools, proposes the system prompt |
//! | `connections` | tools that come and go while the turn runs |
//! | `context` | events into model messages |
//! | `condense` | the older part of a large context into a summary |
//! | `budget` | whether the next call may be made |
//! | `ask` | one model call |
//! | `interpret` | a reply into events; malformed calls are answered at once |
//! | `cut` | what follows a reply that the model did not end itself |
//! | `approve` | which calls need consent |
//! | `execute`, `gate` | carries out calls, beside each other where tools allow it |
//! | `observe` | observations in the order of their actions; whether the turn ends |
//! | `judge` | after a round of a goal: whether it is reached |
//!
//! `steps` calls them in this order until one ends the turn.

mod approve;
mod ask;
pub(crate) mod budget;
pub(crate) mod condense;
mod connections;
mod context;
mod cut;
mod drafts;
mod execute;
mod gate;
mod interpret;
mod judge;
mod observe;
pub(crate) mod outcome;
pub(crate) mod prepare;
mod prompt;
pub(crate) mod proposal;
pub(crate) mod question;
mod reply_pieces;
pub(crate) mod running_turn;
mod state;
pub(crate) mod stats;
mod steps;
mod stuck;
pub(crate) mod title;
