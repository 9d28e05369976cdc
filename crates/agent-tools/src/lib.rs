//! What an agent can do: the [`Tool`] port and the built-in tools behind it.

mod arguments;
mod builtin;
mod error;
mod model_call;
mod tool;

pub use builtin::{
    OpenError, not_found, open, registered_names, resolve,
    terminal::{TerminalSettings, model_text},
};
pub use error::ToolError;
pub use model_call::{Call, model_schema, parse_call};
pub use tool::{CallSignals, Tool, ToolEnvironment, Tools};
