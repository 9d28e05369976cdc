mod cache;
mod content;
mod error;
mod images;
mod messages;
mod reply;
mod request;
mod stream;
#[cfg(test)]
mod tests;
mod thinking;
mod usage;

use std::time::Duration;

use core_model::LlmSettings;
use serde_json::{Map, Value};

use crate::capabilities::Thinking;
use crate::format::{Format, ListPart, RawReply, StreamReader};
use crate::provider::Route;
use crate::{ModelError, ModelRequest};

/// Anthropic's Messages, which other providers and proxies speak too.
pub(crate) struct AnthropicMessages;

/// The version whose requests may hold sampling parameters: models before 4.7 take them.
const VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");
const THINK_BETWEEN_CALLS: (&str, &str) = ("anthropic-beta", "interleaved-thinking-2025-05-14");

impl Format for AnthropicMessages {
    fn name(&self) -> &'static str {
        "messages"
    }

    fn path(&self) -> &'static str {
        "/messages"
    }

    fn version_path(&self) -> &'static str {
        "/v1"
    }

    fn key_header(&self, route: &Route, key: &str) -> (&'static str, String) {
        if takes_bearer_token(route) {
            ("authorization", format!("Bearer {key}"))
        } else {
            ("x-api-key", key.to_owned())
        }
    }

    fn fixed_headers(&self, route: &Route) -> Vec<(&'static str, &'static str)> {
        let mut headers = vec![VERSION];
        if route.capabilities.thinking == Thinking::Budget {
            headers.push(THINK_BETWEEN_CALLS);
        }
        headers
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
        fields: &Map<String, Value>,
        part: ListPart<'_>,
    ) -> Vec<Value> {
        request::messages(settings, route, fields, &part)
    }

    fn images_left_out(&self, images: usize) -> usize {
        images::left_out(images)
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

    fn read_error(&self, status: u16, answer: &Value, wait: Option<Duration>) -> ModelError {
        error::read(status, answer, wait)
    }
}

/// Amazon's keys are bearer tokens, at addresses of Amazon's own.
fn takes_bearer_token(route: &Route) -> bool {
    let host = route.endpoint.host_str().unwrap_or_default();
    let amazon = [".amazonaws.com", ".api.aws"];
    route.provider.bearer || amazon.iter().any(|domain| host.ends_with(domain))
}
