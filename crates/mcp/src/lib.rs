//! Tools of MCP servers (Model Context Protocol) behind the ports of `agent-tools`.
//!
//! Read from top to bottom; each line knows only those below it.
//!
//! | module | does |
//! |---|---|
//! | `source` | [`McpTools`]: the servers that an agent's settings name |
//! | `servers` | the servers of one conversation and their tools |
//! | `search` | the tool that finds tools, where there are too many to offer them all |
//! | `tool` | one tool of a server |
//! | `server` | one server: started, asked, started again |
//! | `connection` | one connection, by pipes or HTTP |
//! | `handler` | what a server may ask of us |
//! | `listed` | a server's list of tools |
//! | `result` | what a call gave, as an observation |
//! | `schema`, `names` | parameters and names that every provider takes |
//! | `server_log` | what a server writes beside the protocol |
//! | `settings` | limits |

mod connection;
mod handler;
mod listed;
mod names;
mod result;
mod schema;
mod search;
mod server;
mod server_log;
mod servers;
mod settings;
mod source;
mod tool;

pub use settings::McpSettings;
pub use source::McpTools;
