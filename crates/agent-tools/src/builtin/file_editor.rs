//! The file editor: view, create, str_replace, insert, undo_edit.
//!
//! | module | holds |
//! |---|---|
//! | [`command`] | what a model asks for |
//! | [`editor`] | the five commands |
//! | [`document`] | one text file: limits, line ends, replacing, inserting |
//! | [`view`] | numbered lines, folder trees |
//! | [`history`] | what undo goes back to |
//! | [`difference`] | what others changed since |

mod command;
mod difference;
mod document;
mod editor;
mod history;
#[cfg(test)]
mod tests;
mod view;

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use core_model::{
    Content, Observation,
    event::{ToolAnnotations, ToolDefinition},
};
use serde_json::{Map, Value, json};
use tokio::task::spawn_blocking;
use workspace::Workspace;

use crate::{CallSignals, Tool, ToolEnvironment, ToolError, arguments};
use command::{FileEditorArguments, infer_command};
use editor::{Done, Editor};

/// Views and changes text files by absolute path.
///
/// `undo_edit` takes back `str_replace` and `insert`, for as long as the tool lives: the last 10
/// edits of a file, the last 64 MiB of contents and 1,000 files in all, and never what others wrote. A
/// created file is not removed again by it.
pub(crate) struct FileEditor {
    workspace: Workspace,
    editor: Arc<Mutex<Editor>>,
}

impl FileEditor {
    pub(crate) fn new(environment: ToolEnvironment) -> Self {
        Self {
            workspace: environment.workspace,
            editor: Arc::default(),
        }
    }
}

#[async_trait]
impl Tool for FileEditor {
    fn name(&self) -> &str {
        "file_editor"
    }

    fn definition(&self) -> ToolDefinition {
        ToolDefinition {
            description: description(&self.workspace),
            action_type: "FileEditorAction".to_owned(),
            observation_type: Some("FileEditorObservation".to_owned()),
            annotations: Some(ToolAnnotations {
                title: Some("file_editor".to_owned()),
                read_only_hint: false,
                destructive_hint: true,
                idempotent_hint: false,
                open_world_hint: false,
            }),
            kind: "FileEditorTool".to_owned(),
            title: "file_editor".to_owned(),
        }
    }

    fn parameters(&self) -> Value {
        arguments::schema::<FileEditorArguments>()
    }

    fn action(&self, mut arguments: Map<String, Value>) -> Result<Map<String, Value>, ToolError> {
        infer_command(&mut arguments);
        arguments::action(
            &arguments::read::<FileEditorArguments>(arguments)?,
            "FileEditorAction",
        )
    }

    async fn run(
        &self,
        action: &Map<String, Value>,
        signals: &CallSignals,
    ) -> Result<Observation, ToolError> {
        let arguments: FileEditorArguments = arguments::from_action(action)?;
        let command = json!(arguments.command);
        let path = arguments.path.clone();
        let editor = Arc::clone(&self.editor);
        let workspace = self.workspace.clone();
        // One command at a time: an edit reads the whole file and writes it back.
        let work = spawn_blocking(move || {
            let mut editor = editor.lock().unwrap_or_else(PoisonError::into_inner);
            editor.run(&workspace, arguments)
        });
        let done = tokio::select! {
            done = work => done,
            () = signals.cancel.cancelled() => return Err(ToolError::Cancelled),
        }
        .map_err(|error| ToolError::Failed(format!("the file editor broke: {error}")))?;
        Ok(match done {
            Ok(done) => success(command, path, done),
            Err(reason) => failure(command, reason),
        })
    }
}

fn success(command: Value, path: String, done: Done) -> Observation {
    let mut fields = Map::new();
    fields.insert("command".to_owned(), command);
    fields.insert("path".to_owned(), path.into());
    fields.insert("prev_exist".to_owned(), done.existed.into());
    if let Some(old) = done.old_content {
        fields.insert("old_content".to_owned(), old.into());
    }
    if let Some(new) = done.new_content {
        fields.insert("new_content".to_owned(), new.into());
    }
    fields.insert("kind".to_owned(), "FileEditorObservation".into());
    Observation {
        content: vec![Content::text(done.text)],
        is_error: false,
        fields,
    }
}

fn failure(command: Value, reason: String) -> Observation {
    Observation {
        content: vec![Content::text(reason)],
        is_error: true,
        fields: Map::from_iter([
            ("command".to_owned(), command),
            // True on every failure: what public clients are used to.
            ("prev_exist".to_owned(), true.into()),
            ("kind".to_owned(), "FileEditorObservation".into()),
        ]),
    }
}

fn description(workspace: &Workspace) -> String {
    let working_dir = workspace.folder().display();
    format!(
        "\
View, create and change text files. Changes are written at once and keep the file's line ends, \
byte order mark, permissions, attributes and links.

Paths are absolute. Your workspace is {working_dir}, so its files start with {working_dir}/.

Commands:
* `view`: a file with numbered lines, or a folder two levels deep without hidden items. For a long \
file give `view_range`, [first, last]; last -1 means to the end. Output stops at 16,000 characters \
and says where to go on.
* `create`: a new file holding `file_text`. The file must not exist yet and its folder must.
* `str_replace`: replaces `old_str` by `new_str`, or removes it when `new_str` is left out. \
`old_str` must occur exactly once, character for character, white space and indentation included. \
Take in enough lines around the place to make it unique.
* `insert`: puts `new_str` as whole lines after line `insert_line`; 0 is the start of the file.
* `undo_edit`: takes back the last `str_replace` or `insert` on the file, up to ten in a row. It \
is refused when the file was changed by other means since that edit.

View a file before you change it, and leave out the line numbers and the tab after them when you \
copy from a view. When `str_replace` finds no match, view the place again: the file differs from \
what you remember. When it finds several, their line numbers are listed: add lines around the one \
you mean. Files over 10 MB, binary files and text that is not UTF-8 are refused; use the terminal \
for those."
    )
}
