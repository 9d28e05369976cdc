//! Runs agents: one actor a conversation, turns as its children, followers beside it.
//!
//! Read from top to bottom; each line knows those below it.
//!
//! | module | does |
//! |---|---|
//! | `runtime`, `create` | starts, finds, lists, deletes, shuts down; creates a conversation |
//! | `startup_recovery` | recovers what the last stop left |
//! | `followers` | read a conversation's log, or all by way of the feed, and keep up |
//! | `conversation` | handle, reads, and the actor: takes commands, decides, commits |
//! | `turn` | a run of the agent as a child task: one file a stage |
//! | `residency` | what is in memory: conversations, their tools, what they share |
//! | `command` | what a conversation can be asked |
//! | `config`, `error`, `query`, `vault` | settings, errors, queries, secrets at rest |

mod command;
mod config;
mod conversation;
mod create;
mod error;
mod followers;
mod query;
mod residency;
mod runtime;
mod startup_recovery;
mod turn;
mod vault;

pub use command::{Created, NewConversation, Request};
pub use config::{Connect, RuntimeConfig};
pub use conversation::handle::Conversation;
pub use core_model::ConversationOrder;
pub use error::RuntimeError;
pub use followers::all::{AllFilter, AllFollower, AllFrame, AllStart, Cursor};
pub use followers::follower::{End, Follower, Frame, Start};
pub use query::{ConversationPage, ConversationQuery, EventFilter, EventPage, EventQuery, Listed};
pub use runtime::Runtime;
pub use vault::{KeySource, Vault};
