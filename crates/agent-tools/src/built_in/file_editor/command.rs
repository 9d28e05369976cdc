use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FileEditorArguments {
    /// What to do.
    pub(super) command: Command,
    /// Absolute path of the file, or of a folder for `view`.
    pub(super) path: String,
    /// For `create`: the whole content of the new file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) file_text: Option<String>,
    /// For `str_replace`: the text to replace, exactly as it stands in the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) old_str: Option<String>,
    /// For `str_replace`: what to put in its place. For `insert`: the lines to put in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) new_str: Option<String>,
    /// For `insert`: the line after which to insert; 0 for the start of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) insert_line: Option<u64>,
    /// For `view` of a file: first and last line to show, counted from 1; -1 as last line means to
    /// the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) view_range: Option<Vec<i64>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Command {
    View,
    Create,
    StrReplace,
    Insert,
    UndoEdit,
}

/// Adds the `command` that a model left out, where the other arguments show what it means.
pub(super) fn infer_command(arguments: &mut Map<String, Value>) {
    if arguments.contains_key("command") {
        return;
    }
    let command = if arguments.contains_key("old_str") {
        "str_replace"
    } else if arguments.contains_key("insert_line") {
        "insert"
    } else if arguments.contains_key("file_text") {
        "create"
    } else {
        "view"
    };
    arguments.insert("command".to_owned(), command.into());
}
