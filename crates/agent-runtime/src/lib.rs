//! Runs agents: one actor a conversation, turns as its children, followers beside it.
//!
//! | module | does |
//! |---|---|
//! | `runtime` | starts, finds, lists, deletes, shuts down |
//! | `config`, `common` | what a runtime is told, and what its conversations share |
//! | `create` | makes a conversation |
//! | `handle` | what a client can do with one conversation |
//! | `reads`, `query` | what a client can ask of its log |
//! | `command` | what a conversation can be asked |
//! | `actor` | takes commands, one batch at a time; the only writer |
//! | `decide` | what each command means |
//! | `commit` | makes a batch durable, then visible |
//! | `turn` | a run of the agent as a child task: start, pause, stop, outcome |
//! | `step`, `drafts` | one model call and the tool calls it asks for, as events |
//! | `pieces` | a streamed reply's pieces as they come, and that they are void |
//! | `view` | events into model messages |
//! | `prompt` | instructions and tools |
//! | `stuck` | notices an agent that goes in circles |
//! | `follow` | reads a conversation from a cursor and keeps up |
//! | `follow_all` | the same for all conversations, by way of the store's feed |
//! | `restart` | folds a log, mends what a stop left |
//! | `charge` | takes over what the last stop left |
//! | `shelf`, `shared` | conversations in memory |
//! | `resting` | how many keep their tools open |
//! | `idle` | how long each stays in memory |
//! | `vault` | secrets at rest |

mod actor;
mod charge;
mod command;
mod commit;
mod common;
mod config;
mod create;
mod decide;
mod drafts;
mod error;
mod folder_turns;
mod follow;
mod follow_all;
mod handle;
mod idle;
mod pieces;
mod prompt;
mod query;
mod reads;
mod restart;
mod resting;
mod runtime;
mod shared;
mod shelf;
mod step;
mod stuck;
mod turn;
mod vault;
mod view;

pub use command::{Created, NewConversation, Request};
pub use config::{Connect, RuntimeConfig};
pub use core_model::ConversationOrder;
pub use error::RuntimeError;
pub use follow::{End, Follower, Frame, Start};
pub use follow_all::{AllFilter, AllFollower, AllFrame, AllStart, Cursor};
pub use handle::Conversation;
pub use query::{ConversationPage, ConversationQuery, EventFilter, EventPage, EventQuery, Listed};
pub use runtime::Runtime;
pub use vault::{KeySource, Vault};
