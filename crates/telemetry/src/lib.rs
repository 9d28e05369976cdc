//! What the server shows of its work while it works: spans, log lines and counts.
//!
//! | module | holds |
//! |---|---|
//! | `spans` | a span for each request, turn, step and tool call; all names and attributes |
//! | `happenings` | one type for each thing that happens: it writes the log line, counts, and completes the span |
//! | `counts` | what is counted |
//!
//! Nothing exports them yet. An exporter is a layer of `tracing` that takes the spans of the target
//! [`SPANS`], and a reader of the counts. As long as no layer takes the spans, a span costs a
//! comparison.

mod counts;
mod happenings;
mod spans;

pub use counts::{COUNTS, Counter, Counts};
pub use happenings::{ModelCallEnded, ModelCallFailed, RequestServed, ToolCallEnded, TurnEnded};
pub use spans::{SPANS, request, step, tool_call, turn};
