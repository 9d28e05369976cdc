use std::collections::BTreeSet;

use core_model::LlmSettings;
use serde_json::{Map, Value, json};

use super::cache::mark_prefixes;
use super::messages::{Prompt, Turn, prompt};
use super::thinking::{output_config, thinking};
use crate::capabilities::Thinking;
use crate::{ModelRequest, ToolSpec, provider::Route};

/// Fields a provider may refuse without the request losing its meaning.
pub(super) const OPTIONAL_FIELDS: [&str; 6] = [
    "thinking",
    "output_config",
    "temperature",
    "top_p",
    "top_k",
    "tool_choice",
];

/// The limit on a reply of a model about which nothing is known. A limit must be sent, and one above
/// what the model can do is refused.
const USUAL_LONGEST_REPLY: u64 = 8_192;

/// The body of a Messages request.
pub(super) fn body(
    settings: &LlmSettings,
    route: &Route,
    request: &ModelRequest,
) -> Map<String, Value> {
    let takes = &route.capabilities;
    let mut prompt = prompt(route, &request.messages);
    let longest_reply = settings.max_output_tokens.or(takes.max_output_tokens);
    let longest_reply = longest_reply.unwrap_or(USUAL_LONGEST_REPLY);
    let by_budget = takes.thinking == Thinking::Budget;
    let thinking = if by_budget && prompt.turn_without_thinking() {
        Value::Null
    } else {
        thinking(settings, takes, longest_reply)
    };
    if takes.thinking != Thinking::None && !is_on(&thinking) {
        prompt.forget_thoughts();
    }
    let (mut tools, tool_choice) = tools(request, &prompt);
    if settings.caching_prompt && takes.cache_control {
        mark_prefixes(&mut prompt, &mut tools);
    }

    let mut body = Map::new();
    let mut set = |name: &str, value: Value| {
        if !value.is_null() {
            body.insert(name.to_owned(), value);
        }
    };
    set("model", json!(route.model));
    set("max_tokens", json!(longest_reply));
    if !tools.is_empty() {
        set("tools", Value::Array(tools));
    }
    set("tool_choice", tool_choice);
    if !prompt.system.is_empty() {
        set("system", Value::Array(prompt.system));
    }
    set("messages", prompt.turns.into_iter().map(message).collect());
    if takes.sampling && !is_on(&thinking) {
        set("temperature", json!(settings.temperature));
        // Only one of the two is taken.
        if settings.temperature.is_none() {
            set("top_p", json!(settings.top_p));
        }
        set("top_k", json!(settings.top_k.map(|top_k| top_k as u64)));
    }
    set("thinking", thinking);
    set("output_config", output_config(settings, takes));
    if settings.stream {
        set("stream", Value::Bool(true));
    }
    for (name, value) in &settings.litellm_extra_body {
        set(name, value.clone());
    }
    body
}

/// Thinking goes together with no other sampling than the usual one.
fn is_on(thinking: &Value) -> bool {
    matches!(thinking["type"].as_str(), Some("enabled" | "adaptive"))
}

fn message(turn: Turn) -> Value {
    json!({"role": turn.role.name(), "content": turn.content})
}

/// The tools that are offered. When none are, but some were called before, they must be there all the
/// same, and `tool_choice` says that none may be called now.
fn tools(request: &ModelRequest, prompt: &Prompt) -> (Vec<Value>, Value) {
    if !request.tools.is_empty() {
        return (request.tools.iter().map(tool).collect(), Value::Null);
    }
    let called: BTreeSet<&str> = prompt.called_tools().collect();
    if called.is_empty() {
        return (Vec::new(), Value::Null);
    }
    let any_input = json!({"type": "object"});
    let tools = called.into_iter();
    let tools = tools.map(|name| json!({"name": name, "input_schema": any_input}));
    (tools.collect(), json!({"type": "none"}))
}

fn tool(spec: &ToolSpec) -> Value {
    let mut tool = Map::new();
    tool.insert("name".to_owned(), json!(spec.name));
    if !spec.description.trim().is_empty() {
        tool.insert("description".to_owned(), json!(spec.description));
    }
    tool.insert("input_schema".to_owned(), input_schema(&spec.parameters));
    Value::Object(tool)
}

/// A schema as it is taken: of an object, without alternatives at the top.
fn input_schema(parameters: &Value) -> Value {
    let mut schema = parameters.as_object().cloned().unwrap_or_default();
    schema.insert("type".to_owned(), json!("object"));
    schema.retain(|name, _| !matches!(name.as_str(), "oneOf" | "anyOf" | "allOf"));
    Value::Object(schema)
}
