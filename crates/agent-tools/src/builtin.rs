mod file_editor;
mod finish;
mod task_tracker;
pub(crate) mod terminal;
mod think;

use std::{sync::Arc, time::Duration};

use core_model::ToolChoice;
use thiserror::Error;

use self::{
    file_editor::FileEditor,
    finish::Finish,
    task_tracker::TaskTracker,
    terminal::{LONGEST_TIMEOUT, Terminal, TerminalSettings},
    think::Think,
};
use crate::{Tool, ToolEnvironment, Tools, model_call::python_list};

const REGISTERED: [&str; 3] = ["terminal", "file_editor", "task_tracker"];

/// Default tools of the public SDK that this server does not have; agents are made with them, and
/// work without.
const ABSENT_DEFAULTS: [&str; 4] = [
    "ClassifyAndSwitchLLMTool",
    "InvokeSkillTool",
    "SwitchLLMTool",
    "VisionInspectTool",
];

/// Other names that models call our tools by.
const ALIASES: [(&str, &str); 6] = [
    ("bash", "terminal"),
    ("command", "terminal"),
    ("execute", "terminal"),
    ("execute_bash", "terminal"),
    ("str_replace", "file_editor"),
    ("str_replace_editor", "file_editor"),
];

/// Why an agent's tools cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OpenError {
    /// It names a tool that does not exist.
    #[error("no tool is registered as '{0}'; there are {known}", known = python_list(REGISTERED.into_iter()))]
    UnknownTool(String),
    /// A tool's parameter has no meaning.
    #[error("{tool}: params.{name}: expected {expected}, got {value}")]
    Parameter {
        tool: &'static str,
        name: &'static str,
        expected: String,
        value: String,
    },
}

/// The names that an agent's `tools` may hold.
#[must_use]
pub fn registered_names() -> &'static [&'static str] {
    &REGISTERED
}

/// Opens an agent's tools: those it chose by registered name, in its order, then the default ones,
/// which go by class name. A name given twice counts once.
///
/// # Errors
/// For the first name that nobody knows, and the first parameter that cannot be heeded.
pub fn open(
    choices: &[ToolChoice],
    include_default: &[String],
    environment: &ToolEnvironment,
) -> Result<Tools, OpenError> {
    let mut tools = Tools::new();
    for choice in choices {
        let tool: Arc<dyn Tool> = match choice.name.as_str() {
            "terminal" => {
                let settings = terminal_settings(choice, &environment.terminal)?;
                Arc::new(Terminal::new(environment.clone(), settings))
            }
            "file_editor" => Arc::new(FileEditor::new(environment.clone())),
            "task_tracker" => Arc::new(TaskTracker::new(environment.clone())),
            unknown => return Err(OpenError::UnknownTool(unknown.to_owned())),
        };
        add(&mut tools, tool);
    }
    for class in include_default {
        let tool: Arc<dyn Tool> = match class.as_str() {
            "FinishTool" => Arc::new(Finish),
            "ThinkTool" => Arc::new(Think),
            absent if ABSENT_DEFAULTS.contains(&absent) => continue,
            unknown => return Err(OpenError::UnknownTool(unknown.to_owned())),
        };
        add(&mut tools, tool);
    }
    Ok(tools)
}

/// The tool a model means by `called`: its name, or another name that models use for it.
#[must_use]
pub fn resolve<'a>(tools: &'a [Arc<dyn Tool>], called: &str) -> Option<&'a Arc<dyn Tool>> {
    let named = |name: &str| tools.iter().find(|tool| tool.name() == name);
    named(called).or_else(|| {
        let (_, name) = ALIASES.iter().find(|(alias, _)| *alias == called)?;
        named(name)
    })
}

/// What a model is answered when it calls a tool that it does not have.
#[must_use]
pub fn not_found(tools: &[Arc<dyn Tool>], called: &str) -> String {
    let names = python_list(tools.iter().map(|tool| tool.name()));
    format!("Tool '{called}' not found. Available: {names}")
}

/// Of the settings that public clients know, those that mean something here; the others name a user, a
/// shell or a kind of terminal.
fn terminal_settings(
    choice: &ToolChoice,
    usual: &TerminalSettings,
) -> Result<TerminalSettings, OpenError> {
    let mut settings = usual.clone();
    for (name, setting) in [
        ("no_change_timeout_seconds", &mut settings.soft_timeout),
        (
            "max_foreground_terminal_timeout_seconds",
            &mut settings.max_foreground_timeout,
        ),
    ] {
        let Some(value) = choice.params.get(name).filter(|value| !value.is_null()) else {
            continue;
        };
        *setting = value
            .as_f64()
            .filter(|seconds| *seconds > 0.0)
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .filter(|time| *time <= LONGEST_TIMEOUT)
            .ok_or_else(|| OpenError::Parameter {
                tool: "terminal",
                name,
                expected: format!(
                    "seconds, more than 0 and at most {}",
                    LONGEST_TIMEOUT.as_secs()
                ),
                value: value.to_string(),
            })?;
    }
    Ok(settings)
}

