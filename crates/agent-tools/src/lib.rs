//! What an agent can do: the ports [`Tool`], [`ToolSource`] and [`ConnectedTools`], and the built-in tools
//! behind them.

mod arguments;
mod built_in;
mod connected;
mod error;
mod filter;
mod model_call;
mod python_list;
mod source;
mod tool;

pub use built_in::{
    BuiltInTools, KeptFile, kept_file, logged_traits, may_leave_running, model_text, python_module,
    registered_names, still_running, waited,
};
pub use connected::{ConnectedTools, ConnectionReport, OpenedTools, offered};
pub use error::ToolError;
pub use filter::ToolFilter;
pub use model_call::{ParsedCall, model_schema, parse_call};
pub use source::{OpenError, ToolSource, not_found, open, resolve};
pub use tool::{CallSignals, Tool, ToolCall, ToolEnvironment, ToolTraits, Tools};
