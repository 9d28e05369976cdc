use std::path::Path;

use serde_json::{Value, json};

use super::error::DemoError;
use crate::config::Settings;

/// What a real model is asked when the user asks nothing.
const DEFAULT_TASK: &str = "Write a shell script wordcount.sh that prints the ten most frequent \
    words of the text on its standard input, one a line with its count, ignoring case. Write a \
    second script test.sh that checks it on a small text. Run the test, mend what fails, and say \
    in one sentence what you did.";

/// What the agent is to do.
pub(super) enum Task {
    /// Steps for the scripted model, and the files that must be there afterwards.
    Fixed {
        text: String,
        makes: &'static [&'static str],
    },
    /// Words for a real model.
    Free(String),
}

impl Task {
    /// The user's task, or the usual one for the model that is configured.
    pub(super) fn choose(given: Option<&str>, settings: &Settings) -> Result<Self, DemoError> {
        let scripted = Settings::default().llm.model == settings.llm.model;
        match given {
            Some(_) if scripted => Err(DemoError::TaskWithoutModel),
            Some(task) => Ok(Self::Free(task.to_owned())),
            None if scripted => Ok(fixed(&settings.workspace_path)),
            None => Ok(Self::Free(DEFAULT_TASK.to_owned())),
        }
    }

    pub(super) fn text(&self) -> &str {
        match self {
            Self::Fixed { text, .. } | Self::Free(text) => text,
        }
    }
}

const FIRST_TRY: &str = r#"#!/usr/bin/env bash
# Prints the words of standard input with their counts, the most frequent first.
set -euo pipefail
export LC_ALL=C

tr -cs '[:alpha:]' '\n' | sort | uniq -c | sort -k1,1nr -k2 |
    while read -r count word; do
        if [ -n "$word" ]; then echo "$word $count"; fi
    done
"#;

const TEST: &str = r#"#!/usr/bin/env bash
# Checks wordcount.sh on a small text.
set -euo pipefail
cd "$(dirname "$0")"

expected=$'the 3\ncat 2\nsaw 1'
actual=$(echo 'The cat saw the the Cat' | ./wordcount.sh)
if [ "$actual" = "$expected" ]; then
    echo 'ok: words are counted in any case'
else
    echo 'FAILED: words are not counted in any case'
    echo "expected:" $expected
    echo "actual:  " $actual
    exit 1
fi
"#;

/// A small piece of work with a mistake to find: write, test, see it fail, mend, test again.
fn fixed(workspace: &Path) -> Task {
    let script = workspace.join("wordcount.sh");
    let test = workspace.join("test.sh");
    let steps = json!([
        {
            "thought": "First a plan, then a first version of the script and a test for it.",
            "tools": [plan(["in_progress", "todo", "todo"])],
        },
        {"tool": "file_editor", "args": {"command": "create", "path": script, "file_text": FIRST_TRY}},
        {"tool": "file_editor", "args": {"command": "create", "path": test, "file_text": TEST}},
        {"tool": "terminal", "args": {"command": "chmod +x wordcount.sh test.sh && ls -l"}},
        {
            "thought": "Both files are there. Does it work?",
            "delay_ms": 300,
            "tools": [
                {"tool": "terminal", "args": {"command": "./test.sh"}},
            ],
        },
        {
            "thought": "\"The\" and \"the\" count apart: everything has to be lower case first.",
            "delay_ms": 500,
            "tools": [{"tool": "file_editor", "args": {
                "command": "str_replace",
                "path": script,
                "old_str": "tr -cs",
                "new_str": "tr '[:upper:]' '[:lower:]' | tr -cs",
            }}],
        },
        {"tool": "terminal", "args": {"command": "./test.sh"}},
        plan(["done", "done", "in_progress"]),
        {
            "thought": "The test passes. Now on a real text: the script itself.",
            "tools": [{"tool": "terminal", "args": {
                "command": "./wordcount.sh < wordcount.sh > words.txt && head -n 5 words.txt",
            }}],
        },
        {"tool": "terminal", "args": {"command":
            "if command -v git > /dev/null; then git init -q && git add -A && \
             git -c user.name=demo -c user.email=demo@localhost commit -qm 'Count words in any case' \
             && git log --oneline --stat | cat; else echo 'no git here'; fi"}},
        plan(["done", "done", "done"]),
        {"tool": "finish", "args": {"message":
            "wordcount.sh counts words in any case; test.sh checks that, and passes."}},
    ]);
    let text = format!(
        "Write a shell script that counts words, with a test, and make the test pass.\n\n\
         ```json\n{steps:#}\n```\n"
    );
    Task::Fixed {
        text,
        makes: &["wordcount.sh", "test.sh", "words.txt"],
    }
}

fn plan(statuses: [&str; 3]) -> Value {
    let titles = [
        "write the script and a test",
        "make the test pass",
        "try it on a real text",
    ];
    let tasks = titles.iter().zip(statuses);
    let tasks: Vec<Value> = tasks
        .map(|(title, status)| json!({"title": title, "status": status}))
        .collect();
    json!({"tool": "task_tracker", "args": {"command": "plan", "task_list": tasks}})
}
