use serde_json::{Value, json};

use super::messages::{Role, Turn};

/// Marks the ends of the prefixes that shall be cached; four are allowed. Tools and the first part of
/// the system prompt are the same in many conversations. The last thing a user said is where the next
/// request's new part begins, and the one before is where the last request ended: its prefix is in the
/// cache already.
pub(super) fn mark_beginning(tools: &mut [Value], system: &mut [Value]) {
    mark(tools.last_mut());
    mark(system.first_mut());
}

/// Of the last turns of a prompt.
pub(super) fn mark_end(turns: &mut [Turn]) {
    let users = turns.iter_mut().rev();
    let users = users.filter(|turn| turn.role == Role::User);
    for turn in users.take(2) {
        mark(turn.content.last_mut());
    }
}

fn mark(block: Option<&mut Value>) {
    if let Some(Value::Object(fields)) = block {
        fields.insert("cache_control".to_owned(), json!({"type": "ephemeral"}));
    }
}
