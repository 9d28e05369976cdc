//! What clients and models are told of the terminal.

use core_model::event::{ToolAnnotations, ToolDefinition};
use serde_json::{Value, json};

const DESCRIPTION: &str = "Runs a command in a bash shell that lasts for the whole conversation: \
    the working directory, variables, functions and background jobs stay from call to call. A \
    command may be one line or a script of many. Its output comes back with the exit code; of a \
    very long output the beginning and the end, and the path of a file with all of it.\n\n\
    A command that runs on is not lost. Without `timeout` you get an answer when it has written \
    nothing new for a while; with `timeout`, after so many seconds. It keeps running, and you can \
    look at it again with an empty command, type into it with `is_input`, or interrupt it with \
    `is_input` and \"C-c\". While it runs, no other command is started. A command that writes \
    without end needs a `timeout`. Start servers in the background with their output sent to a \
    file: `server > server.log 2>&1 &`.\n\n\
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
                    command, Enter included, or a control key such as C-c, C-z, C-d; \"\\n\" is \
                    Enter alone.",
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
                    on. Without it, the answer comes when nothing new is written for a while.",
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
