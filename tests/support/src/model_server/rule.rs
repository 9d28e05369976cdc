use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Map, Value};

/// Something that a provider refuses.
pub(super) struct Rule {
    /// Begins with the format's name: `chat.calls_answered`.
    pub(super) name: &'static str,
    /// Whether every provider of the format refuses it; else some do.
    pub(super) usual: bool,
    /// What breaks the rule, in words.
    pub(super) check: fn(&Asked<'_>) -> Vec<String>,
}

/// A rule of every provider.
pub(super) const fn usual(name: &'static str, check: fn(&Asked<'_>) -> Vec<String>) -> Rule {
    Rule {
        name,
        usual: true,
        check,
    }
}

/// A rule of some providers, enforced where a test says so.
pub(super) const fn some(name: &'static str, check: fn(&Asked<'_>) -> Vec<String>) -> Rule {
    Rule {
        name,
        usual: false,
        check,
    }
}

/// A request, and what this server said before.
pub(super) struct Asked<'a> {
    pub(super) body: &'a Value,
    /// Names in lower case.
    pub(super) headers: &'a BTreeMap<String, String>,
    pub(super) sent: &'a [SentReply],
}

/// A reply that was sent.
pub(super) struct SentReply {
    pub(super) model: String,
    /// In the format's own form: content blocks, output items, or the one message of Chat Completions.
    pub(super) items: Vec<Value>,
    /// What [`hash_of`] gives for the messages that it answered.
    pub(super) prefix: u64,
}

impl<'a> Asked<'a> {
    /// Replies that the model which is asked now has given.
    pub(super) fn own_replies(&self) -> impl Iterator<Item = &'a SentReply> {
        let model = text(&self.body["model"]);
        self.sent.iter().filter(move |reply| reply.model == model)
    }

    /// All items of [`Self::own_replies`].
    pub(super) fn own_items(&self) -> impl Iterator<Item = &'a Value> {
        self.own_replies().flat_map(|reply| &reply.items)
    }

    pub(super) fn has(&self, field: &str) -> bool {
        !self.body[field].is_null()
    }

    /// Which of these fields the request has, each as a violation.
    pub(super) fn refused(&self, fields: &[&str]) -> Vec<String> {
        let found = fields.iter().filter(|field| self.has(field));
        found
            .map(|field| format!("`{field}` is not supported with this model"))
            .collect()
    }

    /// Which fields are none of these.
    pub(super) fn unknown_fields(&self, known: &[&str]) -> Vec<String> {
        let fields = self.body.as_object().into_iter().flatten();
        let unknown = fields.filter(|(name, _)| !known.contains(&name.as_str()));
        unknown
            .map(|(name, _)| format!("`{name}` is no field of a request"))
            .collect()
    }
}

/// A list's elements; none of anything else.
pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

pub(super) fn non_empty(value: &Value) -> bool {
    !text(value).is_empty()
}

/// Letters, digits, `_` and `-`, at most `longest` of them.
pub(super) fn is_identifier(value: &Value, longest: usize) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let name = text(value);
    !name.is_empty() && name.len() <= longest && name.chars().all(allowed)
}

/// One violation when `wrong`.
pub(super) fn when(wrong: bool, reason: &str) -> Vec<String> {
    if wrong {
        return vec![reason.to_owned()];
    }
    Vec::new()
}

/// How often `cache_control` stands in a value.
pub(super) fn cache_marks(value: &Value) -> usize {
    match value {
        Value::Object(fields) => {
            let own = usize::from(fields.contains_key("cache_control"));
            own + fields.values().map(cache_marks).sum::<usize>()
        }
        Value::Array(values) => values.iter().map(cache_marks).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

pub(super) fn without_cache_marks(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(name, _)| *name != "cache_control");
            let kept = kept.map(|(name, value)| (name.clone(), without_cache_marks(value)));
            Value::Object(kept.collect())
        }
        Value::Array(values) => values.iter().map(without_cache_marks).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// The same object without fields that are null.
pub(super) fn without_nulls(value: &Value) -> Value {
    let fields = value.as_object().cloned().unwrap_or_default();
    let kept: Map<String, Value> = fields.into_iter().filter(|(_, v)| !v.is_null()).collect();
    Value::Object(kept)
}

/// A number for messages, the same whatever is marked to be cached.
pub(super) fn hash_of(messages: &[Value]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for message in messages {
        without_cache_marks(message).to_string().hash(&mut hasher);
    }
    hasher.finish()
}
