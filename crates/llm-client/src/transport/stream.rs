use std::sync::{Mutex, PoisonError};

use super::sse::SseParser;
use super::surrogates::{Joiner, join_all, joined, marked};
use crate::format::{Progress, RawReply, StreamReader};
use crate::{Block, Delta, ModelError, Part, model::OnDelta};

/// A streamed reply on its way: takes the bytes it arrives in, cut anywhere, and hands their events
/// to the format's reader.
pub(crate) struct StreamedReply {
    parser: SseParser,
    reader: Box<dyn StreamReader>,
    pieces: Mutex<Pieces>,
}

impl StreamedReply {
    pub(crate) fn new(reader: Box<dyn StreamReader>) -> Self {
        Self {
            parser: SseParser::default(),
            reader,
            pieces: Mutex::default(),
        }
    }

    /// Takes the next bytes, and gives `on_delta` what they add to the reply.
    ///
    /// # Errors
    /// The reader's.
    pub(crate) fn push(&mut self, bytes: &[u8], on_delta: OnDelta<'_>) -> Result<(), ModelError> {
        for data in self.parser.push(bytes) {
            self.event(&data, on_delta)?;
        }
        Ok(())
    }

    /// Whether nothing follows; the rest need not be read.
    pub(super) fn is_closed(&self) -> bool {
        self.reader.progress() == Progress::Closed
    }

    /// Whether all of the reply is there, though perhaps not yet the count of its tokens.
    pub(super) fn is_whole(&self) -> bool {
        self.reader.progress() != Progress::Partial
    }

    /// The reply, once the stream has ended.
    ///
    /// # Errors
    /// [`ModelError::Unavailable`] when it ended before the reply did.
    pub(crate) fn finish(mut self, on_delta: OnDelta<'_>) -> Result<RawReply, ModelError> {
        let rest = std::mem::take(&mut self.parser).finish();
        if let Some(data) = rest.filter(|_| !self.is_whole()) {
            // A last event may lack its blank line; one that was cut short says nothing.
            match self.event(&data, on_delta) {
                Err(ModelError::NoResponse(_)) => {}
                other => other?,
            }
        }
        if !self.is_whole() {
            return Err(ModelError::unreachable("the stream ended in mid-reply"));
        }
        let mut reply = self.reader.finish();
        reply.blocks.iter_mut().for_each(join_halves);
        Ok(reply)
    }

    /// The reader sees halves of surrogate pairs as marks; what it tells is told without.
    fn event(&mut self, data: &str, on_delta: OnDelta<'_>) -> Result<(), ModelError> {
        let pieces = &self.pieces;
        let on_piece = |delta| {
            let mut pieces = pieces.lock().unwrap_or_else(PoisonError::into_inner);
            let delta = match delta {
                Delta::Text(text) => Delta::Text(pieces.text.push(&text)),
                Delta::Reasoning(text) => Delta::Reasoning(pieces.reasoning.push(&text)),
                Delta::Discarded => Delta::Discarded,
            };
            drop(pieces);
            if !matches!(&delta, Delta::Text(text) | Delta::Reasoning(text) if text.is_empty()) {
                on_delta(delta);
            }
        };
        self.reader.event(&marked(data), &on_piece)
    }
}

#[derive(Default)]
struct Pieces {
    text: Joiner,
    reasoning: Joiner,
}

fn join_halves(block: &mut Block) {
    match &mut block.part {
        Part::Text(text) | Part::Reasoning(text) => joined(text),
        Part::Call(call) => {
            joined(&mut call.name);
            joined(&mut call.arguments);
        }
    }
    if let Some(state) = &mut block.state {
        join_all(state);
    }
}
