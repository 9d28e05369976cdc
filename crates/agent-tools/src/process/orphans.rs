//! Processes that lost their shell: it was killed or has exited, and what had left its session came to
//! the server.

use std::{collections::BTreeSet, fs, time::Duration};

use rustix::process::{Pid, WaitOptions, getpid, waitpid};
use tokio::signal::unix::{SignalKind, signal};

use super::{
    ToolProcesses,
    family::{TAG_VARIABLE, kill_until_none},
    owner::Owner,
    table::{self, Entry},
};

/// When one child ends, others mostly follow.
const TOGETHER: Duration = Duration::from_millis(20);

/// How this process came to adopt orphans.
#[derive(Clone, Copy, Debug)]
pub(super) struct Adoption {
    /// Whether all that is adopted was started from here: the first process of a container gets the
    /// orphans of others as well, and so does one that had children before it became a server.
    all_are_ours: bool,
}

impl ToolProcesses {
    /// From now on this process becomes the parent of what its shells leave behind, and ends it. For
    /// programs that start other processes only as tools do; call it before the first.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn adopt_orphans(&self) -> std::io::Result<()> {
        #[cfg(target_os = "linux")]
        nix::sys::prctl::set_child_subreaper(true)?;
        let childless = fs::read_to_string("/proc/thread-self/children")
            .is_ok_and(|children| children.trim().is_empty());
        let adoption = Adoption {
            all_are_ours: !getpid().is_init() && childless,
        };
        self.0.adoption.get_or_init(|| adoption);
        Ok(())
    }

    /// Ends orphans as they come.
    ///
    /// # Errors
    /// When the system does not say that children end.
    pub async fn watch_orphans(self) -> std::io::Result<()> {
        let mut ended = signal(SignalKind::child())?;
        while ended.recv().await.is_some() {
            tokio::time::sleep(TOGETHER).await;
            let processes = self.clone();
            // one that panics is no reason to look no more
            tokio::task::spawn_blocking(move || processes.end_orphans())
                .await
                .ok();
        }
        Ok(())
    }

    /// Kills what came here and belongs to no shell that is still known, and reaps what has ended. Does
    /// nothing in a program that does not adopt.
    pub(super) fn end_orphans(&self) {
        let Some(adoption) = self.0.adoption.get() else {
            return;
        };
        let killed = kill_until_none(|| {
            let found = self.orphans(*adoption);
            let (ended, living): (Vec<_>, Vec<_>) =
                found.into_iter().partition(|orphan| orphan.is_zombie);
            for orphan in ended {
                if let Some(pid) = Pid::from_raw(orphan.pid) {
                    // nobody else waits for it, and it has ended
                    waitpid(Some(pid), WaitOptions::NOHANG).ok();
                }
            }
            living
        });
        if !killed {
            tracing::warn!("processes that lost their shell cannot be killed");
        }
    }

    /// Adopted processes that no shell has, with what the living among them started.
    fn orphans(&self, adoption: Adoption) -> Vec<Entry> {
        // no shell may be added between the two looks
        let shells = self.shells();
        let mut table = table::others();
        let own = getpid().as_raw_pid();
        let Some(own_session) = table::entry(own).map(|own| own.session) else {
            return Vec::new();
        };
        let mut found: BTreeSet<i32> = table
            .iter()
            .filter(|process| {
                process.parent == own
                    && process.session != own_session
                    && !shells.contains_key(&process.pid)
                    && (process.is_zombie
                        || !shells.values().any(|shell| shell.has(process))
                            && (adoption.all_are_ours || self.has_started(process)))
            })
            .map(|process| process.pid)
            .collect();
        table::add_descendants(&table, &mut found);
        table.retain(|process| {
            found.contains(&process.pid) && (!process.is_zombie || process.parent == own)
        });
        table
    }

    /// Whether its mark says so.
    fn has_started(&self, process: &Entry) -> bool {
        table::variable(process.pid, TAG_VARIABLE)
            .and_then(|tag| Owner::of_tag(&tag))
            .is_some_and(|owner| owner == self.owner())
    }
}
