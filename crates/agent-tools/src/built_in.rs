//! The tools that are built in, each in a file of its own below.

mod descriptor;
mod file_editor;
mod finish;
mod task_tracker;
mod terminal;
mod think;

use std::time::Duration;

use async_trait::async_trait;
use core_model::{Agent, Observation};
use serde_json::{Map, Value};

pub use self::descriptor::KeptFile;
use self::descriptor::{ChosenBy, Descriptor, LogReading};
use crate::{OpenError, ToolEnvironment, ToolFilter, ToolSource, ToolTraits, Tools};

/// In the order in which clients see them.
static DESCRIPTORS: [&Descriptor; 5] = [
    &terminal::DESCRIPTOR,
    &file_editor::DESCRIPTOR,
    &task_tracker::DESCRIPTOR,
    &finish::DESCRIPTOR,
    &think::DESCRIPTOR,
];

/// Default tools of the public SDK that this server does not have; agents are made with them, and
/// work without.
const ABSENT_DEFAULTS: [&str; 4] = [
    "ClassifyAndSwitchLLMTool",
    "InvokeSkillTool",
    "SwitchLLMTool",
    "VisionInspectTool",
];

/// The built-in tools: those that an agent chose by name, in its order, then its default ones, by class.
pub struct BuiltInTools;

#[async_trait]
impl ToolSource for BuiltInTools {
    async fn open(&self, agent: &Agent, environment: &ToolEnvironment) -> Result<Tools, OpenError> {
        let filter = ToolFilter::of(agent).map_err(OpenError::Settings)?;
        let mut tools = Vec::new();
        for choice in &agent.tools {
            let descriptor = chosen_by_name()
                .find(|it| it.name == choice.name)
                .ok_or_else(|| unknown(&choice.name))?;
            let tool = (descriptor.open)(environment, &choice.params)?;
            if filter.allows(tool.name()) {
                tools.push(tool);
            }
        }
        for class in &agent.include_default_tools {
            match chosen_by_class(class) {
                Some(descriptor) => tools.push((descriptor.open)(environment, &Map::new())?),
                None if ABSENT_DEFAULTS.contains(&class.as_str()) => {}
                None => return Err(unknown(class)),
            }
        }
        Ok(tools)
    }
}

/// The names that an agent's `tools` may contain.
pub fn registered_names() -> impl Iterator<Item = &'static str> {
    chosen_by_name().map(|descriptor| descriptor.name)
}

/// The Python module by which the public SDK knows a tool of that name.
#[must_use]
pub fn python_module(name: &str) -> Option<&'static str> {
    match find(name)?.chosen_by {
        ChosenBy::Name { python_module } => Some(python_module),
        ChosenBy::Class => None,
    }
}

/// The traits of a call that was logged. Those of an unknown tool are all false.
#[must_use]
pub fn logged_traits(name: &str, action: &Map<String, Value>) -> ToolTraits {
    find(name).map_or(ToolTraits::default(), |tool| tool.traits_of(action))
}

/// What a model reads of an observation, where that is not simply its content.
#[must_use]
pub fn model_text(observation: &Observation) -> Option<String> {
    log_readings().find_map(|log| (log.model_text)(observation))
}

/// Whether a program that a tool started still runs, as far as this observation says.
#[must_use]
pub fn still_running(observation: &Observation) -> Option<bool> {
    log_readings().find_map(|log| (log.still_running)(observation))
}

/// Whether a tool's programs may outlive its calls.
#[must_use]
pub fn may_leave_running(name: &str) -> bool {
    find(name).is_some_and(|tool| tool.log.is_some())
}

/// Whether a logged call was made to let time pass, and did. `took`: from its action to its observation.
#[must_use]
pub fn waited(
    name: &str,
    action: &Map<String, Value>,
    observation: &Observation,
    took: Duration,
) -> bool {
    let log = find(name).and_then(|tool| tool.log.as_ref());
    log.is_some_and(|log| (log.waited)(action, observation, took))
}

/// The file that a tool keeps beside the log, if it keeps one.
#[must_use]
pub fn kept_file(name: &str) -> Option<KeptFile> {
    find(name)?.keeps
}

fn log_readings() -> impl Iterator<Item = &'static LogReading> {
    DESCRIPTORS.into_iter().filter_map(|tool| tool.log.as_ref())
}

fn find(name: &str) -> Option<&'static Descriptor> {
    DESCRIPTORS.into_iter().find(|tool| tool.name == name)
}

fn chosen_by_name() -> impl Iterator<Item = &'static Descriptor> {
    let by_name = |tool: &&Descriptor| matches!(tool.chosen_by, ChosenBy::Name { .. });
    DESCRIPTORS.into_iter().filter(by_name)
}

fn chosen_by_class(class: &str) -> Option<&'static Descriptor> {
    let kind = class.strip_suffix("Tool")?;
    DESCRIPTORS
        .into_iter()
        .find(|tool| tool.chosen_by == ChosenBy::Class && tool.kind == kind)
}

fn unknown(name: &str) -> OpenError {
    OpenError::UnknownTool {
        name: name.to_owned(),
        known: registered_names().collect(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use core_model::ToolChoice;
    use futures_util::FutureExt;
    use serde_json::json;

    use super::*;
    use crate::{not_found, open, resolve};

    pub(crate) fn opened(names: &[&str], defaults: &[&str]) -> Result<Tools, OpenError> {
        let choices: Vec<ToolChoice> = names
            .iter()
            .map(|name| ToolChoice {
                name: (*name).to_owned(),
                params: Map::new(),
            })
            .collect();
        let agent = Agent {
            tools: choices,
            include_default_tools: defaults.iter().map(|name| (*name).to_owned()).collect(),
            ..Agent::default()
        };
        let sources: [Arc<dyn ToolSource>; 1] = [Arc::new(BuiltInTools)];
        let opened = open(&sources, &agent, &ToolEnvironment::default()).now_or_never();
        let opened = opened.expect("built-in tools need not be waited for");
        opened.map(|opened| opened.fixed)
    }

    fn registered() -> Vec<&'static str> {
        registered_names().collect()
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
        assert_eq!(names(&opened(&registered(), &[]).unwrap()), registered());
    }

    #[test]
    fn unknown_names_are_named() {
        let error = opened(&["nope"], &[]).err().unwrap();
        assert_eq!(error, unknown("nope"));
        let told = error.to_string();
        let start = "no tool is registered as 'nope'; there are ['terminal', 'file_editor', ";
        assert!(told.starts_with(start), "{told}");
        assert!(registered_names().all(|name| told.contains(name)), "{told}");
        let error = opened(&[], &["NopeTool"]).err().unwrap();
        assert_eq!(error, unknown("NopeTool"));
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
        let tools = opened(&registered(), &["FinishTool", "ThinkTool"]).unwrap();
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
