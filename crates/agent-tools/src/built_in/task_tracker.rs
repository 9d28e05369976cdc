use std::{
    io::{self, ErrorKind},
    sync::Arc,
};

use async_trait::async_trait;
use core_model::Observation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use tokio::{sync::Mutex, task::spawn_blocking};
use workspace::ToolFiles;

use super::descriptor::{
    ChosenBy, Descriptor, Execute, Hints, KeptFile, observation, traits_by_command,
};
use crate::{ToolCall, ToolError, ToolTraits, arguments};

pub(super) static DESCRIPTOR: Descriptor = Descriptor {
    name: "task_tracker",
    aliases: &[],
    kind: "TaskTracker",
    chosen_by: ChosenBy::Name {
        python_module: "openhands.tools.task_tracker.definition",
    },
    description: DESCRIPTION,
    hints: Hints {
        titled: false,
        destructive: false,
        idempotent: true,
        open_world: false,
    },
    traits: ToolTraits {
        remembered: true,
        ..ToolTraits::NONE
    },
    call_traits: Some(traits_by_command),
    parameters: arguments::schema::<TaskTrackerArguments>,
    action: |arguments| arguments::action::<TaskTrackerArguments>(arguments, "TaskTrackerAction"),
    open: |environment, _| {
        let tracker = TaskTracker {
            files: environment.files.clone(),
            turn: Mutex::default(),
        };
        Ok(Arc::new(DESCRIPTOR.with(tracker, environment)))
    },
    log: None,
    keeps: Some(KeptFile {
        name: FILE,
        after: planned_by,
    }),
};

const DESCRIPTION: &str = "\
Keep the list of tasks for your current work, so that neither you nor the user lose track.

Use it when the work has three or more distinct steps, or when the user asks for several things. \
Do not use it for one simple step or for a question.

Commands:
* `view` shows the list.
* `plan` replaces the whole list by `task_list`. Always send every task, the finished ones too: \
what you leave out is gone.

How to work with it: plan before you start, with short titles that begin with a verb and say what \
will be true when the task is done. Set a task to `in_progress` when you begin it, one at a time, \
and to `done` as soon as it is complete and checked, not before. Add the tasks you discover, and \
remove those that no longer make sense.";

const KIND: &str = "TaskTrackerObservation";
const FILE: &str = "TASKS.json";
/// More than any list of tasks that a model writes.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// The agent's plan: a list of tasks in `TASKS.json` of the conversation's folder.
struct TaskTracker {
    files: ToolFiles,
    /// Held while the file is read or replaced: calls may come in parallel.
    turn: Mutex<()>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TaskTrackerArguments {
    /// `view` to see the list, `plan` to replace it.
    #[serde(default)]
    command: Command,
    /// All tasks in the order of work; only for `plan`.
    #[serde(default)]
    task_list: Vec<Task>,
}

#[derive(Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Command {
    #[default]
    View,
    Plan,
}

