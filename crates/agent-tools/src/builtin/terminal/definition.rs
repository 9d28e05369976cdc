//! What clients and models are told of the terminal.

use core_model::event::{ToolAnnotations, ToolDefinition};
use serde_json::{Value, json};

const DESCRIPTION: &str = "Runs a command in a bash shell that lasts for the whole conversation: \
    the working directory, variables, functions and background jobs stay from call to call. A \
    command may be one line or a script of many. Its output comes back with the exit code; of a \
    very long output the beginning and the end, and the path of a file with all of it.\n\n\
    A command that runs on is not lost. Without `timeout` you get an answer when it has written \
    nothing new for a while; with `timeout`, after so many seconds; in any case after a longest \
    time of some minutes. It keeps running, and you can look at it again with an empty command, as \
    often as you like, type into it with `is_input`, or interrupt it with `is_input` and \"C-c\". \
    While it runs, no other command is started. Start servers in the background with their output \
    sent to a file: `server > server.log 2>&1 &`. What background jobs write to the terminal, and \
    how they end, is shown before the output of the next command.\n\n\
    With `is_input`, a text is typed with Enter after it; end the text with \"\\c\" to leave \
    Enter out. The name of a key strikes that key, without Enter: Up, Down, Left, Right, Home, \
    End, PageUp, PageDown, Insert, Delete, Backspace, Tab, Enter, Escape, Space, F1 to F12, \
    written like this or in capitals; with C- (Control), M- (Alt) or S- (Shift) before it, as in \
    C-c, M-x, S-Tab, C-Right; several with spaces between them: \"Down Down Enter\". To type such \
    a name as a word, end it with a line feed.\n\n\
    `exit` ends the shell and with it all of its state, and after `set -e` so does any command \
    that fails: put such scripts in a subshell, `( set -e; … )`. `reset` starts a new shell when \
    the old one is stuck.";

/// The tool as clients see it.
pub(super) fn definition() -> ToolDefinition {
    ToolDefinition {
        description: DESCRIPTION.into(),
        action_type: "TerminalAction".into(),
        observation_type: Some("TerminalObservation".into()),
        annotations: Some(ToolAnnotations {
            title: Some("terminal".into()),
            read_only_hint: false,
            destructive_hint: true,
            idempotent_hint: false,
            open_world_hint: true,
        }),
        kind: "TerminalTool".into(),
        title: "terminal".into(),
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
