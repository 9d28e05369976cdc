//! The only place that sends signals.
//!
//! A signal goes to one process at a time, never to a group, and only to a process that was shown to
//! be one of ours: a child that was not reaped, or one that the process table shows to belong to a
//! session of ours. `clippy.toml` keeps other code from sending any. (What is in a control group that was
//! made for a session can also be killed through the group, [`super::control_group`].)

use std::{io, os::fd::OwnedFd};

use rustix::{
    io::Errno,
    process::{Pid, getpgrp, getpid},
};

pub use rustix::process::Signal;

use super::table::{self, Entry};

/// A process that this one started, directly or through others.
#[derive(Debug)]
pub struct OwnProcess {
    pid: Pid,
    proof: Proof,
}

#[derive(Debug)]
enum Proof {
    /// Refers to the process itself, whatever its id is used for later.
    Handle(OwnedFd),
    /// It still has its id: it was not reaped.
    Child,
    /// The time of its start, checked right before a signal is sent.
    StartedAt(u64),
}

impl OwnProcess {
    /// A child; `None` once it has been waited for, because its id may be another's by then.
    #[must_use]
    pub fn child(child: &tokio::process::Child) -> Option<Self> {
        Self::unreaped(child.id()?)
    }

    /// A child that was not waited for.
    pub(super) fn unreaped(id: u32) -> Option<Self> {
        let pid = Pid::from_raw(i32::try_from(id).ok()?).filter(|pid| may_be_sent_to(*pid))?;
        Some(Self {
            pid,
            proof: handle(pid).map_or(Proof::Child, Proof::Handle),
        })
    }

    /// The process that the table showed, if it still exists and may be sent signals: nothing in our own
    /// process group may.
    pub(super) fn seen(seen: &Entry) -> Option<Self> {
        let raw = Some(seen.pid).filter(|pid| *pid > 1)?;
        let pid = Pid::from_raw(raw).filter(|pid| may_be_sent_to(*pid))?;
        let handle = handle(pid);
        // The handle is of whatever has the id now; the entry read after it is of the same process or of
        // a later one with that id, which the time of its start shows.
        let now = table::entry(seen.pid)?;
        if now.started != seen.started || now.is_zombie || now.group == getpgrp().as_raw_pid() {
            return None;
        }
        Some(Self {
            pid,
            proof: handle.map_or(Proof::StartedAt(seen.started), Proof::Handle),
        })
    }
}

/// Sends a signal to a process of ours. It may have ended meanwhile; then nothing happens.
///
/// # Errors
/// When it runs as another user.
#[expect(
    clippy::disallowed_methods,
    reason = "the only place that sends signals"
)]
pub fn send(process: &OwnProcess, signal: Signal) -> io::Result<()> {
    let sent = match &process.proof {
        #[cfg(target_os = "linux")]
        Proof::Handle(handle) => rustix::process::pidfd_send_signal(handle, signal),
        #[cfg(not(target_os = "linux"))]
        Proof::Handle(_) => Ok(()),
        Proof::Child => rustix::process::kill_process(process.pid, signal),
        Proof::StartedAt(start) => {
            let now = table::entry(process.pid.as_raw_pid());
            if now.is_none_or(|now| now.started != *start) {
                return Ok(());
            }
            rustix::process::kill_process(process.pid, signal)
        }
    };
    match sent {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Sends a signal to each of these processes that still exists. Returns to how many.
pub(super) fn send_to_all(processes: &[Entry], signal: Signal) -> usize {
    let found = processes.iter().filter_map(OwnProcess::seen);
    found
        .filter(|process| {
            send(process, signal)
                .inspect_err(|error| {
                    tracing::debug!(%error, pid = process.pid.as_raw_pid(), "no signal sent");
                })
                .is_ok()
        })
        .count()
}

/// Neither the first process of the system nor this one.
fn may_be_sent_to(pid: Pid) -> bool {
    !pid.is_init() && pid != getpid()
}

fn handle(pid: Pid) -> Option<OwnedFd> {
    #[cfg(target_os = "linux")]
    return rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok();
    #[cfg(not(target_os = "linux"))]
    return None;
}
