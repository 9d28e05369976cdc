//! Turns what is wrong with a request into the error list that the public clients know: one
//! object a problem, with `type`, `loc`, `msg` and, where it cannot give a secret away, `input`.

use core_model::ConversationId;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, error::Category, json};
use serde_path_to_error::{Path, Segment};

/// Path segments below which a value may be a secret, so that it is never sent back.
const SENSITIVE: [&str; 12] = [
    "llm",
    "secrets",
    "mcp_config",
    "params",
    "headers",
    "extra_headers",
    "env",
    "api_key",
    "auth",
    "token",
    "value",
    "session_api_key",
];

/// One thing that is wrong with a request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    loc: Vec<Value>,
    msg: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ctx: Option<Value>,
}

impl Problem {
    pub(crate) fn new(kind: &'static str, loc: &[&str], msg: impl Into<String>) -> Self {
        let loc = loc.iter().map(|segment| json!(segment)).collect();
        Self {
            kind,
            loc,
            msg: msg.into(),
            input: None,
            ctx: None,
        }
    }

    pub(crate) fn missing(loc: &[&str]) -> Self {
        Self::new("missing", loc, "Field required")
    }

    /// A rule of our own that the value breaks; `why` must not quote the value.
    pub(crate) fn value_error(loc: &[&str], why: &str) -> Self {
        Self::new("value_error", loc, format!("Value error, {why}")).ctx("error", why)
    }

    /// The value is none of the names it may be.
    pub(crate) fn choice(loc: &[&str], names: &[&str]) -> Self {
        let expected = either(names);
        Self::new("enum", loc, format!("Input should be {expected}")).ctx("expected", expected)
    }

    /// The text is no UUID.
    pub(crate) fn uuid(loc: &[&str], text: &str) -> Self {
        let why = uuid_fault(text);
        Self::new(
            "uuid_parsing",
            loc,
            format!("Input should be a valid UUID, {why}"),
        )
        .input(text)
        .ctx("error", why)
    }

    /// The same problem, with what was given, unless that may be a secret or is no plain value.
    pub(crate) fn input(mut self, input: impl Into<Value>) -> Self {
        let input = input.into();
        let sensitive = self.loc.iter().any(|segment| {
            segment
                .as_str()
                .is_some_and(|name| SENSITIVE.contains(&name))
        });
        if !sensitive && !input.is_object() && !input.is_array() {
            self.input = Some(input);
        }
        self
    }

    pub(crate) fn ctx(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.ctx = Some(json!({ name: value.into() }));
        self
    }

    /// The same problem, further in.
    pub(crate) fn at(mut self, index: usize) -> Self {
        self.loc.push(json!(index));
        self
    }

    /// The same problem, in a field of what it was in.
    pub(crate) fn below(mut self, name: &str) -> Self {
        self.loc.push(json!(name));
        self
    }

    /// One line for people: where and what.
    pub(crate) fn summary(&self) -> String {
        let loc: Vec<String> = self
            .loc
            .iter()
            .skip(1)
            .map(|segment| {
                segment
                    .as_str()
                    .map_or_else(|| segment.to_string(), str::to_owned)
            })
            .collect();
        if loc.is_empty() {
            self.msg.clone()
        } else {
            format!("{}: {}", loc.join("."), self.msg)
        }
    }
}

/// Parses a request body as JSON of any shape.
///
/// # Errors
/// One problem of type `json_invalid` with the offset in bytes.
pub(crate) fn json(bytes: &[u8]) -> Result<Value, Vec<Problem>> {
    serde_json::from_slice(bytes).map_err(|error| {
        let mut problem = Problem::new("json_invalid", &["body"], "JSON decode error")
            .at(offset(bytes, error.line(), error.column()))
            .ctx("error", syntax_fault(&error));
        problem.input = Some(json!({}));
        vec![problem]
    })
}

