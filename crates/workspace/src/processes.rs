//! The processes that conversations start: how they are found, signalled and ended.
//!
//! | module | holds |
//! |---|---|
//! | [`session`] | starting a program as the leader of a session, and its end |
//! | [`leftovers`] | processes that an earlier server left |
//! | [`orphans`] | processes that lost their session's leader |
//! | [`registry`] | [`Processes`]: the living sessions |
//! | [`tree`] | which processes belong to a session |
//! | [`policy`] | what they are given |
//! | [`folder_locks`] | one lock a folder |
//! | [`owner`] | which server started a process |
//! | [`control_group`] | Linux control groups |
//! | [`signal`] | the only place that sends signals |
//! | [`ignored_signals`] | signals that this process ignores |
//! | [`info`] | what is known of a process |
//! | [`spawner`] | the thread that starts sessions |
//! | [`table`] | what `/proc` tells of processes |

mod control_group;
mod folder_locks;
mod ignored_signals;
mod info;
mod leftovers;
mod orphans;
mod owner;
mod policy;
mod registry;
mod session;
mod signal;
mod spawner;
mod table;
#[cfg(test)]
mod tests;
mod tree;

pub(crate) use self::session::SessionProcess;
pub use self::{
    ignored_signals::is_ignored,
    info::ProcessInfo,
    policy::{NeverPassed, Policy, check_name, is_passed},
    registry::Processes,
    signal::{OwnProcess, Signal, send},
};
