//! Ends everything a shell started.

use std::{fs, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Names the shell in the environment of all it starts, so that what left its session
/// (`setsid`, daemons) is found too.
pub(super) const TAG_VARIABLE: &str = "AGENT_TERMINAL_ID";

/// New processes may appear while old ones are killed; so many rounds are tried.
const ROUNDS: usize = 20;
/// Between rounds, for the killed to be gone.
const PAUSE: Duration = Duration::from_millis(1);

/// Sends `signal` to every process of the session that `shell` leads and to those with `tag` in
/// their environment. Returns how many there were.
pub(super) fn signal_all(shell: Pid, tag: &str, signal: Signal) -> usize {
    let found = members(shell, tag);
    for pid in &found {
        // it may have ended by itself in between
        kill(*pid, signal).ok();
    }
    found.len()
}

/// Kills every process of the session that `shell` led and those with `tag` in their environment.
/// Finds none where there is no `/proc`.
pub(super) fn kill_all(shell: Pid, tag: &str) {
    for _ in 0..ROUNDS {
        if signal_all(shell, tag, Signal::SIGKILL) == 0 {
            return;
        }
        std::thread::sleep(PAUSE);
    }
}

/// The living processes of a shell, by session or by tag.
pub(super) fn members(shell: Pid, tag: &str) -> Vec<Pid> {
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let entry = format!("{TAG_VARIABLE}={tag}");
    processes
        .filter_map(|process| process.ok()?.file_name().to_str()?.parse().ok())
        .map(Pid::from_raw)
        .filter(|pid| lives_in_session(*pid, shell).unwrap_or_else(|| has_tag(*pid, &entry)))
        .collect()
}

/// `None` when the process belongs to another session, `Some(false)` when it is dead.
fn lives_in_session(pid: Pid, session: Pid) -> Option<bool> {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return Some(false);
    };
    // pid (name) state ppid pgrp session …, and the name may hold anything
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let state = fields.next()?;
    if matches!(state, "Z" | "X" | "x") {
        return Some(false);
    }
    let its_session: i32 = fields.nth(2)?.parse().ok()?;
    (its_session == session.as_raw()).then_some(true)
}

fn has_tag(pid: Pid, entry: &str) -> bool {
    fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| {
        environment
            .split(|byte| *byte == 0)
            .any(|variable| variable == entry.as_bytes())
    })
}
