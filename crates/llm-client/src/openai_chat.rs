mod assistant;
mod call;
mod details;
mod messages;
mod reply;
mod request;
mod stream;
#[cfg(test)]
mod tests;
mod thoughts;

use core_model::LlmSettings;
use serde_json::{Map, Value};

use crate::format::{Format, ListPart, RawReply, StreamReader};
use crate::provider::Route;
use crate::{ModelError, ModelRequest};

/// OpenAI's Chat Completions, and the many services that speak it in ways of their own.
pub(crate) struct OpenAiChat;

impl Format for OpenAiChat {
    fn name(&self) -> &'static str {
        "chat"
    }

    fn path(&self) -> &'static str {
        "/chat/completions"
    }

    fn list_field(&self) -> &'static str {
        "messages"
    }

    fn fields(
        &self,
        settings: &LlmSettings,
        route: &Route,
        request: &ModelRequest,
    ) -> Map<String, Value> {
        request::fields(settings, route, request)
    }

    fn list(
        &self,
        settings: &LlmSettings,
        route: &Route,
        _fields: &Map<String, Value>,
        part: ListPart<'_>,
    ) -> Vec<Value> {
        messages::messages(settings, route, &part)
    }

    fn optional_fields(&self) -> &'static [&'static str] {
        &request::OPTIONAL_FIELDS
    }

    fn read_reply(&self, answer: &Value) -> Result<RawReply, ModelError> {
        reply::read(answer)
    }

    fn stream_reader(&self) -> Box<dyn StreamReader> {
        Box::new(stream::ChunkReader::default())
    }
}
