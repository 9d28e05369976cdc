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
use core_model::Observation;
use serde_json::{Map, Value, json};
use tokio::task::spawn_blocking;

use self::{
    command::{FileEditorArguments, infer_command},
    editor::{Done, Editor},
};
use super::descriptor::{ChosenBy, Descriptor, Execute, Hints, observation, traits_by_command};
use crate::{ToolCall, ToolError, ToolTraits, arguments};

const DESCRIPTION: &str = "\
View, create and change text files. Changes are written at once and keep the file's line ends, \
byte order mark, permissions, attributes and links.

Paths are absolute. Your workspace is {workspace}, so its files start with {workspace}/.

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
for those.";

pub(super) static DESCRIPTOR: Descriptor = Descriptor {
    name: "file_editor",
    aliases: &["str_replace", "str_replace_editor"],
    kind: "FileEditor",
    chosen_by: ChosenBy::Name {
        python_module: "openhands.tools.file_editor.definition",
    },
    description: DESCRIPTION,
    hints: Hints {
        titled: true,
        destructive: true,
        idempotent: false,
        open_world: false,
    },
    // Edits run alone, so that those of one file keep their order.
    traits: ToolTraits::NONE,
    call_traits: Some(traits_by_command),
    parameters: arguments::schema::<FileEditorArguments>,
    action: |mut arguments| {
        infer_command(&mut arguments);
        arguments::action::<FileEditorArguments>(arguments, "FileEditorAction")
    },
    open: |environment, _| {
        Ok(Arc::new(
            DESCRIPTOR.with(FileEditor::default(), environment),
        ))
    },
    log: None,
    keeps: None,
};

/// Views and changes text files by absolute path.
///
/// `undo_edit` takes back `str_replace` and `insert`, for as long as the tool lives: the last 10
/// edits of a file, the last 64 MiB of contents and 1,000 files in all, and never what others wrote. A
/// created file is not removed again by it.
#[derive(Default)]
struct FileEditor {
    editor: Arc<Mutex<Editor>>,
}

#[async_trait]
impl Execute for FileEditor {
    async fn run(&self, call: ToolCall<'_>) -> Result<Observation, ToolError> {
        let arguments: FileEditorArguments = arguments::from_action(call.action)?;
        let command = json!(arguments.command);
        let path = arguments.path.clone();
        let editor = Arc::clone(&self.editor);
        let workspace = call.workspace.clone();
        // One command at a time: an edit reads the whole file and writes it back.
        let work = spawn_blocking(move || {
            let mut editor = editor.lock().unwrap_or_else(PoisonError::into_inner);
            editor.run(&workspace, arguments)
        });
        let done = tokio::select! {
            done = work => done,
            () = call.signals.cancel.cancelled() => return Err(ToolError::Cancelled),
        }
        .map_err(|error| ToolError::Failed(format!("the file editor broke: {error}")))?;
        Ok(match done {
            Ok(done) => success(command, path, done),
            Err(reason) => failure(command, reason),
        })
    }
}

const KIND: &str = "FileEditorObservation";

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
    observation(done.text, fields, KIND)
}

fn failure(command: Value, reason: String) -> Observation {
    let fields = Map::from_iter([
        ("command".to_owned(), command),
        // True on every failure: what public clients are used to.
        ("prev_exist".to_owned(), true.into()),
    ]);
    Observation {
        is_error: true,
        ..observation(reason, fields, KIND)
    }
}
