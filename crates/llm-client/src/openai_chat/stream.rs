use serde_json::Value;

use super::call::{CallPiece, add_piece, keep_first};
use super::reply::{ChatReply, reasoning_in, said};
use crate::answer::{error_in, values_in};
use crate::format::{Progress, RawReply, StreamReader};
use crate::{Delta, ModelError, model::OnDelta};

/// Puts a streamed reply together from its chunks.
#[derive(Debug, Default)]
pub(super) struct ChunkReader {
    reply: ChatReply,
    /// The provider said that nothing at all follows.
    closed: bool,
}

impl StreamReader for ChunkReader {
    fn event(&mut self, data: &str, on_delta: OnDelta<'_>) -> Result<(), ModelError> {
        if self.closed {
            return Ok(());
        }
        let (chunks, done) = values_in(data);
        for chunk in chunks {
            self.chunk(&chunk?, on_delta)?;
        }
        self.closed = done;
        Ok(())
    }

    fn progress(&self) -> Progress {
        if self.closed {
            Progress::Closed
        } else if self.reply.finish_reason.is_empty() {
            Progress::Partial
        } else {
            Progress::Whole
        }
    }

    fn finish(self: Box<Self>) -> RawReply {
        self.reply.into()
    }
}

impl ChunkReader {
    fn chunk(&mut self, chunk: &Value, on_delta: OnDelta<'_>) -> Result<(), ModelError> {
        if let Some(error) = error_in(chunk) {
            return Err(error);
        }
        keep_first(&mut self.reply.id, chunk["id"].as_str().unwrap_or_default());
        if chunk["usage"].is_object() {
            self.reply.usage = chunk["usage"].clone();
        }
        let choice = &chunk["choices"][0];
        let named = [&choice["delta"], &choice["message"]];
        let delta = named.into_iter().find(|delta| delta.is_object());
        let delta = delta.unwrap_or(&Value::Null);
        let reasoning = reasoning_in(delta);
        if !reasoning.is_empty() {
            self.reply.reasoning.push_str(&reasoning);
            on_delta(Delta::Reasoning(reasoning));
        }
        let text = said(delta);
        if !text.is_empty() {
            self.reply.text.push_str(&text);
            on_delta(Delta::Text(text));
        }
        let calls = &mut self.reply.calls;
        if let Some(pieces) = delta["tool_calls"].as_array() {
            for piece in pieces {
                add_piece(calls, CallPiece::read(piece));
            }
        } else if delta["function_call"].is_object() {
            add_piece(calls, CallPiece::read(delta));
        }
        // Once it is there, nothing of the reply is missing. Some servers send an empty one with every
        // piece.
        let reason = choice["finish_reason"].as_str().unwrap_or_default();
        keep_first(&mut self.reply.finish_reason, reason);
        Ok(())
    }
}
