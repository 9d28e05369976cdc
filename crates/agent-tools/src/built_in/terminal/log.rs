//! What is read from the terminal's logged calls.

use std::time::Duration;

use core_model::{Content, Observation};
use serde_json::{Map, Value};

use super::observation::{KIND, NONE};

/// A command that sleeps for less does not wait for anything.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// What a model reads of a terminal's observation: its output with the notes around it. `None` for
/// observations of other tools.
pub(super) fn model_text(observation: &Observation) -> Option<String> {
    if observation.fields.get("kind")? != KIND {
        return None;
    }
    let metadata = observation.fields.get("metadata");
    let note = |name: &str| {
        metadata?
            .get(name)?
            .as_str()
            .filter(|note| !note.is_empty())
    };
    let output: Vec<&str> = observation
        .content
        .iter()
        .filter_map(Content::as_text)
        .collect();
    let mut text = note("prefix").unwrap_or_default().to_owned();
    text.push_str(&output.join("\n"));
    text.push_str(note("suffix").unwrap_or_default());
    if let Some(folder) = note("working_dir") {
        text.push_str(&format!("\n[Current working directory: {folder}]"));
    }
    if let Some(python) = note("py_interpreter_path") {
        text.push_str(&format!("\n[Python interpreter: {python}]"));
    }
    let exit_code = metadata.and_then(|metadata| metadata.get("exit_code")?.as_i64());
    if let Some(exit_code) = exit_code.filter(|code| *code != i64::from(NONE)) {
        text.push_str(&format!("\n[Command finished with exit code {exit_code}]"));
    }
    Some(text)
}

/// Whether a command still runs, as far as an observation says.
pub(super) fn still_running(observation: &Observation) -> Option<bool> {
    if observation.fields.get("kind")? != KIND {
        return None;
    }
    let runs = runs_on(observation);
    // a call that was refused has no exit code, and changes nothing
    (runs || observation.fields.contains_key("exit_code")).then_some(runs)
}

/// Whether the call was made to let time pass, and did: it looked at a command that still runs, or slept.
pub(super) fn waited(action: &Map<String, Value>, seen: &Observation, took: Duration) -> bool {
    if seen.is_error {
        return false;
    }
    let command = action.get("command").and_then(Value::as_str);
    let command = command.unwrap_or_default();
    if command.is_empty() {
        return runs_on(seen);
    }
    let is_word = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '-';
    let sleeps = command
        .split(|letter| !is_word(letter))
        .any(|word| matches!(word, "sleep" | "wait"));
    sleeps && took >= SHORTEST_WAIT
}

fn runs_on(observation: &Observation) -> bool {
    observation.fields.get("timeout") == Some(&Value::Bool(true))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;
    use crate::built_in::terminal::{marker::Prompt, observation::Answer};

    fn prompt(path: &str) -> Prompt {
        Prompt {
            number: 1,
            exit_code: 3,
            working_dir: "/w".into(),
            path: path.into(),
        }
    }

    #[test]
    fn a_model_reads_output_and_notes() {
        let observation =
            Answer::done("ls".into(), "a".into(), prompt("")).observation(Path::new("/f"));
        assert_eq!(
            model_text(&observation).unwrap(),
            "a\n[The command completed with exit code 3.]\n[Current working directory: /w]\n\
             [Command finished with exit code 3]"
        );
        let refused = Answer::refused("x".into(), "no".into()).observation(Path::new("/f"));
        assert_eq!(model_text(&refused).unwrap(), "no");
        assert_eq!(refused.fields.get("exit_code"), None);
    }

    #[test]
    fn other_observations_are_not_read() {
        let mut observation = Answer::refused("x".into(), "no".into()).observation(Path::new("/f"));
        observation.fields["kind"] = json!("ThinkObservation");
        assert_eq!(model_text(&observation), None);
    }
}
