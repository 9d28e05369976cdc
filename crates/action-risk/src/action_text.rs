//! What there is to judge in an action.

use command_syntax::{Gap, Reading, read};
use core_model::event::ActionEvent;
use serde_json::{Map, Value};

/// Arguments of other tools that are likely to be run by a shell.
const COMMAND_FIELDS: [&str; 5] = ["command", "cmd", "script", "shell", "bash"];
/// Bytes of text that are searched for patterns.
const MAX_TEXT: usize = 1 << 20;
const MAX_COMMANDS: usize = 16;
const MAX_DEPTH: usize = 32;

/// An action's texts, each once.
pub(crate) struct ActionText {
    /// The commands it runs.
    pub(crate) commands: Vec<Reading>,
    /// Arguments that are not commands for the built-in terminal.
    pub(crate) arguments: Vec<String>,
    /// Commands for the terminal, as they were written.
    pub(crate) typed: Vec<String>,
    /// What the agent thought and said about it.
    pub(crate) said: Vec<String>,
    /// What was not looked at.
    pub(crate) unresolved: Vec<String>,
}

impl ActionText {
    pub(crate) fn of(event: &ActionEvent) -> Self {
        let mut text = Self {
            commands: Vec::new(),
            arguments: Vec::new(),
            typed: Vec::new(),
            said: event.thought.iter().map(|part| part.text.clone()).collect(),
            unresolved: Vec::new(),
        };
        text.said.extend(event.reasoning_content.clone());
        text.said.extend(event.summary.clone());
        let Some(action) = &event.action else {
            return text;
        };
        let of_terminal = is_terminal(action);
        let mut leaves = Leaves::default();
        for (name, value) in action {
            if name != "kind" {
                leaves.add(name, value, 0);
            }
        }
        if leaves.cut {
            text.unresolved
                .push("the arguments are too long to be searched".to_owned());
        }
        for (name, leaf) in leaves.found {
            let is_typed = of_terminal && name == "command";
            if is_typed || COMMAND_FIELDS.contains(&name.as_str()) {
                text.read(&leaf, is_typed);
            }
            if is_typed {
                text.typed.push(leaf);
            } else {
                text.arguments.push(leaf);
            }
        }
        text
    }

    fn read(&mut self, command: &str, is_typed: bool) {
        if self.commands.len() == MAX_COMMANDS {
            let why = "there are too many commands to be read";
            self.unresolved.push(why.to_owned());
            return;
        }
        let mut reading = read(command);
        if !is_typed {
            // It may be something else than a command.
            reading.gaps.remove(&Gap::Syntax);
        }
        let gaps = reading.gaps.iter().map(ToString::to_string);
        self.unresolved.extend(gaps);
        self.commands.push(reading);
    }

    /// All that the action does, as text.
    pub(crate) fn executed(&self) -> impl Iterator<Item = &String> {
        self.typed.iter().chain(&self.arguments)
    }

    pub(crate) fn everything(&self) -> impl Iterator<Item = &String> {
        self.executed().chain(&self.said)
    }
}

pub(crate) fn is_terminal(action: &Map<String, Value>) -> bool {
    action.get("kind").and_then(Value::as_str) == Some("TerminalAction")
}

/// The texts of a JSON value, with the names of their fields.
#[derive(Default)]
struct Leaves {
    found: Vec<(String, String)>,
    bytes: usize,
    cut: bool,
}

impl Leaves {
    fn add(&mut self, name: &str, value: &Value, depth: usize) {
        if depth > MAX_DEPTH {
            self.cut = true;
            return;
        }
        match value {
            Value::String(text) => {
                self.bytes += text.len();
                if self.bytes > MAX_TEXT {
                    self.cut = true;
                } else {
                    self.found.push((name.to_owned(), text.clone()));
                }
            }
            Value::Array(items) => {
                for item in items {
                    self.add(name, item, depth + 1);
                }
            }
            Value::Object(fields) => {
                for (name, value) in fields {
                    self.add(name, value, depth + 1);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}
