use super::sse::SseParser;
use crate::format::{Progress, RawReply, StreamReader};
use crate::{ModelError, model::OnDelta};

/// A streamed reply on its way: takes the bytes it arrives in, cut anywhere, and hands their events
/// to the format's reader.
pub(crate) struct StreamedReply {
    parser: SseParser,
    reader: Box<dyn StreamReader>,
}

impl StreamedReply {
    pub(crate) fn new(reader: Box<dyn StreamReader>) -> Self {
        Self {
            parser: SseParser::default(),
            reader,
        }
    }

    /// Takes the next bytes, and gives `on_delta` what they add to the reply.
    ///
    /// # Errors
    /// The reader's.
    pub(crate) fn push(&mut self, bytes: &[u8], on_delta: OnDelta<'_>) -> Result<(), ModelError> {
        for data in self.parser.push(bytes) {
            self.reader.event(&data, on_delta)?;
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
            match self.reader.event(&data, on_delta) {
                Err(ModelError::NoResponse(_)) => {}
                other => other?,
            }
        }
        if !self.is_whole() {
            return Err(ModelError::unreachable("the stream ended in mid-reply"));
        }
        Ok(self.reader.finish())
    }
}
