use core_model::MessageToolCall;
use serde_json::{Value, json};

use super::assistant::EXTRA_CONTENT;
use crate::Block;
use crate::answer::text_in;

/// A tool call, whole or a piece of it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct CallPiece {
    /// Which of a streamed reply's calls this is.
    pub(super) index: Option<u64>,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) arguments: String,
    /// What the provider wants back with it; null if nothing.
    extra: Value,
}

impl CallPiece {
    /// Reads a call in today's or in the legacy form.
    pub(super) fn read(value: &Value) -> Self {
        let named = [&value["function"], &value["function_call"]];
        let function = named.into_iter().find(|function| function.is_object());
        let function = function.unwrap_or(&Value::Null);
        let arguments = &function["arguments"];
        Self {
            index: value["index"].as_u64(),
            id: text_in(&value["id"]),
            name: text_in(&function["name"]),
            arguments: match arguments.as_str() {
                Some(text) => text.to_owned(),
                None if arguments.is_null() => String::new(),
                // Some servers send the object itself.
                None => arguments.to_string(),
            },
            extra: value[EXTRA_CONTENT].clone(),
        }
    }

    pub(super) fn into_block(self) -> Block {
        let state = (!self.extra.is_null()).then(|| json!({EXTRA_CONTENT: self.extra}));
        Block::call(MessageToolCall::new(self.id, self.name, self.arguments)).with_state(state)
    }

    /// Adds a further piece of this call.
    fn extend(&mut self, piece: &Self) {
        keep_first(&mut self.id, &piece.id);
        keep_first(&mut self.name, &piece.name);
        self.arguments.push_str(&piece.arguments);
        if self.extra.is_null() {
            self.extra.clone_from(&piece.extra);
        }
    }

    /// Whether a piece that could belong to this call begins another one.
    fn is_followed_by(&self, piece: &Self) -> bool {
        if piece.name.is_empty() {
            return false;
        }
        if !piece.id.is_empty() && !self.id.is_empty() {
            return piece.id != self.id;
        }
        let other_name = !self.name.is_empty() && piece.name != self.name;
        other_name || (!piece.arguments.trim().is_empty() && is_complete(&self.arguments))
    }
}

/// Continues the call that a piece belongs to, or begins a new one. A piece with a name and an
/// unknown id begins one even under a used index: some servers number every call 0. An id alone does
/// not: others generate one for every piece. Where there are no ids, a piece that names another
/// function begins one, or that has arguments when those before are complete.
pub(super) fn add_piece(calls: &mut Vec<CallPiece>, piece: CallPiece) {
    let open = match piece.index {
        Some(_) => calls.iter_mut().rfind(|open| open.index == piece.index),
        None => calls.last_mut(),
    };
    match open {
        Some(open) if !open.is_followed_by(&piece) => open.extend(&piece),
        Some(_) | None => calls.push(piece),
    }
}

pub(super) fn keep_first(kept: &mut String, value: &str) {
    if kept.is_empty() {
        kept.push_str(value);
    }
}

fn is_complete(arguments: &str) -> bool {
    arguments.trim_end().ends_with('}') && serde_json::from_str::<Value>(arguments).is_ok()
}
