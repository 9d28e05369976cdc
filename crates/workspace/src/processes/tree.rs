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

/// The variable that names the session in the environment of all that it starts.
pub(super) const TAG_VARIABLE: &str = "AGENT_TERMINAL_ID";

/// How long killing may take; a process that the kernel does not end is left after that.
const KILL_LIMIT: Duration = Duration::from_secs(2);
/// Between looks whether the killed are gone.
const KILL_PAUSE: Duration = Duration::from_millis(1);

/// The leader of a session and all that it started: what is in the session, what has its tag, what is in
/// its control group, and what any of these started. The leader adopts what loses its parent, so that
/// this finds daemons too.
///
/// The leader must not be reaped while this is in use: until it is, its id, which is the session's too,
/// is given to no other process.
#[derive(Debug)]
pub(crate) struct ProcessTree {
    leader: i32,
    /// When the leader started; what is older is not of its tree.
    started: u64,
    tag: String,
    group: Option<ControlGroup>,
    /// What was found before and still lives, with the time of its start: once the leader is gone,
    /// nothing else may tell whose a daemon is.
    known: Mutex<BTreeMap<i32, u64>>,
}

impl ProcessTree {
    pub(super) fn new(leader: i32, tag: String, group: Option<ControlGroup>) -> Self {
        Self {
            leader,
            started: table::entry(leader).map_or(u64::MAX, |leader| leader.started),
            tag,
            group,
            known: Mutex::default(),
        }
    }

    /// Asks all of them to end.
    pub(crate) fn hang_up(&self) {
        let members = self.members();
        send_to_all(&members, Signal::HUP);
        // a stopped process handles the hangup only once it continues
        send_to_all(&members, Signal::CONT);
    }

    /// Sends `signal` to those of a process group that are in the session. Returns to how many.
    pub(crate) fn signal_group(&self, group: i32, signal: Signal) -> usize {
        let mut members = self.members();
        members.retain(|process| process.group == group && process.session == self.leader);
        send_to_all(&members, signal)
    }

    /// Kills all of them, the leader last.
    pub(crate) fn kill_all(&self) {
        // a shell would start the next command of its list; it also adopts what the others leave
        self.signal_leader(Signal::STOP);
        let others = || {
            let mut members = self.members();
            members.retain(|process| process.pid != self.leader);
            members
        };
        send_to_all(&others(), Signal::KILL);
        if !self.group.as_ref().is_some_and(ControlGroup::kill_members) {
            kill_until_none(others);
        }
        self.signal_leader(Signal::KILL);
        if !kill_until_none(|| self.members()) {
            tracing::warn!(shell = self.leader, "processes of a shell cannot be killed");
        }
        if let Some(group) = &self.group {
            group.remove();
        }
    }

    /// The ids of all that live, without the leader.
    pub(crate) fn descendants(&self) -> Vec<i32> {
        let members = self.members();
        let ids = members.iter().map(|process| process.pid);
        ids.filter(|id| *id != self.leader).collect()
    }

    /// Whether that process is known to be of this tree, also once its parents are gone.
    pub(super) fn has(&self, process: &Entry) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        process.session == self.leader
            || known.get(&process.pid) == Some(&process.started)
            || self.in_group().contains(&process.pid)
            || self.is_tagged(process)
    }

    /// The living processes, with the leader.
    fn members(&self) -> Vec<Entry> {
        let mut table = table::others();
        table.retain(|process| process.started >= self.started && !process.is_zombie);
        let in_group = self.in_group();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_member = |process: &Entry| {
            process.session == self.leader
                || in_group.contains(&process.pid)
                || known.get(&process.pid) == Some(&process.started)
        };
        let mut found: BTreeSet<i32> = table
            .iter()
            .filter(|process| is_member(process))
            .map(|process| process.pid)
            .collect();
        found.insert(self.leader);
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

    fn signal_leader(&self, signal: Signal) {
        let leader = table::entry(self.leader).filter(|leader| leader.started == self.started);
        if let Some(leader) = leader.as_ref().and_then(OwnProcess::seen) {
            // it runs as this user
            send(&leader, signal).ok();
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
