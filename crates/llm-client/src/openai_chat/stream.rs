use serde_json::Value;

use super::call::{CallPiece, add_piece, keep_first};
use super::reply::ChatReply;
use super::thoughts::{Split, ThoughtSplitter};
use crate::answer::{error_in, values_in};
use crate::format::{Progress, RawReply, StreamReader};
use crate::{Delta, ModelError, model::OnDelta};

/// Puts a streamed reply together from its chunks.
#[derive(Debug, Default)]
pub(super) struct ChunkReader {
    reply: ChatReply,
    splitter: ThoughtSplitter,
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

    fn finish(mut self: Box<Self>) -> RawReply {
        let rest = self.splitter.finish();
        self.tell(rest, &|_| {});
        self.reply.into()
    }
}

impl ChunkReader {
    fn tell(&mut self, split: Split, on_delta: OnDelta<'_>) {
        let Split { thoughts, said } = split;
        if !thoughts.is_empty() {
            self.reply.reasoning.push_str(&thoughts);
            on_delta(Delta::Reasoning(thoughts));
        }
        if !said.is_empty() {
            self.reply.text.push_str(&said);
            on_delta(Delta::Text(said));
        }
    }

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
        let split = self.reply.add(delta, &mut self.splitter);
        self.tell(split, on_delta);
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
