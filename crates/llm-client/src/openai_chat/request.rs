use core_model::{Content, LlmSettings, Message, Role};
use serde_json::{Map, Value, json};

use crate::{ModelRequest, ToolSpec, provider::Route};

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
    set("reasoning_effort", reasoning_effort(settings, &route.model));
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

/// Every client's settings ask for "high", but most models refuse the field: it is sent to those
/// known to take it, and when someone asked for something else.
fn reasoning_effort(settings: &LlmSettings, model: &str) -> Value {
    let effort = settings.reasoning_effort.as_deref();
    let by_default = settings.reasoning_effort == LlmSettings::default().reasoning_effort;
    match effort.filter(|effort| !effort.is_empty()) {
        Some(effort) if !by_default || takes_reasoning_effort(model) => json!(effort),
        _ => Value::Null,
    }
}

fn takes_reasoning_effort(model: &str) -> bool {
    const FAMILIES: [&str; 7] = [
        "gpt-5",
        "o1",
        "o3",
        "o4",
        "gpt-oss",
        "gemini-2.5-pro",
        "gemini-3",
    ];
    const EXCEPT: [&str; 3] = ["-chat", "o1-mini", "o1-preview"];
    let model = model.to_lowercase();
    let name = model.rsplit('/').next().unwrap_or(&model);
    let in_family = FAMILIES.iter().any(|family| {
        name.strip_prefix(family)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.', ':']))
    });
    in_family && !EXCEPT.iter().any(|part| name.contains(part))
}

/// Models that want their reasoning back with the tool calls it led to.
fn wants_reasoning_back(model: &str) -> bool {
    const NAMES: [&str; 4] = ["deepseek-reasoner", "kimi-k2", "minimax-m2", "glm-4.7"];
    let model = model.to_lowercase();
    NAMES.iter().any(|name| model.contains(name))
}

fn messages(settings: &LlmSettings, route: &Route, messages: &[Message]) -> Value {
    let format = Format {
        plain: settings
            .force_string_serializer
            .unwrap_or_else(|| route.provider.plain_content || wants_plain_content(&route.model)),
        images: settings.disable_vision != Some(true),
        reasoning: wants_reasoning_back(&route.model),
    };
    let cached = settings.caching_prompt && route.model.to_lowercase().contains("claude");
    let last_input = messages
        .iter()
        .rposition(|message| matches!(message.role, Role::User | Role::Tool))
        .filter(|_| cached);
    let mut list = Vec::with_capacity(messages.len());
    let mut tool_images = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        if message.role == Role::Tool {
            tool_images.extend(images_of(message).filter(|_| format.images));
        } else {
            list.extend(images_message(&mut tool_images));
        }
        let mut value = format.message(message);
        if cached && message.role == Role::System {
            mark(value.pointer_mut("/content/0"));
        }
        if last_input == Some(at) {
            match message.role {
                Role::Tool => mark(Some(&mut value)),
                Role::User | Role::System | Role::Assistant => {
                    let parts = value.get_mut("content").and_then(Value::as_array_mut);
                    mark(parts.and_then(|parts| parts.last_mut()));
                }
            }
        }
        list.push(value);
    }
    list.extend(images_message(&mut tool_images));
    Value::Array(list)
}

fn wants_plain_content(model: &str) -> bool {
    let model = model.to_lowercase();
    ["deepseek", "glm-", "kimi-k2-instruct"]
        .iter()
        .any(|name| model.contains(name))
}

/// Marks the end of a prefix that Claude models shall cache.
fn mark(target: Option<&mut Value>) {
    if let Some(Value::Object(fields)) = target {
        fields.insert("cache_control".to_owned(), json!({"type": "ephemeral"}));
    }
}

struct Format {
    plain: bool,
    images: bool,
    reasoning: bool,
}

