//! What the terminal answers.

use std::path::Path;

use core_model::{Content, Observation};
use serde_json::{Map, Value, json};
use workspace::{find_program, host_name, user_name};

use super::marker::Prompt;

/// The exit code of what has none (yet).
pub(super) const NONE: i32 = -1;

/// An answer that is being built.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) is_error: bool,
    pub(super) command: String,
    pub(super) exit_code: Option<i32>,
    pub(super) timeout: bool,
    /// The prompt after the command, if it is done.
    pub(super) prompt: Option<Prompt>,
    pub(super) prefix: String,
    pub(super) suffix: String,
}

impl Answer {
    /// The command is done.
    pub(super) fn done(command: String, text: String, prompt: Prompt) -> Self {
        Self {
            text,
            command,
            exit_code: Some(prompt.exit_code),
            suffix: format!(
                "\n[The command completed with exit code {}.]",
                prompt.exit_code
            ),
            prompt: Some(prompt),
            ..Self::default()
        }
    }

    /// The command still runs. `why`: the reason that the call is answered now.
    pub(super) fn unfinished(command: String, text: String, why: &str) -> Self {
        Self {
            text,
            command,
            exit_code: Some(NONE),
            timeout: true,
            suffix: format!("\n[{why} The command goes on. {HOW_TO_CONTINUE}]"),
            ..Self::default()
        }
    }

    /// The call changed nothing.
    pub(super) fn refused(command: String, text: String) -> Self {
        Self {
            text,
            command,
            is_error: true,
            ..Self::default()
        }
    }

    /// The same, with what background jobs wrote since the last command before it.
    pub(super) fn after(self, background: &str) -> Self {
        let background = background.trim_matches('\n');
        if background.trim().is_empty() {
            return self;
        }
        let prefix = format!(
            "[Output of background jobs since the last command:]\n{background}\n{}{THIS_COMMAND}",
            self.prefix
        );
        Self { prefix, ..self }
    }

    /// The same, as what `running` wrote since the last call.
    pub(super) fn continuing(self, running: &str) -> Self {
        Self {
            prefix: format!("[New output of `{}`:]\n", short(running)),
            ..self
        }
    }

    /// The observation, with `folder` as the place of whole outputs.
    pub(super) fn observation(self, folder: &Path) -> Observation {
        let mut metadata = Map::new();
        let exit_code = self.prompt.as_ref().map_or(NONE, |prompt| prompt.exit_code);
        metadata.insert("exit_code".into(), json!(exit_code));
        metadata.insert("pid".into(), json!(NONE));
        if let Some(prompt) = &self.prompt {
            for (name, value) in [
                ("username", user_name()),
                ("hostname", host_name()),
                ("working_dir", Some(prompt.working_dir.clone())),
                ("py_interpreter_path", python(&prompt.path)),
            ] {
                if let Some(value) = value {
                    metadata.insert(name.into(), Value::String(value));
                }
            }
        }
        metadata.insert("prefix".into(), Value::String(self.prefix));
        metadata.insert("suffix".into(), Value::String(self.suffix));

        let mut fields = Map::new();
        fields.insert("command".into(), Value::String(self.command));
        if let Some(exit_code) = self.exit_code {
            fields.insert("exit_code".into(), json!(exit_code));
        }
        fields.insert("timeout".into(), json!(self.timeout));
        fields.insert("metadata".into(), Value::Object(metadata));
        fields.insert(
            "full_output_save_dir".into(),
            json!(folder.display().to_string()),
        );
        fields.insert("kind".into(), json!(KIND));
        Observation {
            content: vec![Content::text(self.text)],
            is_error: self.is_error,
            fields,
        }
    }
}

pub(super) const KIND: &str = "TerminalObservation";

/// Separates what a command wrote from what stands before it.
pub(super) const THIS_COMMAND: &str = "[Output of this command:]\n";

/// What a model can do about a command that runs.
pub(super) const HOW_TO_CONTINUE: &str = "Call again with an empty command to see what else it \
    writes, with is_input and a text to answer it, or with is_input and \"C-c\" to interrupt it \
    (\"C-z\" suspends, \"C-d\" ends its input); if that does not help, with reset. For a command \
    known to be slow, give a timeout.";

/// Enough of a command to know it by.
pub(super) fn short(command: &str) -> String {
    const LENGTH: usize = 80;
    let line = command.trim().lines().next().unwrap_or_default();
    if line.len() == command.trim().len() && line.chars().count() <= LENGTH {
        line.to_owned()
    } else {
        line.chars().take(LENGTH).chain(['…']).collect()
    }
}

/// The Python that a shell with this `PATH` runs.
fn python(path: &str) -> Option<String> {
    let found = ["python3", "python"].map(|name| find_program(name, path));
    let python = found.into_iter().flatten().next()?;
    Some(python.display().to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn prompt(path: &str) -> Prompt {
        Prompt {
            number: 1,
            exit_code: 3,
            working_dir: "/w".into(),
            path: path.into(),
        }
    }

    #[test]
    fn a_finished_command_has_the_recorded_shape() {
        let bin = tempfile::tempdir().unwrap();
        let file = bin.path().join("python3");
        std::fs::write(&file, "").unwrap();
        let path = bin.path().display().to_string();
        let answer = || Answer::done("ls".into(), "a".into(), prompt(&path));
        let before = answer().observation(Path::new("/f"));
        assert_eq!(before.fields["metadata"].get("py_interpreter_path"), None);
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();

        let mut value = serde_json::to_value(answer().observation(Path::new("/f"))).unwrap();
        let names: Vec<_> = value["metadata"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect();
        assert_eq!(
            names,
            [
                "exit_code",
                "pid",
                "username",
                "hostname",
                "working_dir",
                "py_interpreter_path",
                "prefix",
                "suffix",
            ]
        );
        value["metadata"]["username"] = json!("root");
        value["metadata"]["hostname"] = json!("host");
        let expected = json!({
            "content": [{"type": "text", "cache_prompt": false, "text": "a"}],
            "is_error": false,
            "command": "ls",
            "exit_code": 3,
            "timeout": false,
            "metadata": {
                "exit_code": 3, "pid": -1, "username": "root", "hostname": "host",
                "working_dir": "/w", "py_interpreter_path": file.display().to_string(),
                "prefix": "", "suffix": "\n[The command completed with exit code 3.]",
            },
            "full_output_save_dir": "/f",
            "kind": "TerminalObservation",
        });
        assert_eq!(value.to_string(), expected.to_string());
    }
}
