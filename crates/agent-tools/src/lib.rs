//! What an agent can do: the [`Tool`] port and the built-in tools behind it.

mod arguments;
mod atomic_file;
mod call;
mod error;
mod file_editor;
mod finish;
pub mod process;
mod registry;
mod repository_place;
mod task_tracker;
mod terminal;
mod think;
mod tool;
mod workspace;

pub use call::{Call, model_schema, parse_call};
pub use error::ToolError;
pub use registry::{OpenError, not_found, open, registered_names, resolve};
pub use repository_place::repository_place;
pub use terminal::{TerminalSettings, model_text};
pub use tool::{CallSignals, EndedProcess, Tool, ToolEnvironment, Tools};
