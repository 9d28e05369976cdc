use core_model::LlmSettings;
use serde_json::{Map, Value, json};

use super::messages::messages;
use crate::provider::Route;
use crate::{ModelRequest, ToolSpec};

/// Fields a provider may refuse without the request losing its meaning.
pub(super) const OPTIONAL_FIELDS: [&str; 9] = [
    "reasoning_effort",
    "prompt_cache_key",
    "stream_options",
    "temperature",
    "top_p",
    "top_k",
    "seed",
    "max_completion_tokens",
    "max_tokens",
];

/// The body of a Chat Completions request.
pub(super) fn body(
    settings: &LlmSettings,
    route: &Route,
    request: &ModelRequest,
) -> Map<String, Value> {
    let mut body = Map::new();
    let mut set = |name: &str, value: Value| {
        if !value.is_null() {
            body.insert(name.to_owned(), value);
        }
    };
    set("model", json!(route.model));
    set("messages", messages(settings, route, &request.messages));
    if !request.tools.is_empty() {
        set("tools", request.tools.iter().map(tool).collect());
    }
    set("prompt_cache_key", json!(request.cache_key));
    set(
        "reasoning_effort",
        json!(route.capabilities.effort(settings)),
    );
    set("temperature", json!(settings.temperature));
    set("top_p", json!(settings.top_p));
    if route.provider.prefix != "openai" {
        set("top_k", json!(settings.top_k));
    }
    set("seed", json!(settings.seed));
    set(
        route.provider.length_limit,
        json!(settings.max_output_tokens),
    );
    if settings.stream {
        set("stream", Value::Bool(true));
        set("stream_options", json!({"include_usage": true}));
    }
    for (name, value) in &settings.litellm_extra_body {
        set(name, value.clone());
    }
    body
}

fn tool(spec: &ToolSpec) -> Value {
    json!({"type": "function", "function": {
        "name": spec.name,
        "description": spec.description,
        "parameters": spec.parameters,
    }})
}
