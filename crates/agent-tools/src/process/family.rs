use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    thread::sleep,
    time::{Duration, Instant},
};

use super::{
    control_group::ControlGroup,
    signal::{OwnProcess, Signal, send, send_to_all},
    table::{self, Entry},
};

/// Names the shell in the environment of all it starts.
pub(super) const TAG_VARIABLE: &str = "AGENT_TERMINAL_ID";

/// How long killing may take; a process that the kernel does not let go is left after that.
const KILL_LIMIT: Duration = Duration::from_secs(2);
/// Between looks, for the killed to be gone.
const KILL_PAUSE: Duration = Duration::from_millis(1);

/// A shell and all that it started: what is in its session, what has its tag, what is in its control
/// group, and what any of these started. The shell adopts what loses its parent, so that this finds
/// daemons too.
///
/// The shell must not be reaped while this is in use: as long as it is not, its id, which is its
/// session's too, is no other's.
#[derive(Debug)]
pub(crate) struct Family {
    shell: i32,
    /// When the shell started; what is older is not of it.
    started: u64,
    tag: String,
    group: Option<ControlGroup>,
    /// What was found before and still lives, with the time of its start: once the shell is gone, a
    /// daemon may have nothing more that tells whose it is.
    known: Mutex<BTreeMap<i32, u64>>,
}

impl Family {
    pub(super) fn new(shell: i32, tag: String, group: Option<ControlGroup>) -> Self {
        Self {
            shell,
            started: table::entry(shell).map_or(u64::MAX, |shell| shell.started),
            tag,
            group,
            known: Mutex::default(),
        }
    }

    /// Asks all of it to end.
    pub(crate) fn hang_up(&self) {
        let members = self.members();
        send_to_all(&members, Signal::HUP);
        // a stopped process takes the hangup only once it goes on
        send_to_all(&members, Signal::CONT);
    }

    /// Sends `signal` to those of a process group that are in the shell's session, and says to how
    /// many.
    pub(crate) fn signal_group(&self, group: i32, signal: Signal) -> usize {
        let mut members = self.members();
        members.retain(|process| process.group == group && process.session == self.shell);
        send_to_all(&members, signal)
    }

    /// Kills all of it, the shell last.
    pub(crate) fn kill_all(&self) {
        // it would start the next command of its list, and adopts what the others leave
        self.signal_shell(Signal::STOP);
        let others = || {
            let mut members = self.members();
            members.retain(|process| process.pid != self.shell);
            members
        };
        send_to_all(&others(), Signal::KILL);
        if !self.group.as_ref().is_some_and(ControlGroup::kill_members) {
            kill_until_none(others);
        }
        self.signal_shell(Signal::KILL);
        if !kill_until_none(|| self.members()) {
            tracing::warn!(shell = self.shell, "processes of a shell cannot be killed");
        }
        if let Some(group) = &self.group {
            group.remove();
        }
    }

    /// The ids of all that live, but for the shell itself.
    pub(crate) fn started_by_shell(&self) -> Vec<i32> {
        let members = self.members();
        let ids = members.iter().map(|process| process.pid);
        ids.filter(|id| *id != self.shell).collect()
    }

    /// Whether that process is known to be of this shell, also once its parents are gone.
    pub(super) fn has(&self, process: &Entry) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        process.session == self.shell
            || known.get(&process.pid) == Some(&process.started)
            || self.in_group().contains(&process.pid)
            || self.is_tagged(process)
    }

    /// The living processes, the shell among them.
    fn members(&self) -> Vec<Entry> {
        let mut table = table::others();
        table.retain(|process| process.started >= self.started && !process.is_zombie);
        let in_group = self.in_group();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_member = |process: &Entry| {
            process.session == self.shell
                || in_group.contains(&process.pid)
                || known.get(&process.pid) == Some(&process.started)
        };
        let mut found: BTreeSet<i32> = table
            .iter()
            .filter(|process| is_member(process))
            .map(|process| process.pid)
            .collect();
        found.insert(self.shell);
        table::add_descendants(&table, &mut found);
        let tagged: Vec<i32> = table
            .iter()
            .filter(|process| !found.contains(&process.pid) && self.is_tagged(process))
            .map(|process| process.pid)
            .collect();
        found.extend(tagged);
        table::add_descendants(&table, &mut found);
        table.retain(|process| found.contains(&process.pid));
        *known = table.iter().map(|it| (it.pid, it.started)).collect();
        table
    }

    fn in_group(&self) -> Vec<i32> {
        self.group
            .as_ref()
            .map(ControlGroup::members)
            .unwrap_or_default()
    }

    fn is_tagged(&self, process: &Entry) -> bool {
        table::variable(process.pid, TAG_VARIABLE).is_some_and(|tag| tag == self.tag)
    }

    fn signal_shell(&self, signal: Signal) {
        let shell = table::entry(self.shell).filter(|shell| shell.started == self.started);
        if let Some(shell) = shell.as_ref().and_then(OwnProcess::seen) {
            // it runs as this user
            send(&shell, signal).ok();
        }
    }
}

/// Kills what `find` finds until it finds nothing; false when that takes too long.
pub(super) fn kill_until_none(mut find: impl FnMut() -> Vec<Entry>) -> bool {
    let begin = Instant::now();
    loop {
        let found = find();
        if found.is_empty() {
            return true;
        }
        if begin.elapsed() > KILL_LIMIT {
            return false;
        }
        send_to_all(&found, Signal::KILL);
        sleep(KILL_PAUSE);
    }
}
