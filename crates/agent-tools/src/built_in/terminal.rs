//! The terminal: one persistent bash per conversation.
//!
//! | module | holds |
//! |---|---|
//! | [`tool`], [`state`] | the tool, and its shell between calls |
//! | [`settings`] | its limits |
//! | [`arguments`] | a call's arguments |
//! | [`keys`] | what is typed into a running program |
//! | [`session`] | bash in a pseudo-terminal, its set-up and its end |
//! | [`stream`] | its output, read as it arrives |
//! | [`marker`] | where a command's output begins and ends |
//! | [`clean`], [`capture`] | text instead of escapes; head, tail and file |
//! | [`ended_processes`] | which processes ended with it, for the agent |
//! | [`observation`] | the answer |
//! | [`log`] | what is read from its logged calls |

mod arguments;
mod capture;
mod clean;
mod ended_processes;
mod keys;
mod log;
mod marker;
mod observation;
mod session;
mod settings;
mod state;
mod stream;
#[cfg(test)]
mod tests;
mod tool;

use std::sync::Arc;

use self::{arguments::TerminalArguments, settings::TerminalSettings, tool::Terminal};
use super::descriptor::{ChosenBy, Descriptor, Hints, LogReading};
use crate::ToolTraits;

pub(super) static DESCRIPTOR: Descriptor = Descriptor {
    name: "terminal",
    aliases: &["bash", "command", "execute", "execute_bash"],
    kind: "Terminal",
    chosen_by: ChosenBy::Name {
        python_module: "openhands.tools.terminal.definition",
    },
    description: DESCRIPTION,
    hints: Hints {
        titled: true,
        destructive: true,
        idempotent: false,
        open_world: true,
    },
    traits: ToolTraits::NONE,
    call_traits: None,
    parameters: arguments::parameters,
    action: |arguments| Ok(TerminalArguments::read(&arguments)?.action()),
    open: |environment, params| {
        let mut usual = TerminalSettings::default();
        if let Some(time) = environment.max_foreground_time {
            usual.max_foreground_timeout = time;
        }
        let settings = settings::read(params, &usual)?;
        let used_before = environment.used_before.contains(DESCRIPTOR.name);
        let terminal = Terminal::new(environment.files.clone(), used_before, settings);
        Ok(Arc::new(DESCRIPTOR.with(terminal, environment)))
    },
    log: Some(LogReading {
        model_text: log::model_text,
        still_running: log::still_running,
        waited: log::waited,
    }),
    keeps: None,
};

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
