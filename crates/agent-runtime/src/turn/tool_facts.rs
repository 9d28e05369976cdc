//! What the turn has to know of a tool before it calls it.

use serde_json::{Map, Value};

use crate::turn::gate::Access;

/// Whether a call may run beside others: those that change nothing may.
pub(super) fn access(tool: &str, action: &Map<String, Value>) -> Access {
    let views = || action.get("command").and_then(Value::as_str) == Some("view");
    match tool {
        "think" => Access::Shared,
        "file_editor" | "task_tracker" if views() => Access::Shared,
        _ => Access::Exclusive,
    }
}

pub(super) fn ends_turn(tool: &str) -> bool {
    tool == "finish"
}

/// Whether no policy asks for consent to it.
pub(super) fn is_harmless(tool: &str) -> bool {
    matches!(tool, "finish" | "think")
}
