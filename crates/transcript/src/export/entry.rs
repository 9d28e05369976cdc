use core_model::Record;
use serde_json::{Map, Value};

use super::text::counted;

/// Longer values of a tool call's arguments get a block of their own.
const SHORT_VALUE: usize = 100;

/// An event as a reader of a transcript meets it.
#[derive(Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) seq: u64,
    pub(super) time: core_model::EventTime,
    pub(super) voice: Voice,
    pub(super) title: String,
    pub(super) parts: Vec<Part>,
}

/// Who speaks in an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Voice {
    User,
    Agent,
    /// A tool call and what came back.
    Tool,
    /// The server and its surroundings.
    System,
    Error,
    /// A change of state: its title says it all.
    Status,
}

#[derive(Debug, PartialEq)]
pub(super) enum Part {
    /// What someone said, in their own words and usually Markdown.
    Said(String),
    /// What a model thought before it spoke.
    Reasoning(String),
    Note(String),
    Field {
        name: String,
        value: String,
    },
    /// Text to be shown as it is. A `detail` interests few readers.
    Block {
        label: Option<String>,
        language: &'static str,
        text: String,
        detail: bool,
    },
    /// A URL, `data:` and all.
    Image(String),
}

impl Entry {
    /// The entry that an event makes; none for an update that no reader needs.
    pub(super) fn of(record: &Record, event: &Value) -> Option<Self> {
        let kind = record.head.kind.as_ref();
        let known = match kind {
            "SystemPromptEvent" => system_prompt(event),
            "MessageEvent" => message(event),
            "ActionEvent" => action(event),
            // It repeats what the agent said when it finished.
            "ObservationEvent" if event["observation"]["kind"] == "FinishObservation" => {
                return None;
            }
            "ObservationEvent" => observation(event),
            "UserRejectObservation" => rejection(event),
            "AgentErrorEvent" => tool_error(event),
            "ConversationErrorEvent" | "ServerErrorEvent" => failure(event),
            "ConversationStateUpdateEvent"
                if text(event, "key") == Some("last_user_message_id") =>
            {
                return None;
            }
            "ConversationStateUpdateEvent" => state_update(event),
            "PauseEvent" => Some(status("Paused by the user")),
            "InterruptEvent" => Some(status("Interrupted by the user")),
            "CondensationRequest" => Some(status("A summary of the history was asked for")),
            "Condensation" => condensation(event),
            "SecurityAnalysisEvent" => Some(security(event)),
            _ => None,
        };
        let (voice, title, parts) = known.unwrap_or_else(|| unknown(kind, event));
        Some(Self::new(record, voice, title, parts))
    }

    pub(super) fn unreadable(record: &Record, reason: &str) -> Self {
        let title = format!("{} (cannot be shown)", record.head.kind);
        Self::new(
            record,
            Voice::System,
            title,
            vec![Part::Note(reason.to_owned())],
        )
    }

    fn new(record: &Record, voice: Voice, title: String, parts: Vec<Part>) -> Self {
        Self {
            seq: record.seq.0,
            time: record.head.timestamp,
            voice,
            title,
            parts,
        }
    }
}

type Shown = (Voice, String, Vec<Part>);

fn system_prompt(event: &Value) -> Option<Shown> {
    let prompt = text(event.get("system_prompt")?, "text")?;
    let mut parts = vec![detail("Instructions", "", prompt)];
    if let Some(context) = event
        .get("dynamic_context")
        .and_then(|context| text(context, "text"))
    {
        parts.push(detail("Context", "", context));
    }
    let tools: Vec<&str> = items(event, "tools")
        .filter_map(|tool| text(tool, "title").or_else(|| text(tool, "kind")))
        .collect();
    if !tools.is_empty() {
        parts.push(field("Tools", &tools.join(", ")));
    }
    Some((Voice::System, "Instructions to the agent".to_owned(), parts))
}

fn message(event: &Value) -> Option<Shown> {
    let message = event.get("llm_message")?;
    let role = text(message, "role")?;
    let (voice, mut title) = match (text(event, "source"), role) {
        (Some("user"), _) => (Voice::User, "User".to_owned()),
        (Some("agent"), _) | (_, "assistant") => (Voice::Agent, "Agent".to_owned()),
        (Some("hook"), _) => (Voice::System, "Hook".to_owned()),
        _ => (Voice::System, "Server".to_owned()),
    };
    if let Some(sender) = text(event, "sender") {
        title.push_str(&format!(" ({sender})"));
    }
    let mut parts = reasoning(message);
    match message.get("content") {
        Some(Value::String(said)) => parts.push(Part::Said(said.clone())),
        _ => parts.extend(contents(items(message, "content"), Part::Said)),
    }
    let skills: Vec<&str> = items(event, "activated_skills")
        .filter_map(Value::as_str)
        .collect();
    if !skills.is_empty() {
        parts.push(field("Skills", &skills.join(", ")));
    }
    for more in items(event, "extended_content").filter_map(|part| text(part, "text")) {
        parts.push(detail("Added for the model", "", more));
    }
    Some((voice, title, parts))
}

