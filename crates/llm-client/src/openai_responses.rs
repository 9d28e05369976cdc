mod input;
mod item;
mod items_back;
mod pieces;
mod reply;
mod request;
mod stream;
#[cfg(test)]
mod tests;

use core_model::LlmSettings;
use serde_json::{Map, Value};

use crate::format::{Format, ListPart, RawReply, StreamReader};
use crate::provider::Route;
use crate::{ModelError, ModelRequest};

/// OpenAI's Responses. The provider keeps nothing: every request carries the whole conversation, the
/// encrypted reasoning of earlier replies included.
pub(crate) struct OpenAiResponses;

impl Format for OpenAiResponses {
    fn name(&self) -> &'static str {
        "responses"
    }

    fn path(&self) -> &'static str {
        "/responses"
    }

    fn list_field(&self) -> &'static str {
        "input"
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
        _settings: &LlmSettings,
        route: &Route,
        _fields: &Map<String, Value>,
        part: ListPart<'_>,
    ) -> Vec<Value> {
        input::items(route, &part)
    }

    fn optional_fields(&self) -> &'static [&'static str] {
        &request::OPTIONAL_FIELDS
    }

    fn read_reply(&self, answer: &Value) -> Result<RawReply, ModelError> {
        reply::read(answer)
    }

    fn stream_reader(&self) -> Box<dyn StreamReader> {
        Box::new(stream::EventReader::default())
    }
}
