//! What `/proc` says of processes. Where there is no `/proc`, no processes are found.

use std::{collections::BTreeSet, fs, str::FromStr};

use rustix::process::getpgrp;

/// A process, when it was looked at. The id and the time of its start together identify it: ids are used
/// again, but not within the same hundredth of a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) pid: i32,
    pub(super) parent: i32,
    pub(super) group: i32,
    pub(super) session: i32,
    /// In ticks after the machine's start.
    pub(super) started: u64,
    /// It has ended, and its parent does not know yet.
    pub(super) is_zombie: bool,
}

/// The process with that id, if there is one.
pub(super) fn entry(pid: i32) -> Option<Entry> {
    // a process's name need not be UTF-8
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    parse(pid, &String::from_utf8_lossy(&stat))
}

/// All processes that can be seen, without this one and the others in its process group: what
/// conversations start is never in that group.
pub(super) fn others() -> Vec<Entry> {
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let own_group = getpgrp().as_raw_pid();
    processes
        .filter_map(|process| entry(process.ok()?.file_name().to_str()?.parse().ok()?))
        .filter(|process| process.group != own_group)
        .collect()
}

/// The value of a variable in the environment that a process was started with.
pub(super) fn variable(pid: i32, name: &str) -> Option<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    environment.split(|byte| *byte == 0).find_map(|variable| {
        let value = variable.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        Some(String::from_utf8_lossy(value).into_owned())
    })
}

/// Adds to `found` the descendants of those in it.
pub(super) fn add_descendants(table: &[Entry], found: &mut BTreeSet<i32>) {
    loop {
        let before = found.len();
        for process in table {
            if found.contains(&process.parent) {
                found.insert(process.pid);
            }
        }
        if found.len() == before {
            return;
        }
    }
}

/// See proc_pid_stat(5): the name may contain anything, also spaces and brackets.
fn parse(pid: i32, stat: &str) -> Option<Entry> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    Some(Entry {
        pid,
        parent: field(&fields, 1)?,
        group: field(&fields, 2)?,
        session: field(&fields, 3)?,
        started: field(&fields, 19)?,
        is_zombie: matches!(*fields.first()?, "Z" | "X" | "x"),
    })
}

fn field<T: FromStr>(fields: &[&str], index: usize) -> Option<T> {
    fields.get(index)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_confuse_the_fields() {
        let stat = "7 (a) b) (c) ) S 5 6 4 34817 6 4194304 1 2 3 4 5 6 7 8 20 0 1 0 4711 1 2\n";
        let entry = Entry {
            pid: 7,
            parent: 5,
            group: 6,
            session: 4,
            started: 4711,
            is_zombie: false,
        };
        assert_eq!(parse(7, stat), Some(entry));
        let zombie = parse(7, &stat.replace(" S 5", " Z 5")).unwrap();
        assert!(zombie.is_zombie);
        assert_eq!(parse(7, "7 (cut"), None);
    }

    #[test]
    fn the_table_has_others_and_not_this_process() {
        let own = i32::try_from(std::process::id()).unwrap();
        let found = entry(own).unwrap();
        assert_eq!(found.group, getpgrp().as_raw_pid());
        let others = others();
        assert!(others.iter().any(|process| process.pid == 1));
        assert!(!others.contains(&found));
    }
}