/// Reads `value` as a `T`; `at` is where the value stands in the request.
///
/// # Errors
/// The first thing that does not fit.
pub(crate) fn typed<T: DeserializeOwned>(value: &Value, at: &[&str]) -> Result<T, Vec<Problem>> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().clone();
        vec![explain(&error.into_inner().to_string(), at, &path, value)]
    })
}

/// Reads `value`, which must be an object, as a `T`. A list would do for a deserialiser too.
///
/// # Errors
/// The first thing that does not fit.
pub(crate) fn object<T: DeserializeOwned>(value: &Value, at: &[&str]) -> Result<T, Vec<Problem>> {
    if !value.is_object() {
        let msg = "Input should be a valid dictionary or object to extract fields from";
        return Err(vec![
            Problem::new("model_attributes_type", at, msg).input(value.clone()),
        ]);
    }
    typed(value, at)
}

/// Reads a conversation id, dashed or as 32 hex digits.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn conversation_id(text: &str, loc: &[&str]) -> Result<ConversationId, Vec<Problem>> {
    let plain = text.len() == 36 || text.len() == 32;
    match text.parse() {
        Ok(id) if plain => Ok(id),
        Ok(_) | Err(_) => Err(vec![Problem::uuid(loc, text)]),
    }
}

/// `'a'`, `'a' or 'b'`, `'a', 'b' or 'c'`.
fn either(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} or {last}", before.join(", ")),
        None => String::new(),
    }
}

fn uuid_fault(text: &str) -> String {
    let digits = text
        .chars()
        .enumerate()
        .find(|(_, c)| !c.is_ascii_hexdigit() && *c != '-');
    match digits {
        Some((at, found)) => format!("invalid character: found `{found}` at {at}"),
        None => format!("invalid length: found {} characters", text.chars().count()),
    }
}