fn action(event: &Value) -> Option<Shown> {
    let tool = text(event, "tool_name")?;
    let mut parts = reasoning(event);
    parts.extend(contents(items(event, "thought"), Part::Said));
    match event.get("action").and_then(Value::as_object) {
        Some(action) => parts.extend(arguments(tool, action)),
        None => {
            parts.push(Part::Note("The call could not be understood".to_owned()));
            let call = event.get("tool_call")?;
            parts.push(block(None, "json", text(call, "arguments")?));
        }
    }
    if let Some(risk) = text(event, "security_risk").filter(|risk| *risk != "UNKNOWN") {
        parts.push(field("Risk", &risk.to_lowercase()));
    }
    let said = matches!(tool, "finish" | "think");
    let voice = if said { Voice::Agent } else { Voice::Tool };
    let title = match tool {
        "finish" => "Agent, finishing".to_owned(),
        "think" => "Agent, thinking".to_owned(),
        _ => format!("Agent calls {tool}"),
    };
    Some((voice, title, parts))
}

/// A tool call's arguments: what is said as such, commands and long texts as blocks, the rest in one
/// line each.
fn arguments(tool: &str, action: &Map<String, Value>) -> Vec<Part> {
    let mut parts = Vec::new();
    for (name, value) in action {
        let language = match (tool, name.as_str()) {
            ("terminal", "command") => "sh",
            _ => "",
        };
        match value {
            _ if name == "kind" => {}
            Value::Null => {}
            // Settings that were left alone say nothing.
            Value::Bool(false) if tool == "terminal" => {}
            Value::String(said) if (tool, name.as_str()) == ("finish", "message") => {
                parts.push(Part::Said(said.clone()));
            }
            Value::String(said) if (tool, name.as_str()) == ("think", "thought") => {
                parts.push(Part::Said(said.clone()));
            }
            Value::String(command) if language == "sh" => parts.push(block(None, "sh", command)),
            Value::String(short) if is_short(short) => parts.push(field(name, short)),
            Value::String(long) => parts.push(block(Some(name), language, long)),
            Value::Bool(_) | Value::Number(_) => parts.push(field(name, &value.to_string())),
            Value::Array(_) | Value::Object(_) => {
                let compact = value.to_string();
                parts.push(if is_short(&compact) {
                    field(name, &compact)
                } else {
                    block(Some(name), "json", &pretty(value))
                });
            }
        }
    }
    parts
}

fn observation(event: &Value) -> Option<Shown> {
    let tool = text(event, "tool_name")?;
    let observation = event.get("observation")?;
    let failed = observation.get("is_error") == Some(&Value::Bool(true));
    let mut parts = contents(items(observation, "content"), |said| block(None, "", &said));
    if let Some(code) = observation.get("exit_code").filter(|code| !code.is_null()) {
        parts.push(field("Exit code", &code.to_string()));
    }
    for more in items(event, "extended_content").filter_map(|part| text(part, "text")) {
        parts.push(detail("Added for the model", "", more));
    }
    let (voice, title) = if failed {
        (Voice::Error, format!("Error from {tool}"))
    } else {
        (Voice::Tool, format!("Result of {tool}"))
    };
    Some((voice, title, parts))
}

fn rejection(event: &Value) -> Option<Shown> {
    let tool = text(event, "tool_name")?;
    let reason = text(event, "rejection_reason")?;
    let by = match text(event, "rejection_source") {
        Some("hook") => "A hook",
        _ => "The user",
    };
    let title = format!("{by} did not allow {tool}");
    Some((Voice::User, title, vec![Part::Said(reason.to_owned())]))
}

fn tool_error(event: &Value) -> Option<Shown> {
    let title = format!("{} failed", text(event, "tool_name")?);
    let parts = vec![block(None, "", text(event, "error")?)];
    Some((Voice::Error, title, parts))
}

fn failure(event: &Value) -> Option<Shown> {
    let title = format!("Error: {}", text(event, "code")?);
    let parts = vec![block(None, "", text(event, "detail")?)];
    Some((Voice::Error, title, parts))
}

