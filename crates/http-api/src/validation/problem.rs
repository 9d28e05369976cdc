//! One thing that is wrong with a request, as the public clients know it.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

/// Path segments below which a value may be a secret, so it is never sent back.
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
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "ValidationError")]
pub(crate) struct Problem {
    /// `missing`, `enum`, `uuid_parsing`, …
    #[serde(rename = "type")]
    kind: &'static str,
    /// Where: `body`, `query` or `path`, then names and positions from there on.
    loc: Vec<NameOrPosition>,
    /// What is wrong, for people.
    msg: String,
    /// What was given, left out where it may be a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<Value>,
    /// The figures in `msg`.
    #[serde(skip_serializing_if = "Option::is_none")]
    ctx: Option<Map<String, Value>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum NameOrPosition {
    Name(String),
    Position(u64),
}

impl Problem {
    pub(crate) fn new(kind: &'static str, loc: &[&str], msg: impl Into<String>) -> Self {
        Self {
            kind,
            loc: loc.iter().map(|name| NameOrPosition::from(*name)).collect(),
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

    /// The value is not one of the names it may be.
    pub(crate) fn choice(loc: &[&str], names: &[&str]) -> Self {
        let expected = either(names);
        Self::new("enum", loc, format!("Input should be {expected}")).ctx("expected", expected)
    }

    /// The text is not a UUID.
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

    /// The same problem, with what was given, unless that may be a secret or is not a plain value.
    pub(crate) fn input(mut self, input: impl Into<Value>) -> Self {
        let input = input.into();
        let sensitive = self.loc.iter().any(|segment| match segment {
            NameOrPosition::Name(name) => SENSITIVE.contains(&name.as_str()),
            NameOrPosition::Position(_) => false,
        });
        if !sensitive && !input.is_object() && !input.is_array() {
            self.input = Some(input);
        }
        self
    }

    /// The same problem of a body that cannot be shown.
    pub(super) fn input_left_out(self) -> Self {
        Self {
            input: Some(Value::Object(Map::new())),
            ..self
        }
    }

    pub(crate) fn ctx(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.ctx = Some(Map::from_iter([(name.to_owned(), value.into())]));
        self
    }

    /// The same problem, further in.
    pub(crate) fn at(mut self, index: usize) -> Self {
        self.loc.push(index.into());
        self
    }

    /// The same problem, in a field of what it was in.
    pub(crate) fn below(mut self, name: &str) -> Self {
        self.loc.push(name.into());
        self
    }

    /// The same problem in another place.
    pub(super) fn moved_to(self, loc: Vec<NameOrPosition>) -> Self {
        Self { loc, ..self }
    }

    /// One line for people: where and what.
    pub(crate) fn summary(&self) -> String {
        let loc = self.loc.iter().skip(1).map(|segment| match segment {
            NameOrPosition::Name(name) => name.clone(),
            NameOrPosition::Position(position) => position.to_string(),
        });
        let loc: Vec<String> = loc.collect();
        if loc.is_empty() {
            self.msg.clone()
        } else {
            format!("{}: {}", loc.join("."), self.msg)
        }
    }
}

impl From<&str> for NameOrPosition {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl From<usize> for NameOrPosition {
    fn from(position: usize) -> Self {
        Self::Position(position as u64)
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