/// Where a parser stopped, counted in bytes from the start.
fn offset(bytes: &[u8], line: usize, column: usize) -> usize {
    let before: usize = bytes
        .split_inclusive(|byte| *byte == b'\n')
        .take(line.saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    (before + column.saturating_sub(1)).min(bytes.len())
}

/// A syntax error in words, without the position that the offset already says.
fn syntax_fault(error: &serde_json::Error) -> String {
    match error.classify() {
        Category::Eof => "the text ends too early".to_owned(),
        Category::Syntax | Category::Data | Category::Io => {
            let text = error.to_string();
            text.split(" at line ")
                .next()
                .unwrap_or_default()
                .to_owned()
        }
    }
}

/// Translates a deserialiser's words. They quote the value at fault, so only their pattern and
/// what they expect is used.
fn explain(message: &str, at: &[&str], path: &Path, root: &Value) -> Problem {
    let mut loc: Vec<Value> = at.iter().map(|segment| json!(segment)).collect();
    let mut found = Some(root);
    for segment in path.iter() {
        match segment {
            Segment::Seq { index } => {
                loc.push(json!(index));
                found = found.and_then(|value| value.get(index));
            }
            Segment::Map { key } => {
                loc.push(json!(key));
                found = found.and_then(|value| value.get(key));
            }
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    let mut problem = Problem::new("value_error", &[], "");
    if let Some(field) = between(message, "missing field `", "`") {
        loc.push(json!(field));
        problem = Problem::missing(&[]);
        found = None;
    } else if message.starts_with("unknown field `") {
        problem = Problem::new("extra_forbidden", &[], "Extra inputs are not permitted");
    } else if message.starts_with("unknown variant `") {
        let names: Vec<&str> = message
            .rsplit("expected")
            .next()
            .unwrap_or_default()
            .split('`')
            .skip(1)
            .step_by(2)
            .collect();
        problem = Problem::choice(&[], &names);
    } else if let Some(why) = message.strip_prefix("UUID parsing failed: ") {
        problem = match found.and_then(Value::as_str) {
            Some(text) => Problem::uuid(&[], text),
            None => Problem::new(
                "uuid_parsing",
                &[],
                format!("Input should be a valid UUID, {why}"),
            ),
        };
    } else if let Some((_, expected)) = message.split_once(", expected ") {
        let (kind, words) = expectation(expected);
        problem = Problem::new(kind, &[], format!("Input should be {words}"));
    } else {
        problem.msg = "Value error, the value does not fit".to_owned();
    }
    problem.loc = loc;
    match found {
        Some(value) => problem.input(value.clone()),
        None => problem,
    }
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    text.strip_prefix(start)?.split(end).next()
}

/// The clients' name for what a deserialiser expects.
fn expectation(expected: &str) -> (&'static str, String) {
    let first = expected.split([' ', ',']).next().unwrap_or_default();
    match first {
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" | "isize" => {
            ("int_type", "a valid integer".to_owned())
        }
        "f32" | "f64" => ("float_type", "a valid number".to_owned()),
        "struct" | "map" => ("dict_type", "a valid object".to_owned()),
        "sequence" => ("list_type", "a valid list".to_owned()),
        _ if expected.starts_with("a boolean") => ("bool_type", "a valid boolean".to_owned()),
        _ if expected.contains("string") => ("string_type", "a valid string".to_owned()),
        _ if expected.starts_with("a sequence") => ("list_type", "a valid list".to_owned()),
        _ if expected.starts_with("a map") => ("dict_type", "a valid object".to_owned()),
        _ => ("value_error", expected.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use core_model::{Agent, Content, ExecutionStatus};

    use super::*;

    fn first<T: DeserializeOwned + std::fmt::Debug>(value: Value) -> Value {
        json!(typed::<T>(&value, &["body"]).unwrap_err()[0])
    }

    #[test]
    fn broken_json_is_located() {
        let problem = json!(json(b"{bad").unwrap_err()[0]);
        assert_eq!(problem["type"], "json_invalid");
        assert_eq!(problem["loc"], json!(["body", 1]));
        assert_eq!(problem["msg"], "JSON decode error");
        let problem = json!(json(b"{\n \"a\": ]}").unwrap_err()[0]);
        assert_eq!(problem["loc"], json!(["body", 8]));
    }

    #[test]
    fn an_enum_names_its_choices() {
        let problem = first::<ExecutionStatus>(json!("bogus"));
        assert_eq!(
            problem["msg"],
            "Input should be 'idle', 'running', 'paused', 'waiting_for_confirmation', 'finished', \
             'error', 'stuck' or 'deleting'"
        );
        assert_eq!(problem["input"], "bogus");
    }

    #[test]
    fn the_path_leads_into_the_body() {
        let problem = first::<Vec<Content>>(json!([{"type": "text"}]));
        assert_eq!(problem["type"], "missing");
        assert_eq!(problem["loc"], json!(["body", 0, "text"]));
    }

    #[test]
    fn a_secret_in_the_wrong_place_is_not_echoed() {
        for body in [
            json!({"llm": {"num_retries": "sk-secret"}}),
            json!({"llm": "sk-secret"}),
            json!({"mcp_config": "sk-secret"}),
            json!({"llm": {"api_mode": "sk-secret"}}),
        ] {
            let text = first::<Agent>(body).to_string();
            assert!(!text.contains("sk-secret"), "{text}");
        }
    }

    #[test]
    fn ids_are_dashed_or_hex_and_nothing_else() {
        let id = conversation_id("4ed7564ac4654319ba19ee162b106852", &["path"]).unwrap();
        assert_eq!(id.to_string(), "4ed7564a-c465-4319-ba19-ee162b106852");
        assert_eq!(Ok(id), conversation_id(&id.to_string(), &["path"]));
        let problem = conversation_id("not-a-uuid", &["path", "conversation_id"]).unwrap_err();
        assert_eq!(
            json!(problem[0]),
            json!({
                "type": "uuid_parsing",
                "loc": ["path", "conversation_id"],
                "msg": "Input should be a valid UUID, invalid character: found `n` at 0",
                "input": "not-a-uuid",
                "ctx": {"error": "invalid character: found `n` at 0"}
            })
        );
        assert!(conversation_id(&format!("{{{id}}}"), &["path"]).is_err());
    }
}
