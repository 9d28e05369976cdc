//! Processes that lost their session's leader: it was killed or has exited, and the server became the
//! parent of what had left the session.

use std::{collections::BTreeSet, fs, time::Duration};

use rustix::process::{Pid, WaitOptions, getpid, waitpid};
use tokio::signal::unix::{SignalKind, signal};

use super::{
    owner::Owner,
    registry::{Adoption, Processes},
    table::{self, Entry},
    tree::{TAG_VARIABLE, kill_until_none},
};

/// Children that end within this time of the first are handled together.
const GATHER_TIME: Duration = Duration::from_millis(20);

impl Processes {
    /// From now on this process becomes the parent of what its sessions leave behind, and ends it. For
    /// programs that start all their processes through this value; call it before the first.
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
        self.set_adoption(adoption);
        Ok(())
    }

    /// Ends orphans as they appear. Runs until it is dropped.
    ///
    /// # Errors
    /// When the system does not report the end of children.
    pub async fn watch_orphans(self) -> std::io::Result<()> {
        let mut ended = signal(SignalKind::child())?;
        while ended.recv().await.is_some() {
            tokio::time::sleep(GATHER_TIME).await;
            let processes = self.clone();
            // a panic in one round must not end the watch
            tokio::task::spawn_blocking(move || processes.end_orphans())
                .await
                .ok();
        }
        Ok(())
    }

    /// Ends what is left of all sessions at once: for the end of a server that does not wait. Blocks.
    pub fn end_all(&self) {
        self.kill_sessions();
        self.end_orphans();
    }

    /// Kills what was adopted and belongs to no session that is still known, and reaps what has ended.
    /// Does nothing in a program that does not adopt.
    pub(super) fn end_orphans(&self) {
        let Some(adoption) = self.adoption() else {
            return;
        };
        let killed = kill_until_none(|| {
            let found = self.orphans(adoption);
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

    /// Adopted processes that belong to no session, with what the living among them started.
    fn orphans(&self, adoption: Adoption) -> Vec<Entry> {
        // no session may be added between the two looks
        let sessions = self.sessions();
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
                    && !sessions.contains_key(&process.pid)
                    && (process.is_zombie
                        || !sessions.values().any(|tree| tree.has(process))
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

    /// Whether its tag says so.
    fn has_started(&self, process: &Entry) -> bool {
        table::variable(process.pid, TAG_VARIABLE)
            .and_then(|tag| Owner::of_tag(&tag))
            .is_some_and(|owner| owner == self.owner())
    }
}
