//! What is in memory, and for how long.

pub(crate) mod conversation_cache;
pub(crate) mod idle;
pub(crate) mod idle_tools;
pub(crate) mod live_conversation;
pub(crate) mod runtime_state;
