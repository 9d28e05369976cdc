use std::time::Duration;

use serde_json::{Map, Value, json};

/// One reply of the scripted model.
#[derive(Debug, PartialEq)]
pub(super) struct Step {
    pub(super) answer: Answer,
    pub(super) reasoning: Option<String>,
    /// How long to wait before answering.
    pub(super) delay: Duration,
}

#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    Say(String),
    Calls {
        /// Said beside the calls; may be empty.
        thought: String,
        calls: Vec<ToolCall>,
    },
    Error {
        status: u16,
        message: String,
    },
}

#[derive(Debug, PartialEq)]
pub(super) struct ToolCall {
    pub(super) name: String,
    /// JSON text, unless the script wants it broken.
    pub(super) arguments: String,
}

impl Step {
    pub(super) fn saying(text: &str) -> Self {
        Self::from(Answer::Say(text.to_owned()))
    }

    pub(super) fn calling(name: &str, arguments: &Value) -> Self {
        let call = ToolCall {
            name: name.to_owned(),
            arguments: arguments.to_string(),
        };
        Self::from(Answer::Calls {
            thought: String::new(),
            calls: vec![call],
        })
    }
}

impl From<Answer> for Step {
    fn from(answer: Answer) -> Self {
        Self {
            answer,
            reasoning: None,
            delay: Duration::ZERO,
        }
    }
}

/// The steps written in a message, in order; none when it has none.
///
/// # Errors
/// A reason in words when a fenced `json` list is not a list of steps.
pub(super) fn parse(message: &str) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut lines = message.lines();
    while let Some(line) = lines.next() {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step::calling(
                "terminal",
                &json!({"command": command.trim_end()}),
            ));
        } else if line.trim_end().eq_ignore_ascii_case("```json") {
            let fenced = lines.by_ref().take_while(|line| line.trim_end() != "```");
            steps.extend(listed(&fenced.collect::<Vec<_>>().join("\n"))?);
        }
    }
    Ok(steps)
}

fn listed(json: &str) -> Result<Vec<Step>, String> {
    let list: Vec<Map<String, Value>> = serde_json::from_str(json)
        .map_err(|error| format!("a fenced block is not a JSON list of objects ({error})"))?;
    let steps = list.iter().enumerate().map(|(at, fields)| {
        step(fields).map_err(|reason| format!("element {} of the list {reason}", at + 1))
    });
    steps.collect()
}

fn step(fields: &Map<String, Value>) -> Result<Step, String> {
    let text = |name: &str| -> Result<Option<String>, String> {
        match fields.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(format!("has a `{name}` that is not a string")),
        }
    };
    let delay = match fields.get("delay_ms") {
        None => 0,
        Some(value) => value
            .as_u64()
            .ok_or("has a `delay_ms` that is not a number of milliseconds")?,
    };
    let kinds = ["tool", "tools", "say", "error"];
    let mut given = kinds.into_iter().filter(|kind| fields.contains_key(*kind));
    let answer = match (given.next(), given.next()) {
        (Some("say"), None) => Answer::Say(text("say")?.unwrap_or_default()),
        (Some("error"), None) => Answer::Error {
            status: status(&fields["error"])?,
            message: text("message")?.unwrap_or_else(|| "the script says so".to_owned()),
        },
        (Some(kind), None) => Answer::Calls {
            thought: text("thought")?.unwrap_or_default(),
            calls: match kind {
                "tool" => vec![call(fields)?],
                _ => calls(&fields["tools"])?,
            },
        },
        _ => return Err(format!("needs exactly one of {}", kinds.join(", "))),
    };
    Ok(Step {
        answer,
        reasoning: text("reasoning")?,
        delay: Duration::from_millis(delay),
    })
}

fn status(value: &Value) -> Result<u16, String> {
    let status = value.as_u64().and_then(|status| u16::try_from(status).ok());
    status
        .filter(|status| (400..600).contains(status))
        .ok_or_else(|| "has an `error` that is not an HTTP status from 400 to 599".to_owned())
}

fn calls(value: &Value) -> Result<Vec<ToolCall>, String> {
    let list = value.as_array().filter(|list| !list.is_empty());
    let list = list.ok_or("has a `tools` that is not a list of calls")?;
    let calls = list.iter().map(|item| {
        let fields = item.as_object().ok_or("has a call that is not an object")?;
        call(fields)
    });
    calls.collect()
}

fn call(fields: &Map<String, Value>) -> Result<ToolCall, String> {
    let name = fields.get("tool").and_then(Value::as_str);
    let name = name.ok_or("has a call whose `tool` is not a name")?;
    let arguments = match fields.get("args").or_else(|| fields.get("arguments")) {
        None => "{}".to_owned(),
        Some(Value::String(broken)) => broken.clone(),
        Some(value) => value.to_string(),
    };
    Ok(ToolCall {
        name: name.to_owned(),
        arguments,
    })
}