fn add(tools: &mut Tools, tool: Arc<dyn Tool>) {
    if !tools.iter().any(|present| present.name() == tool.name()) {
        tools.push(tool);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;

    fn environment() -> ToolEnvironment {
        ToolEnvironment {
            ..ToolEnvironment::default()
        }
    }

    fn opened(names: &[&str], defaults: &[&str]) -> Result<Tools, OpenError> {
        let choices: Vec<ToolChoice> = names
            .iter()
            .map(|name| ToolChoice {
                name: (*name).to_owned(),
                params: Map::new(),
            })
            .collect();
        let defaults: Vec<String> = defaults.iter().map(|name| (*name).to_owned()).collect();
        open(&choices, &defaults, &environment())
    }

    fn names(tools: &Tools) -> Vec<&str> {
        tools.iter().map(|tool| tool.name()).collect()
    }

    #[test]
    fn chosen_tools_come_first_in_their_order() {
        let tools = opened(
            &["task_tracker", "terminal", "file_editor", "terminal"],
            &["FinishTool", "SwitchLLMTool", "ThinkTool"],
        )
        .unwrap();
        assert_eq!(
            names(&tools),
            ["task_tracker", "terminal", "file_editor", "finish", "think"]
        );
        assert_eq!(names(&opened(&[], &[]).unwrap()), [""; 0]);
        assert_eq!(
            names(&opened(registered_names(), &[]).unwrap()),
            registered_names()
        );
    }

    #[test]
    fn a_terminal_waits_as_long_as_it_is_told() {
        let usual = TerminalSettings {
            max_foreground_timeout: Duration::from_secs(99),
            ..TerminalSettings::default()
        };
        let read = |params| {
            let choice: ToolChoice =
                serde_json::from_value(json!({"name": "terminal", "params": params})).unwrap();
            terminal_settings(&choice, &usual)
        };
        assert_eq!(read(json!({})).unwrap(), usual);
        assert_eq!(
            read(json!({"no_change_timeout_seconds": 7, "terminal_type": "tmux"})).unwrap(),
            TerminalSettings {
                soft_timeout: Duration::from_secs(7),
                ..usual.clone()
            }
        );
        assert_eq!(
            read(json!({
                "no_change_timeout_seconds": null,
                "max_foreground_terminal_timeout_seconds": 0.5,
            }))
            .unwrap(),
            TerminalSettings {
                max_foreground_timeout: Duration::from_millis(500),
                ..usual.clone()
            }
        );
        for name in [
            "no_change_timeout_seconds",
            "max_foreground_terminal_timeout_seconds",
        ] {
            for wrong in [json!(0), json!(-1), json!("7"), json!(1e300), json!(86_401)] {
                let error = read(json!({name: wrong})).unwrap_err().to_string();
                let start = format!("terminal: params.{name}: expected seconds, ");
                assert!(error.starts_with(&start), "{error}");
            }
        }
    }

    #[test]
    fn unknown_names_are_named() {
        let error = opened(&["nope"], &[]).err().unwrap();
        assert_eq!(error, OpenError::UnknownTool("nope".to_owned()));
        assert_eq!(
            error.to_string(),
            "no tool is registered as 'nope'; there are ['terminal', 'file_editor', 'task_tracker']"
        );
        let error = opened(&[], &["NopeTool"]).err().unwrap();
        assert_eq!(error, OpenError::UnknownTool("NopeTool".to_owned()));
    }

    #[test]
    fn models_may_use_other_names() {
        let tools = opened(&["terminal", "file_editor"], &["ThinkTool"]).unwrap();
        let found = |called| resolve(&tools, called).map(|tool| tool.name());
        for called in ["terminal", "bash", "execute_bash", "execute", "command"] {
            assert_eq!(found(called), Some("terminal"));
        }
        for called in ["file_editor", "str_replace_editor", "str_replace"] {
            assert_eq!(found(called), Some("file_editor"));
        }
        assert_eq!(found("finish"), None);
        let alone = opened(&["file_editor"], &[]).unwrap();
        assert!(resolve(&alone, "bash").is_none());
        assert_eq!(
            not_found(&tools, "nope"),
            "Tool 'nope' not found. Available: ['terminal', 'file_editor', 'think']"
        );
    }

    #[test]
    fn clients_are_told_what_they_know() {
        let tools = opened(registered_names(), &["FinishTool", "ThinkTool"]).unwrap();
        let told: Vec<_> = tools
            .iter()
            .map(|tool| {
                let mut definition = json!(tool.definition());
                let fields = definition.as_object_mut().unwrap();
                let description = fields.shift_remove("description").unwrap();
                assert!(description.as_str().unwrap().len() > 100);
                definition
            })
            .collect();
        let expected = |class: &str, name: &str, titled: bool, hints: [bool; 4]| {
            let mut annotations = Map::new();
            if titled {
                annotations.insert("title".to_owned(), name.into());
            }
            let keys = [
                "readOnlyHint",
                "destructiveHint",
                "idempotentHint",
                "openWorldHint",
            ];
            for (key, hint) in keys.into_iter().zip(hints) {
                annotations.insert(key.to_owned(), hint.into());
            }
            json!({
                "action_type": format!("{class}Action"),
                "observation_type": format!("{class}Observation"),
                "annotations": annotations,
                "kind": format!("{class}Tool"),
                "title": name,
            })
        };
        assert_eq!(
            told,
            [
                expected("Terminal", "terminal", true, [false, true, false, true]),
                expected(
                    "FileEditor",
                    "file_editor",
                    true,
                    [false, true, false, false]
                ),
                expected(
                    "TaskTracker",
                    "task_tracker",
                    false,
                    [false, false, true, false]
                ),
                expected("Finish", "finish", true, [true, false, true, false]),
                expected("Think", "think", false, [true, false, true, false]),
            ]
        );
    }
}
