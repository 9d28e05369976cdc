//! What answers of every wire format have in common: errors in many shapes, and JSON in events.

use serde_json::Value;

use crate::ModelError;

/// The failure that an answer with status 200 may hold all the same.
pub(crate) fn error_in(value: &Value) -> Option<ModelError> {
    let error = [&value["error"], &value["choices"][0]["error"]]
        .into_iter()
        .find(|error| error.is_object() || error.as_str().is_some_and(|text| !text.is_empty()))?;
    let kind = format!("{} {}", text_in(&error["type"]), text_in(&error["code"])).to_lowercase();
    let number = error["code"].as_u64().or(error["status"].as_u64());
    let status = match number.and_then(|code| u16::try_from(code).ok()) {
        Some(code @ 400..=599) => code,
        _ if kind.contains("rate_limit") => 429,
        _ if kind.contains("insufficient_quota") => 402,
        _ if kind.contains("authentication") || kind.contains("api_key") => 401,
        _ if names_bad_request(&kind) => 400,
        _ => 503,
    };
    Some(ModelError::from_whole(status, &message_in(value), None))
}

/// Whether an error's type or code blames the request itself, so that the same one fails again.
fn names_bad_request(kind: &str) -> bool {
    ["invalid", "context_length", "image", "policy"]
        .iter()
        .any(|word| kind.contains(word))
}

/// A provider's words out of an error body, whatever its shape.
pub(crate) fn message_in(value: &Value) -> String {
    let spoken = [
        &value["error"]["message"],
        &value["choices"][0]["error"]["message"],
        &value["message"],
        &value["detail"],
        &value["error"],
    ];
    let message = spoken.into_iter().find_map(Value::as_str);
    let code = value["error"]["code"].as_str().unwrap_or_default();
    let message = match message {
        Some(message) if code.is_empty() || message.contains(code) => message.to_owned(),
        Some(message) => format!("{message} ({code})"),
        None => return value.to_string(),
    };
    // What the provider behind OpenRouter said; the message says only that it returned an error.
    let raw = &value["error"]["metadata"]["raw"];
    if raw.is_null() {
        return message;
    }
    let raw = raw.as_str().map_or_else(|| raw.to_string(), str::to_owned);
    format!("{message}: {raw}")
}

/// The JSON values in the data of one event, and whether `[DONE]` follows them. Some servers forget
/// the blank line between events, so there may be several.
///
/// # Errors
/// [`ModelError::NoResponse`] in place of a value that is not JSON.
pub(crate) fn values_in(data: &str) -> (impl Iterator<Item = Result<Value, ModelError>>, bool) {
    let data = data.trim();
    let (values, done) = match data.strip_suffix("[DONE]") {
        Some(before) => (before, true),
        None => (data, false),
    };
    let values = serde_json::Deserializer::from_str(values).into_iter::<Value>();
    let values = values.map(|value| {
        value.map_err(|error| {
            ModelError::NoResponse(format!("a streamed chunk is not JSON: {error}"))
        })
    });
    (values, done)
}

/// A string's text; nothing of any other value.
pub(crate) fn text_in(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