// Fields beyond these are ignored: models like to number their tasks.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
struct Task {
    /// What is to be done, in a few words.
    title: String,
    /// Details, findings or what it waits for.
    #[serde(default)]
    notes: String,
    /// How far it is.
    #[serde(default)]
    status: Status,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Status {
    #[default]
    Todo,
    InProgress,
    Done,
}

#[async_trait]
impl Execute for TaskTracker {
    async fn run(&self, call: ToolCall<'_>) -> Result<Observation, ToolError> {
        let TaskTrackerArguments { command, task_list } = arguments::from_action(call.action)?;
        let _turn = self.turn.lock().await;
        let files = self.files.clone();
        let done = spawn_blocking(move || match command {
            Command::View => {
                let tasks = load(&files)?;
                Ok((listing(&tasks), tasks))
            }
            Command::Plan => {
                store(&files, &task_list)?;
                Ok((planned(task_list.len()), task_list))
            }
        })
        .await
        .map_err(|error| ToolError::Failed(format!("the task tracker broke: {error}")))?;
        Ok(answer(command, done))
    }
}

fn load(files: &ToolFiles) -> io::Result<Vec<Task>> {
    match files.read(FILE, MAX_FILE_BYTES) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn store(files: &ToolFiles, tasks: &[Task]) -> io::Result<()> {
    files.replace(FILE, &contents(tasks)?)
}

fn contents(tasks: &[Task]) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec_pretty(tasks)
}

/// What the file has after a logged call: each tells the whole list.
fn planned_by(observation: &Observation) -> Option<Vec<u8>> {
    let told = observation.fields.get("kind")?.as_str()? == KIND && !observation.is_error;
    let tasks = observation.fields.get("task_list").filter(|_| told)?;
    contents(&Vec::<Task>::deserialize(tasks).ok()?).ok()
}

fn planned(count: usize) -> String {
    match count {
        0 => "The task list is now empty.".to_owned(),
        1 => "The task list now has 1 task.".to_owned(),
        _ => format!("The task list now has {count} tasks."),
    }
}

fn listing(tasks: &[Task]) -> String {
    if tasks.is_empty() {
        return "The task list is empty. Use `plan` to make one.".to_owned();
    }
    let done = tasks.iter().filter(|task| task.status == Status::Done);
    let mut text = format!("Tasks, {} of {} done:", done.count(), tasks.len());
    for (index, task) in tasks.iter().enumerate() {
        let mark = match task.status {
            Status::Todo => "todo",
            Status::InProgress => "in progress",
            Status::Done => "done",
        };
        text += &format!("\n{}. [{mark}] {}", index + 1, task.title);
        for line in task.notes.lines() {
            text += &format!("\n   {line}");
        }
    }
    text
}

fn answer(command: Command, done: io::Result<(String, Vec<Task>)>) -> Observation {
    let (text, tasks, is_error) = match done {
        Ok((text, tasks)) => (text, tasks, false),
        Err(error) => (
            format!("The task list could not be read or written: {error}. `plan` makes a new one."),
            Vec::new(),
            true,
        ),
    };
    let fields = Map::from_iter([
        ("command".to_owned(), json!(command)),
        ("task_list".to_owned(), json!(tasks)),
    ]);
    Observation {
        is_error,
        ..observation(text, fields, KIND)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::Value;
    use workspace::Workspace;

    use super::*;
    use crate::CallSignals;

    fn tracker(folder: &tempfile::TempDir) -> TaskTracker {
        TaskTracker {
            files: ToolFiles::new(folder.path().join("conversation")),
            turn: Mutex::default(),
        }
    }

    async fn call(tracker: &TaskTracker, arguments: Value) -> Value {
        let arguments = arguments.as_object().cloned().unwrap();
        let action = (DESCRIPTOR.action)(arguments).unwrap();
        let call = ToolCall {
            action: &action,
            workspace: &Workspace::default(),
            signals: &CallSignals::default(),
        };
        json!(tracker.run(call).await.unwrap())
    }

    #[tokio::test]
    async fn a_plan_outlives_its_tracker() {
        let folder = tempfile::tempdir().unwrap();
        let tasks = json!([
            {"title": "a", "notes": "", "status": "todo"},
            {"title": "b", "notes": "n\nm", "status": "in_progress"},
            {"title": "c", "notes": "", "status": "done"},
        ]);
        let given = json!([
            {"title": "a", "id": 7},
            {"title": "b", "notes": "n\nm", "status": "in_progress"},
            {"title": "c", "status": "done"},
        ]);
        let planned = call(
            &tracker(&folder),
            json!({"command": "plan", "task_list": given}),
        )
        .await;
        assert_eq!(
            planned,
            json!({
                "content": [{
                    "type": "text",
                    "cache_prompt": false,
                    "text": "The task list now has 3 tasks.",
                }],
                "is_error": false,
                "command": "plan",
                "task_list": tasks,
                "kind": "TaskTrackerObservation",
            })
        );
        let viewed = call(&tracker(&folder), json!({})).await;
        assert_eq!(viewed["command"], "view");
        assert_eq!(viewed["task_list"], tasks);
        assert_eq!(
            viewed["content"][0]["text"],
            "Tasks, 1 of 3 done:\n1. [todo] a\n2. [in progress] b\n   n\n   m\n3. [done] c"
        );
    }

    #[tokio::test]
    async fn an_observation_tells_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let tracker = tracker(&folder);
        let plan = json!({"command": "plan", "task_list": [{"title": "a", "status": "done"}]});
        let planned = call(&tracker, plan).await;
        let viewed = call(&tracker, json!({})).await;
        let file = fs::read(tracker.files.path(FILE)).unwrap();
        for told in [planned, viewed] {
            let mut told: Observation = serde_json::from_value(told).unwrap();
            assert_eq!(planned_by(&told).as_ref(), Some(&file));
            told.is_error = true;
            assert_eq!(planned_by(&told), None);
        }
        let other = observation("", Map::new(), "ThinkObservation");
        assert_eq!(planned_by(&other), None);
    }

    #[tokio::test]
    async fn no_plan_yet_is_an_empty_list() {
        let folder = tempfile::tempdir().unwrap();
        let viewed = call(&tracker(&folder), json!({"command": "view"})).await;
        assert_eq!(viewed["is_error"], false);
        assert_eq!(viewed["task_list"], json!([]));
    }

    #[tokio::test]
    async fn a_damaged_file_is_reported_and_replaced_by_the_next_plan() {
        let folder = tempfile::tempdir().unwrap();
        let tracker = tracker(&folder);
        fs::create_dir(folder.path().join("conversation")).unwrap();
        fs::write(tracker.files.path(FILE), "[{").unwrap();
        let viewed = call(&tracker, json!({"command": "view"})).await;
        assert_eq!(viewed["is_error"], true);
        call(
            &tracker,
            json!({"command": "plan", "task_list": [{"title": "a"}]}),
        )
        .await;
        let viewed = call(&tracker, json!({"command": "view"})).await;
        assert_eq!(viewed["is_error"], false);
    }

    #[test]
    fn actions_have_all_fields() {
        let action = (DESCRIPTOR.action)(Map::new()).unwrap();
        assert_eq!(
            serde_json::to_string(&action).unwrap(),
            r#"{"command":"view","task_list":[],"kind":"TaskTrackerAction"}"#
        );
        let wrong = json!({"task_list": [{"title": "a", "status": "open"}]});
        let error = (DESCRIPTOR.action)(wrong.as_object().cloned().unwrap()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("task_list[0].status"), "{text}");
        assert!(text.contains("in_progress"), "{text}");
    }
}
