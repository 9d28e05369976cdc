//! The vocabulary of an agent server, without any I/O: ids, events, messages, settings, the fold from
//! events to state, and the ports that a store implements.
//!
//! | module | holds |
//! |---|---|
//! | [`event`] | the facts of a conversation and their wire form |
//! | [`message`] | messages to and from a model |
//! | [`agent`] | model and agent settings |
//! | `llm_check` | what the types of a model's settings cannot say |
//! | [`conversation`] | status, workspace, policy, metadata |
//! | [`queue`], [`waiting`] | messages that wait for the agent, and what the agent waits for |
//! | [`state`], [`fold()`] | the state that events lead to, one by one or from a stored log |
//! | [`info`] | a conversation's details, as clients see them |
//! | [`usage`] | tokens and money |
//! | [`budget`] | what a conversation may spend, and has spent |
//! | [`shared_budget`] | the same of an API key's conversations, and of all |
//! | [`secrets`] | where settings have secrets, and how to hide them |
//! | [`masking`] | masks secrets in texts that others wrote |
//! | [`mcp`] | the MCP servers of an agent |
//! | [`port`] | what a store does: `Catalog`, `Claims`, `LogReader`, `LogWriter`, `Feed`, `Receipts`, `DeliveryRecords`, `SpendingRecords` |

pub mod agent;
pub mod approval;
pub mod budget;
pub mod conversation;
pub mod event;
mod fold;
pub mod goal;
mod id;
pub mod info;
mod line_head;
mod llm_check;
pub mod masking;
pub mod mcp;
pub mod message;
pub mod port;
pub mod queue;
pub mod secrets;
pub mod shared_budget;
pub mod state;
pub mod time;
pub mod usage;
pub mod waiting;

pub use agent::{Agent, LlmSettings, ToolChoice};
pub use conversation::{
    ConfirmationPolicy, ConversationSettings, ExecutionStatus, Metadata, Snapshot, TornTail,
    Workspace, WorkspaceKind,
};
pub use event::{Draft, Event, EventBody, Observation, Source};
pub use fold::fold;
pub use id::{ConversationId, ConversationKey, EventId, Seq};
pub use info::ConversationInfo;
pub use line_head::LineHead;
pub use llm_check::InvalidLlmSetting;
pub use message::{Content, Message, MessageToolCall, Role, TextContent};
pub use port::{
    Catalog, Claims, ConversationOrder, Extent, Feed, Head, HeadFilter, Limit, LogReader,
    LogWriter, NewRecord, Record, Row, Store, StoreError, Summary,
};
pub use queue::{Delivery, QueuedMessage};
pub use state::{ConversationState, PendingAction};
pub use time::{EventTime, UtcTime};
pub use waiting::{Waiting, WaitingFor};
