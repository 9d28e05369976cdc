use core_model::LlmSettings;
use serde_json::{Map, Value, json};

use crate::provider::{ReasoningField, Route};
use crate::{ModelRequest, ToolSpec};

/// Fields a provider may refuse without the request losing its meaning.
pub(super) const OPTIONAL_FIELDS: [&str; 13] = [
    "reasoning_effort",
    "reasoning",
    "thinking",
    "enable_thinking",
    "prompt_cache_key",
    "session_id",
    "stream_options",
    "temperature",
    "top_p",
    "top_k",
    "seed",
    "max_completion_tokens",
    "max_tokens",
];

/// The body of a Chat Completions request, without its messages.
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
    if !request.tools.is_empty() {
        set("tools", request.tools.iter().map(tool).collect());
    }
    let style = &route.provider.chat;
    if let Some(field) = style.cache_key {
        set(field, json!(request.cache_key));
    }
    for (name, value) in reasoning(settings, route) {
        set(name, value);
    }
    if route.capabilities.sampling {
        set("temperature", json!(settings.temperature));
        set("top_p", json!(settings.top_p));
        if style.top_k {
            set("top_k", json!(settings.top_k));
        }
    }
    set("seed", json!(settings.seed));
    set(style.length_limit, json!(settings.max_output_tokens));
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

/// The fields that ask for reasoning, as the provider has them.
fn reasoning(settings: &LlmSettings, route: &Route) -> Vec<(&'static str, Value)> {
    let able = &route.capabilities;
    let off = settings.reasoning_effort.as_deref() == Some("none");
    let thinking = match (off, able.reasons) {
        (true, _) => json!({"type": "disabled"}),
        (false, true) => json!({"type": "enabled"}),
        (false, false) => Value::Null,
    };
    let effort = able.effort(settings).map_or(Value::Null, Value::from);
    match route.provider.chat.reasoning {
        ReasoningField::Effort => vec![("reasoning_effort", effort)],
        ReasoningField::Nested => {
            // It passes the level on to each model in that model's own form.
            let default = || {
                settings
                    .reasoning_effort
                    .as_deref()
                    .filter(|_| able.reasons)
            };
            let asked = able.effort(settings).or_else(default);
            let asked = asked.filter(|level| !level.is_empty());
            vec![(
                "reasoning",
                asked.map_or(Value::Null, |level| json!({"effort": level})),
            )]
        }
        ReasoningField::Thinking => vec![("thinking", thinking)],
        ReasoningField::ThinkingAndEffort if off => vec![("thinking", thinking)],
        ReasoningField::ThinkingAndEffort => {
            vec![("thinking", thinking), ("reasoning_effort", effort)]
        }
        ReasoningField::EnableThinking if off => vec![("enable_thinking", Value::Bool(false))],
        ReasoningField::EnableThinking => Vec::new(),
    }
}