impl Format {
    fn message(&self, message: &Message) -> Value {
        let mut fields = Map::new();
        fields.insert("role".to_owned(), json!(message.role));
        let calls = message.tool_calls.as_deref().unwrap_or_default();
        let content = match message.role {
            Role::System | Role::User => self.parts_or_text(message),
            Role::Assistant | Role::Tool => self.text_if_possible(message),
        };
        let empty = content.as_str() == Some("");
        if !(empty && message.role == Role::Assistant && !calls.is_empty()) {
            fields.insert("content".to_owned(), content);
        }
        if let Some(reasoning) = message
            .reasoning_content
            .as_ref()
            .filter(|_| self.reasoning)
        {
            fields.insert("reasoning_content".to_owned(), json!(reasoning));
        }
        if message.role == Role::Assistant && !calls.is_empty() {
            let calls = calls.iter().map(|call| {
                json!({"id": call.id, "type": "function",
                       "function": {"name": call.name, "arguments": call.arguments}})
            });
            fields.insert("tool_calls".to_owned(), calls.collect());
        }
        if message.role == Role::Tool {
            fields.insert("tool_call_id".to_owned(), json!(message.tool_call_id));
            if let Some(name) = &message.name {
                fields.insert("name".to_owned(), json!(name));
            }
        }
        Value::Object(fields)
    }

    /// A list of parts; a string where the provider wants one and there is only text.
    fn parts_or_text(&self, message: &Message) -> Value {
        let mut parts = Vec::new();
        for part in &message.content {
            match part {
                // Providers refuse blank parts; a message must keep one all the same.
                Content::Text { text, .. } if text.trim().is_empty() => {}
                Content::Text { text, .. } => parts.push(json!({"type": "text", "text": text})),
                Content::Image { image_urls, .. } if self.images => {
                    parts.extend(image_urls.iter().map(|url| image(url)));
                }
                Content::Image { .. } => {
                    parts.push(json!({"type": "text", "text": NOT_SHOWN}));
                }
            }
        }
        let only_text = parts.iter().all(|part| part["type"] == "text");
        if parts.is_empty() || (self.plain && only_text) {
            return Value::String(self.text(message));
        }
        Value::Array(parts)
    }

    /// A string for a single text, as every provider takes it; otherwise a list. Images have
    /// no place in what tools and assistants say: see [`images_message`].
    fn text_if_possible(&self, message: &Message) -> Value {
        let single = message.content.len() <= 1 || message.role == Role::Assistant;
        if self.plain || single {
            return Value::String(self.text(message));
        }
        let texts = message.content.iter().filter_map(|part| self.text_of(part));
        let texts = texts.filter(|text| !text.is_empty());
        let parts: Vec<Value> = texts
            .map(|text| json!({"type": "text", "text": text}))
            .collect();
        match parts.is_empty() {
            true => Value::String(String::new()),
            false => Value::Array(parts),
        }
    }

    fn text(&self, message: &Message) -> String {
        let texts = message.content.iter().filter_map(|part| self.text_of(part));
        texts.collect::<Vec<_>>().join("\n")
    }

    fn text_of<'a>(&self, part: &'a Content) -> Option<&'a str> {
        match part {
            Content::Text { text, .. } => Some(text),
            Content::Image { .. } if self.images => Some(SHOWN_BELOW),
            Content::Image { .. } => Some(NOT_SHOWN),
        }
    }
}

const NOT_SHOWN: &str = "[An image was left out: vision is disabled.]";
const SHOWN_BELOW: &str = "[An image, attached to the next user message.]";

/// Tool messages cannot hold images, so those follow the batch as what a user shows.
fn images_message(images: &mut Vec<String>) -> Option<Value> {
    if images.is_empty() {
        return None;
    }
    let mut parts = vec![json!({"type": "text", "text": "Images from the tool results above:"})];
    parts.extend(images.drain(..).map(|url| image(&url)));
    Some(json!({"role": "user", "content": parts}))
}

fn images_of(message: &Message) -> impl Iterator<Item = String> {
    message.content.iter().flat_map(|part| match part {
        Content::Text { .. } => Vec::new(),
        Content::Image { image_urls, .. } => image_urls.clone(),
    })
}

fn image(url: &str) -> Value {
    json!({"type": "image_url", "image_url": {"url": url}})
}
