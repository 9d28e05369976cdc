use core_model::{
    Event, EventBody, Role,
    event::{ActionEvent, ConversationStateUpdateEvent, ObservationEvent},
    message::Content,
};
use serde_json::{Map, Value};

/// Longer output is cut for readability; the log has all of it.
const MAX_LINES: usize = 16;
const LONGEST_LINE: usize = 160;

/// How a line looks on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Title,
    User,
    Agent,
    Tool,
    Faint,
    Good,
    Bad,
}

impl Style {
    pub(super) fn escape(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Title => "\x1b[1m",
            Self::User => "\x1b[36m",
            Self::Agent => "\x1b[35m",
            Self::Tool => "\x1b[33m",
            Self::Faint => "\x1b[2m",
            Self::Good => "\x1b[32m",
            Self::Bad => "\x1b[31m",
        }
    }
}

type Line = (Style, String);

/// An event for a reader: none, one or several lines.
pub(super) fn lines(event: &Event) -> Vec<Line> {
    match &event.body {
        EventBody::SystemPromptEvent(prompt) => {
            let tools = prompt.tools.len();
            vec![faint(format!(
                "· the agent has its instructions and {tools} tools"
            ))]
        }
        EventBody::MessageEvent(message) => {
            let text = message.llm_message.text();
            match message.llm_message.role {
                Role::User => block(Style::User, "user:", without_script(&text)),
                Role::Assistant => block(Style::Agent, "agent:", &text),
                Role::System | Role::Tool => Vec::new(),
            }
        }
        EventBody::ActionEvent(action) => action_lines(action),
        EventBody::ObservationEvent(observation) => observation_lines(observation),
        EventBody::UserRejectObservation(rejection) => {
            vec![(
                Style::Bad,
                format!("✗ rejected: {}", rejection.rejection_reason),
            )]
        }
        EventBody::AgentErrorEvent(failure) => block(Style::Bad, "✗ tool call:", &failure.error),
        EventBody::ConversationErrorEvent(failure) => {
            block(Style::Bad, &format!("✗ {}:", failure.code), &failure.detail)
        }
        EventBody::ServerErrorEvent(failure) => {
            block(Style::Bad, &format!("✗ {}:", failure.code), &failure.detail)
        }
        EventBody::ConversationStateUpdateEvent(update) => state_lines(update),
        EventBody::PauseEvent(_) => vec![faint("· paused".to_owned())],
        EventBody::InterruptEvent(_) => vec![faint("· interrupted".to_owned())],
        EventBody::Condensation(_) => vec![faint("· older events were summarised".to_owned())],
        EventBody::CondensationRequest(_)
        | EventBody::SecurityAnalysisEvent(_)
        | EventBody::StreamingDeltaEvent(_)
        | EventBody::Unknown(_) => Vec::new(),
    }
}

/// The scripted model's steps are shown as they happen.
fn without_script(text: &str) -> &str {
    text.split_once("```json").map_or(text, |(words, _)| words)
}

fn action_lines(event: &ActionEvent) -> Vec<Line> {
    let thought: Vec<&str> = event
        .thought
        .iter()
        .map(|part| part.text.as_str())
        .collect();
    let mut lines = match thought.join("\n") {
        thought if thought.trim().is_empty() => Vec::new(),
        thought => block(Style::Agent, "agent:", &thought),
    };
    let Some(action) = &event.action else {
        lines.push((
            Style::Bad,
            format!("✗ {} could not be understood", event.tool_name),
        ));
        return lines;
    };
    let text = |name: &str| action.get(name).and_then(Value::as_str).unwrap_or_default();
    let (label, body) = match event.tool_name.as_str() {
        "terminal" => ("$".to_owned(), text("command").to_owned()),
        "file_editor" => (
            format!("✎ {} {}", text("command"), text("path")),
            edit(action),
        ),
        "task_tracker" => (format!("☰ {}", text("command")), plan(action)),
        "think" => ("agent thinks:".to_owned(), text("thought").to_owned()),
        "finish" => ("agent finishes:".to_owned(), text("message").to_owned()),
        other => (
            format!("→ {other}"),
            serde_json::to_string(action).unwrap_or_default(),
        ),
    };
    lines.extend(block(Style::Tool, &label, &body));
    lines
}

/// What an edit puts into a file and takes out.
fn edit(action: &Map<String, Value>) -> String {
    let parts = [("file_text", "+ "), ("old_str", "- "), ("new_str", "+ ")];
    let shown = parts.iter().flat_map(|(name, mark)| {
        let text = action
            .get(*name)
            .and_then(Value::as_str)
            .unwrap_or_default();
        text.lines().map(move |line| format!("{mark}{line}"))
    });
    let shown: Vec<String> = shown.collect();
    if shown.is_empty() {
        return String::new();
    }
    format!("\n{}", shown.join("\n"))
}

