//! The arguments of a terminal's call.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::keys::{Input, is_control_key};
use crate::ToolError;

const FIELDS: &str = "command, is_input, timeout, reset";
/// Longer waits are shortened to this.
pub(super) const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// Checked arguments.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct TerminalArguments {
    pub(super) command: String,
    pub(super) is_input: bool,
    /// In seconds, at least 0.
    pub(super) timeout: Option<f64>,
    pub(super) reset: bool,
}

impl TerminalArguments {
    /// Reads arguments or a logged action.
    ///
    /// # Errors
    /// [`ToolError::Arguments`] names the field and what is wrong with it.
    pub(super) fn read(fields: &Map<String, Value>) -> Result<Self, ToolError> {
        let mut arguments = Self::default();
        let mut has_command = false;
        for (name, value) in fields {
            match (name.as_str(), value) {
                ("command", Value::String(command)) => {
                    arguments.command.clone_from(command);
                    has_command = true;
                }
                ("command", _) => return wrong("command", "a string", value),
                ("is_input", Value::Bool(flag)) => arguments.is_input = *flag,
                ("reset", Value::Bool(flag)) => arguments.reset = *flag,
                ("is_input" | "reset", Value::Null) | ("timeout", Value::Null) => {}
                ("is_input" | "reset", _) => return wrong(name, "true or false", value),
                ("timeout", _) => match value.as_f64().filter(|seconds| *seconds >= 0.0) {
                    Some(seconds) => arguments.timeout = Some(seconds),
                    None => return wrong("timeout", "a number of seconds, 0 or more", value),
                },
                ("kind", Value::String(kind)) if kind == "TerminalAction" => {}
                _ => {
                    return Err(ToolError::Arguments(format!(
                        "{name}: unknown field, expected one of {FIELDS}"
                    )));
                }
            }
        }
        if !has_command {
            return Err(ToolError::Arguments("command: missing".into()));
        }
        if arguments.command.contains('\0') {
            return Err(ToolError::Arguments(
                "command: a NUL character cannot be typed".into(),
            ));
        }
        if arguments.reset && arguments.is_input {
            return Err(ToolError::Arguments(
                "reset: a new shell has no program that could take input; leave out is_input"
                    .into(),
            ));
        }
        Ok(arguments)
    }

    /// The action as it is logged.
    pub(super) fn action(&self) -> Map<String, Value> {
        let fields = [
            ("command", Some(json!(self.command))),
            ("is_input", Some(json!(self.is_input))),
            ("timeout", self.timeout.map(Value::from)),
            ("reset", Some(json!(self.reset))),
            ("kind", Some(json!("TerminalAction"))),
        ];
        let given = fields.into_iter();
        given
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }

    /// How long the caller waits for the command at most.
    pub(super) fn time_limit(&self) -> Option<Duration> {
        self.timeout.map(|seconds| {
            Duration::try_from_secs_f64(seconds)
                .unwrap_or(LONGEST_TIMEOUT)
                .min(LONGEST_TIMEOUT)
        })
    }

    /// What is typed into a running program, if that is what the call is for.
    pub(super) fn input(&self) -> Option<Input> {
        (self.is_input || is_control_key(&self.command)).then(|| Input::read(&self.command))
    }
}

/// JSON Schema of the arguments.
pub(super) fn parameters() -> Value {
    json!({
        "type": "object",
        "properties": {
            "command": {
                "type": "string",
                "description": "What bash runs, one line or many. Empty: see what the running \
                    command wrote since. With is_input: what is typed into the running \
                    command, a text with Enter after it, or keys by name without Enter, such as \
                    C-c, C-d, Up, Tab, Escape, F1; \"\\n\" is Enter alone.",
            },
            "is_input": {
                "type": "boolean",
                "description": "The command is input for the program that runs, not a new \
                    command. Default false.",
            },
            "timeout": {
                "type": "number",
                "minimum": 0,
                "description": "Answer after so many seconds at the latest; the command goes \
                    on. Without it, the answer comes when nothing new is written for a while. A longer \
                    time than the longest that calls wait here has no effect.",
            },
            "reset": {
                "type": "boolean",
                "description": "Kill the shell and all it runs, then run the command, if any, \
                    in a new one. Not together with is_input. Default false.",
            },
        },
        "required": ["command"],
    })
}

fn wrong(field: &str, expected: &str, value: &Value) -> Result<TerminalArguments, ToolError> {
    Err(ToolError::Arguments(format!(
        "{field}: expected {expected}, got {value}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: Value) -> Result<TerminalArguments, String> {
        let Value::Object(fields) = fields else {
            return Err("no object".into());
        };
        TerminalArguments::read(&fields).map_err(|error| error.to_string())
    }

    #[test]
    fn the_logged_action_has_defaults_and_reads_back() {
        let call = read(json!({"command": "ls", "timeout": 2})).unwrap();
        let action = call.action();
        assert_eq!(
            Value::Object(action.clone()).to_string(),
            r#"{"command":"ls","is_input":false,"timeout":2.0,"reset":false,"kind":"TerminalAction"}"#
        );
        assert_eq!(TerminalArguments::read(&action).unwrap(), call);
        let plain = read(json!({"command": "ls", "timeout": null}))
            .unwrap()
            .action();
        assert!(!plain.contains_key("timeout"));
    }

    #[test]
    fn errors_name_the_field() {
        for (fields, message) in [
            (json!({}), "command: missing"),
            (
                json!({"command": "ls", "bogus": 1}),
                "bogus: unknown field, expected one of command, is_input, timeout, reset",
            ),
            (json!({"command": 1}), "command: expected a string, got 1"),
            (
                json!({"command": "ls", "is_input": "yes"}),
                "is_input: expected true or false, got \"yes\"",
            ),
            (
                json!({"command": "ls", "timeout": -1}),
                "timeout: expected a number of seconds, 0 or more, got -1",
            ),
        ] {
            assert_eq!(read(fields), Err(message.to_owned()));
        }
    }

    #[test]
    fn huge_timeouts_are_cut() {
        let call = read(json!({"command": "ls", "timeout": 1e300})).unwrap();
        assert_eq!(call.time_limit(), Some(LONGEST_TIMEOUT));
    }

    #[test]
    fn only_control_keys_are_input_without_is_input() {
        let input = |fields| read(fields).unwrap().input();
        let up = input(json!({"command": "Up", "is_input": true}));
        assert_eq!(up, Some(Input::read("Up")));
        assert_eq!(input(json!({"command": "Up"})), None);
        assert_eq!(input(json!({"command": "C-c"})), Some(Input::read("C-c")));
        assert_eq!(input(json!({"command": "ls"})), None);
    }
}
