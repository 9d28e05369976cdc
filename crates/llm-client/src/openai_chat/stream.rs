use serde_json::Value;

use crate::{Delta, ModelError, sse::SseParser};

use super::reply::{RawCall, RawReply, call, error_in, reasoning_in, said};

/// Puts a streamed reply together from the bytes it arrives in, cut anywhere.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    parser: SseParser,
    reply: RawReply,
    /// The provider said why it stopped: nothing of the reply is missing.
    finished: bool,
    /// The provider said that nothing at all follows.
    closed: bool,
}

impl Assembler {
    /// Takes the next bytes, and tells `on_delta` what they add to the reply.
    ///
    /// # Errors
    /// The provider's own, when an event is an error object; [`ModelError::NoResponse`] when an
    /// event is not JSON.
    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        on_delta: &(dyn Fn(Delta) + Send + Sync),
    ) -> Result<(), ModelError> {
        for data in self.parser.push(bytes) {
            self.event(&data, on_delta)?;
        }
        Ok(())
    }

    /// Whether the provider said it is done; what follows need not be read.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether all of the reply is there, though perhaps not yet the count of its tokens.
    pub(super) fn is_whole(&self) -> bool {
        self.finished || self.closed
    }

    /// The reply, once the stream has ended.
    ///
    /// # Errors
    /// [`ModelError::Unavailable`] when it ended before the reply did.
    pub(super) fn finish(
        mut self,
        on_delta: &(dyn Fn(Delta) + Send + Sync),
    ) -> Result<RawReply, ModelError> {
        let rest = std::mem::take(&mut self.parser).finish();
        if let Some(data) = rest.filter(|_| !self.is_whole()) {
            // A last event may lack its blank line; one that was cut short says nothing.
            match self.event(&data, on_delta) {
                Err(ModelError::NoResponse(_)) => {}
                other => other?,
            }
        }
        match self.is_whole() {
            true => Ok(self.reply),
            false => Err(ModelError::unreachable("the stream ended in mid-reply")),
        }
    }

    fn event(
        &mut self,
        data: &str,
        on_delta: &(dyn Fn(Delta) + Send + Sync),
    ) -> Result<(), ModelError> {
        if self.closed {
            return Ok(());
        }
        let data = data.trim();
        let (chunks, done) = match data.strip_suffix("[DONE]") {
            Some(before) => (before, true),
            None => (data, false),
        };
        // Some servers forget the blank line between events, so one may hold several chunks.
        for chunk in serde_json::Deserializer::from_str(chunks).into_iter::<Value>() {
            let chunk = chunk.map_err(|error| {
                ModelError::NoResponse(format!("a streamed chunk is not JSON: {error}"))
            })?;
            self.chunk(&chunk, on_delta)?;
        }
        self.closed = done;
        Ok(())
    }

    fn chunk(
        &mut self,
        chunk: &Value,
        on_delta: &(dyn Fn(Delta) + Send + Sync),
    ) -> Result<(), ModelError> {
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
        if let Some(calls) = delta["tool_calls"].as_array() {
            calls.iter().for_each(|piece| self.add_call(call(piece)));
        } else if delta["function_call"].is_object() {
            self.add_call(call(delta));
        }
        let reason = choice["finish_reason"].as_str();
        // Some servers send an empty one with every piece.
        self.finished |= reason.is_some_and(|reason| !reason.is_empty());
        Ok(())
    }

    /// Continues the call that a piece belongs to, or begins a new one. A piece with a name and an
    /// unknown id begins one even under a used index: some servers number every call 0. An id
    /// alone does not: others mint one for every piece. Where there are no ids, a piece that names
    /// another function begins one, or that has arguments when those before are complete.
    fn add_call(&mut self, piece: RawCall) {
        let open = match piece.index {
            Some(_) => self
                .reply
                .calls
                .iter_mut()
                .rfind(|open| open.index == piece.index),
            None => self.reply.calls.last_mut(),
        };
        match open {
            Some(open) if !begins_anew(open, &piece) => {
                keep_first(&mut open.id, &piece.id);
                keep_first(&mut open.name, &piece.name);
                open.arguments.push_str(&piece.arguments);
            }
            Some(_) | None => self.reply.calls.push(piece),
        }
    }
}

fn begins_anew(open: &RawCall, piece: &RawCall) -> bool {
    if piece.name.is_empty() {
        return false;
    }
    if !piece.id.is_empty() && !open.id.is_empty() {
        return piece.id != open.id;
    }
    let other_name = !open.name.is_empty() && piece.name != open.name;
    other_name || (!piece.arguments.trim().is_empty() && is_complete(&open.arguments))
}

fn is_complete(arguments: &str) -> bool {
    arguments.trim_end().ends_with('}') && serde_json::from_str::<Value>(arguments).is_ok()
}

fn keep_first(kept: &mut String, value: &str) {
    if kept.is_empty() {
        kept.push_str(value);
    }
}