fn state_update(event: &Value) -> Option<Shown> {
    let key = text(event, "key")?;
    let value = event.get("value").unwrap_or(&Value::Null);
    Some(match key {
        "execution_status" => status(&format!("Status: {}", plain(value).replace('_', " "))),
        "stats" => status(&spent(value)),
        "leaf_event_id" => status(&format!("Went on from event {}", plain(value))),
        _ => {
            let shown = plain(value);
            if is_short(&shown) {
                status(&format!("{key}: {shown}"))
            } else {
                let parts = vec![detail(key, "json", &pretty(value))];
                (Voice::Status, format!("{key} changed"), parts)
            }
        }
    })
}

/// The totals of all uses of models together.
fn spent(stats: &Value) -> String {
    let (mut prompt, mut completion, mut cost) = (0, 0, 0.0);
    let uses = stats.get("usage_to_metrics").and_then(Value::as_object);
    for metrics in uses.into_iter().flat_map(Map::values) {
        cost += number(metrics, "accumulated_cost").unwrap_or(0.0);
        if let Some(usage) = metrics.get("accumulated_token_usage") {
            let tokens = |name| usage.get(name).and_then(Value::as_u64).unwrap_or(0);
            prompt += tokens("prompt_tokens");
            completion += tokens("completion_tokens");
        }
    }
    let tokens = format!("So far {prompt} prompt and {completion} completion tokens");
    if cost > 0.0 {
        format!("{tokens}, ${cost:.4}")
    } else {
        tokens
    }
}

fn condensation(event: &Value) -> Option<Shown> {
    let forgotten = items(event, "forgotten_event_ids").count() as u64;
    let title = format!(
        "{} left the model's view",
        counted(forgotten, "earlier event")
    );
    let summary = text(event, "summary").map(|summary| Part::Said(summary.to_owned()));
    Some((Voice::System, title, summary.into_iter().collect()))
}

fn security(event: &Value) -> Shown {
    let analyzer = text(event, "analyzer").unwrap_or("an analyzer");
    let risks: Vec<String> = event
        .get("risks")
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::values)
        .map(|risk| plain(risk).to_lowercase())
        .collect();
    status(&format!("Risk by {analyzer}: {}", risks.join(", ")))
}

fn unknown(kind: &str, event: &Value) -> Shown {
    (
        Voice::System,
        kind.to_owned(),
        vec![detail("JSON", "json", &pretty(event))],
    )
}

fn status(title: &str) -> Shown {
    (Voice::Status, title.to_owned(), Vec::new())
}

/// What a model thought: as text, or as signed blocks.
fn reasoning(said: &Value) -> Vec<Part> {
    let thought = text(said, "reasoning_content").filter(|thought| !thought.trim().is_empty());
    if let Some(thought) = thought {
        return vec![Part::Reasoning(thought.to_owned())];
    }
    items(said, "thinking_blocks")
        .filter_map(|block| text(block, "thinking"))
        .map(|thought| Part::Reasoning(thought.to_owned()))
        .collect()
}

fn contents<'a>(
    contents: impl Iterator<Item = &'a Value>,
    said: impl Fn(String) -> Part,
) -> Vec<Part> {
    let mut parts = Vec::new();
    for content in contents {
        if let Some(text) = text(content, "text") {
            if !text.trim().is_empty() {
                parts.push(said(text.to_owned()));
            }
        } else {
            let urls = items(content, "image_urls").filter_map(Value::as_str);
            parts.extend(urls.map(|url| Part::Image(url.to_owned())));
        }
    }
    parts
}

fn field(name: &str, value: &str) -> Part {
    Part::Field {
        name: name.to_owned(),
        value: value.to_owned(),
    }
}

fn block(label: Option<&str>, language: &'static str, text: &str) -> Part {
    Part::Block {
        label: label.map(str::to_owned),
        language,
        text: text.to_owned(),
        detail: false,
    }
}

fn detail(label: &str, language: &'static str, text: &str) -> Part {
    Part::Block {
        label: Some(label.to_owned()),
        language,
        text: text.to_owned(),
        detail: true,
    }
}

fn is_short(text: &str) -> bool {
    text.len() <= SHORT_VALUE && !text.contains('\n')
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn pretty(value: &Value) -> String {
    format!("{value:#}")
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name)?.as_str()
}

fn number(value: &Value, name: &str) -> Option<f64> {
    value.get(name)?.as_f64()
}

fn items<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value
        .get(name)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}
