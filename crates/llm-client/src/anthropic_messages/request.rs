use std::collections::BTreeSet;
use std::sync::Arc;

use core_model::{LlmSettings, Role};
use serde_json::{Map, Value, json};

use super::cache::{mark_beginning, mark_end};
use super::messages::{Turn, prompt};
use super::thinking::{output_config, thinking};
use crate::capabilities::Thinking;
use crate::format::ListPart;
use crate::wire_names::legal_name;
use crate::{ModelMessage, ModelRequest, ToolSpec, provider::Route};

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

/// How many of the last replies most often tell whether a turn goes without thoughts.
const LOOKED_AT_FOR_THOUGHTS: usize = 3;

/// The body of a Messages request, without its messages.
pub(super) fn fields(
    settings: &LlmSettings,
    route: &Route,
    request: &ModelRequest,
) -> Map<String, Value> {
    let takes = &route.capabilities;
    let messages = &request.messages;
    let longest_reply = settings.max_output_tokens.or(takes.max_output_tokens);
    let longest_reply = longest_reply.unwrap_or(USUAL_LONGEST_REPLY);
    let by_budget = takes.thinking == Thinking::Budget;
    let thinking = if by_budget && turn_without_thinking(route, messages) {
        Value::Null
    } else {
        thinking(settings, takes, longest_reply)
    };
    let system = messages
        .iter()
        .take_while(|message| message.role() == Role::System);
    let system = ListPart::whole(&messages[..system.count()]);
    let mut system = prompt(route, &system).system;
    let (mut tools, tool_choice) = tools(request);
    if settings.caching_prompt && takes.cache_control {
        mark_beginning(&mut tools, &mut system);
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
    if !system.is_empty() {
        set("system", Value::Array(system));
    }
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

/// Messages of a request, in a body with these other fields.
pub(super) fn messages(
    settings: &LlmSettings,
    route: &Route,
    fields: &Map<String, Value>,
    part: &ListPart<'_>,
) -> Vec<Value> {
    let takes = &route.capabilities;
    let mut prompt = prompt(route, part);
    let thinks = fields.get("thinking").is_some_and(is_on);
    if takes.thinking != Thinking::None && !thinks {
        prompt.forget_thoughts();
    }
    if part.is_last && settings.caching_prompt && takes.cache_control {
        mark_end(&mut prompt.turns);
    }
    prompt.turns.into_iter().map(message).collect()
}

/// As [`Prompt::turn_without_thinking`]. A thought in one of the turn's last replies is enough to
/// know, so most often the others need not be looked at.
fn turn_without_thinking(route: &Route, messages: &[Arc<ModelMessage>]) -> bool {
    let without = |from: usize| {
        let last = ListPart::whole(&messages[from..]);
        prompt(route, &last).turn_without_thinking()
    };
    let replies = messages.iter().enumerate().rev();
    let mut replies = replies.filter(|(_, message)| message.role() == Role::Assistant);
    let one_of_last = replies.nth(LOOKED_AT_FOR_THOUGHTS - 1).map(|(at, _)| at);
    one_of_last.is_none_or(without) && without(0)
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
fn tools(request: &ModelRequest) -> (Vec<Value>, Value) {
    if !request.tools.is_empty() {
        return (request.tools.iter().map(tool).collect(), Value::Null);
    }
    let calls = request.messages.iter().flat_map(|message| message.calls());
    let called: BTreeSet<_> = calls.map(|call| legal_name(&call.name)).collect();
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
