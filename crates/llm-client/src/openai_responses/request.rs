use core_model::LlmSettings;
use serde_json::{Map, Value, json};

use super::input::instructions;
use crate::provider::{OPENAI_HOST, Route};
use crate::{ModelRequest, ToolSpec};

/// Fields a provider may refuse without the request losing its meaning.
pub(super) const OPTIONAL_FIELDS: [&str; 8] = [
    "reasoning",
    "include",
    "prompt_cache_key",
    "prompt_cache_retention",
    "temperature",
    "top_p",
    "max_output_tokens",
    "store",
];

/// The body of a Responses request, without its input.
pub(super) fn fields(
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
    set("instructions", json!(instructions(&request.messages)));
    if !request.tools.is_empty() {
        set("tools", request.tools.iter().map(tool).collect());
    }
    set("store", Value::Bool(false));
    if settings.enable_encrypted_reasoning {
        set("include", json!(["reasoning.encrypted_content"]));
    }
    set("reasoning", reasoning(settings, route));
    set("max_output_tokens", json!(settings.max_output_tokens));
    set("prompt_cache_key", json!(request.cache_key));
    if settings.caching_prompt && keeps_prompts_longer(route) {
        let retention = json!(settings.prompt_cache_retention);
        set("prompt_cache_retention", retention);
    }
    // Models that reason refuse to be told how to sample.
    if route.capabilities.sampling && !route.capabilities.reasons {
        set("temperature", json!(settings.temperature));
        set("top_p", json!(settings.top_p));
    }
    if settings.stream {
        set("stream", Value::Bool(true));
    }
    for (name, value) in &settings.litellm_extra_body {
        set(name, value.clone());
    }
    body
}

/// Whether the provider takes how long it shall keep a prompt's prefix. Azure does not, and not with the
/// small models; a model that does not either says so and is not told again.
fn keeps_prompts_longer(route: &Route) -> bool {
    let small = ["-mini", "-nano"]
        .iter()
        .any(|part| route.model.contains(part));
    let at_openai = route.endpoint.host_str() == Some(OPENAI_HOST);
    at_openai && route.capabilities.responses && !small
}

/// Tools are strict unless told otherwise, and then their schemas must meet conditions that ours do
/// not.
fn tool(spec: &ToolSpec) -> Value {
    json!({
        "type": "function",
        "name": spec.name,
        "description": spec.description,
        "parameters": spec.parameters,
        "strict": false,
    })
}

/// How much the model thinks, and whether it sums up its thoughts.
fn reasoning(settings: &LlmSettings, route: &Route) -> Value {
    let summary = settings.reasoning_summary.as_deref();
    let fields = [
        ("effort", route.capabilities.effort(settings)),
        ("summary", summary.filter(|summary| !summary.is_empty())),
    ];
    let fields = fields.into_iter();
    let fields: Map<String, Value> = fields
        .filter_map(|(name, value)| Some((name.to_owned(), json!(value?))))
        .collect();
    if fields.is_empty() {
        return Value::Null;
    }
    Value::Object(fields)
}
