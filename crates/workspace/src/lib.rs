//! The one door to the machine: everything that starts processes or touches the agent's files goes
//! through a [`Workspace`], so that what an agent may do is decided in one place.
//!
//! | module | holds |
//! |---|---|
//! | `workspace` | [`Workspace`]: a folder, and what is started and touched from it |
//! | `files` | read, create, replace, list, stat |
//! | `git` | making the folder a repository |
//! | `pty` | [`Pty`]: a program in a pseudo-terminal |
//! | `piped` | [`Piped`]: a program that is talked to through pipes |
//! | `tool_files` | [`ToolFiles`]: what a conversation's tools keep |
//! | `scratch` | [`ScratchFolder`]: a private temporary folder |
//! | `host` | the user, the host, programs on a `PATH` |
//! | `processes` | [`Processes`]: what was started, how it is found, signalled and ended; [`Policy`]: what it inherits |

mod files;
mod folder;
mod git;
mod host;
mod piped;
mod processes;
mod pty;
mod scratch;
mod tool_files;
mod workspace;

pub use self::{
    files::{FileKind, FolderItem, NewFile, ReplaceError, Stat},
    folder::UsableFolder,
    host::{find_program, host_name, user_name},
    piped::{Piped, PipedCommand, Pipes},
    processes::{
        NeverPassed, OwnProcess, Policy, ProcessInfo, Processes, Signal, check_name, is_ignored,
        is_passed, send,
    },
    pty::{ProcessGroup, Pty, PtyCommand, PtyOutput},
    scratch::ScratchFolder,
    tool_files::ToolFiles,
    workspace::Workspace,
};
/// How a process ended.
pub use std::process::ExitStatus;