fn plan(action: &Map<String, Value>) -> String {
    let tasks = action.get("task_list").and_then(Value::as_array);
    tasks
        .into_iter()
        .flatten()
        .fold(String::new(), |plan, task| {
            let mark = match task["status"].as_str() {
                Some("done") => "[x]",
                Some("in_progress") => "[~]",
                Some(_) | None => "[ ]",
            };
            format!(
                "{plan}\n{mark} {}",
                task["title"].as_str().unwrap_or_default()
            )
        })
}

fn observation_lines(event: &ObservationEvent) -> Vec<Line> {
    // Their actions already showed it.
    if matches!(
        event.tool_name.as_str(),
        "finish" | "think" | "task_tracker"
    ) {
        return Vec::new();
    }
    let observation = &event.observation;
    let texts = observation.content.iter().filter_map(|part| match part {
        Content::Text { text, .. } => Some(text.as_str()),
        Content::Image { .. } => None,
    });
    let text = texts.collect::<Vec<_>>().join("\n");
    let code = observation.fields.get("exit_code").and_then(Value::as_i64);
    let failed = observation.is_error || code.is_some_and(|code| code != 0);
    let mut lines = block(Style::Faint, "", &text);
    match code {
        Some(code) if failed => lines.push((Style::Bad, format!("  ✗ exit code {code}"))),
        None if failed => lines.push((Style::Bad, "  ✗ failed".to_owned())),
        Some(_) | None => {}
    }
    lines
}

fn state_lines(update: &ConversationStateUpdateEvent) -> Vec<Line> {
    match (update.key.as_str(), update.value.as_str()) {
        ("execution_status", Some(status)) => vec![faint(format!("· {status}"))],
        ("title", Some(title)) => vec![faint(format!("· title: {title}"))],
        _ => Vec::new(),
    }
}

fn faint(text: String) -> Line {
    (Style::Faint, text)
}

/// A label and a text after it, cut for readability.
fn block(style: Style, label: &str, text: &str) -> Vec<Line> {
    let all: Vec<&str> = text.trim_end().split('\n').collect();
    let mut lines: Vec<Line> = all
        .iter()
        .take(MAX_LINES)
        .enumerate()
        .map(|(number, line)| {
            let line = cut(line.trim_end_matches('\r'));
            let lead = if number == 0 && !label.is_empty() {
                label
            } else {
                " "
            };
            (style, format!("{lead} {line}").trim_end().to_owned())
        })
        .collect();
    if label.is_empty() {
        lines.retain(|(_, line)| !line.is_empty());
    }
    if all.len() > MAX_LINES {
        lines.push(faint(format!("  … {} more lines", all.len() - MAX_LINES)));
    }
    lines
}

fn cut(line: &str) -> String {
    if line.chars().count() <= LONGEST_LINE {
        return line.to_owned();
    }
    line.chars().take(LONGEST_LINE).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(kind: &str, source: &str, fields: Value) -> Vec<String> {
        let mut event = json!({
            "id": "11111111-1111-4111-8111-111111111111",
            "timestamp": "2026-01-01T00:00:00.000001",
            "source": source,
            "kind": kind,
        });
        for (name, value) in fields.as_object().unwrap() {
            event[name] = value.clone();
        }
        let event = Event::from_slice(event.to_string().as_bytes()).unwrap();
        lines(&event).into_iter().map(|(_, line)| line).collect()
    }

    fn call(tool: &str, action: Value) -> Vec<String> {
        shown(
            "ActionEvent",
            "agent",
            json!({
                "thought": [], "action": action, "tool_name": tool, "tool_call_id": "c",
                "tool_call": {"id": "c", "name": tool, "arguments": "{}", "origin": "completion"},
                "llm_response_id": "r",
            }),
        )
    }

    #[test]
    fn commands_and_edits_are_shown_as_such() {
        assert_eq!(
            call(
                "terminal",
                json!({"command": "ls", "kind": "TerminalAction"})
            ),
            ["$ ls"]
        );
        assert_eq!(
            call(
                "file_editor",
                json!({"command": "str_replace", "path": "/a", "old_str": "x", "new_str": "y\nz",
                       "kind": "FileEditorAction"})
            ),
            ["✎ str_replace /a", "  - x", "  + y", "  + z"]
        );
    }

    #[test]
    fn output_is_cut_and_failure_is_marked() {
        let text = (0..20)
            .map(|n| n.to_string())
            .collect::<Vec<_>>()
            .join("\n");
        let lines = shown(
            "ObservationEvent",
            "environment",
            json!({
                "tool_name": "terminal", "tool_call_id": "c",
                "action_id": "22222222-2222-4222-8222-222222222222",
                "observation": {"content": [{"type": "text", "text": text}], "is_error": false,
                                "exit_code": 3, "kind": "TerminalObservation"},
            }),
        );
        assert_eq!(lines[0], "  0");
        assert_eq!(lines[16..], ["  … 4 more lines", "  ✗ exit code 3"]);
    }
}
