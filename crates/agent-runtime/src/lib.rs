//! Runs agents: one actor a conversation, turns as its children, followers beside it.
//!
//! Read from top to bottom; each line knows only those below it.
//!
//! | module | does |
//! |---|---|
//! | `startup_recovery` | starts a runtime, recovers what the last stop left |
//! | `create`, `fork`, `listing`, `ending` | creates, copies, lists, deletes conversations; stops the server |
//! | `shared_budgets` | what API keys and the server may spend, for requests |
//! | `runtime` | opens conversations |
//! | `conversation` | handle, reads, and the actor: takes commands, decides, commits |
//! | `turn` | a run of the agent as a child task, one file a stage |
//! | `followers` | read a conversation's log, or all by way of the feed, and keep up |
//! | `residency` | what is in memory: conversations, their tools, what they share |
//! | `command`, `new_conversation`, `query` | what can be asked |
//! | `kept_files` | writes again what tools keep beside the log of a copied conversation |
//! | `branch` | reads a log through, and finds what leads to an event |
//! | `spending` | what all conversations spend, and whether that allows one more call |
//! | `config`, `error`, `run_slot`, `vault` | settings, errors, run slots, secrets at rest |

mod branch;
mod command;
mod config;
mod conversation;
mod create;
mod ending;
mod error;
mod followers;
mod fork;
mod kept_files;
mod listing;
#[cfg(test)]
mod live_fixture;
mod lock;
mod new_conversation;
mod query;
mod residency;
mod run_slot;
mod runtime;
mod shared_budgets;
mod spending;
mod startup_recovery;
mod turn;
mod vault;

pub use agent_tools::{BuiltInTools, ToolSource, registered_names as tool_names};
pub use config::{Connect, RuntimeConfig};
pub use conversation::handle::Conversation;
pub use core_model::{ConversationOrder, Delivery, QueuedMessage};
pub use error::RuntimeError;
pub use followers::all::{AllFilter, AllFollower, AllFrame, AllStart, Cursor};
pub use followers::follower::{Follower, Frame, Start};
pub use fork::Fork;
pub use llm_client::{
    KnownModel, KnownPrice, known_model, model_names, models_for_agents, provider_names,
};
pub use new_conversation::{Created, NewConversation, Request};
pub use query::{ConversationPage, ConversationQuery, EventFilter, EventPage, EventQuery, Listed};
pub use residency::published::End;
pub use runtime::Runtime;
pub use shared_budgets::{BudgetUse, Resumed, SharedBudgetsUse};
pub use vault::{KeySource, Vault};
