//! What an earlier server over the same folder left when it was killed.

use std::collections::BTreeSet;

use super::{
    control_group::{self, ControlGroup},
    owner::Owner,
    registry::Processes,
    table::{self, Entry},
    tree::{TAG_VARIABLE, kill_until_none},
};

impl Processes {
    /// Ends what earlier servers over the owned folder left. Call it while this server has the folder's
    /// lock: without it another server may be the living owner. Blocks, some milliseconds: it looks at all
    /// processes.
    pub fn end_leftovers(&self) {
        let owner = self.owner();
        let is_left = |tag: &str| Owner::of_tag(tag).is_some_and(|it| owner.is_successor_of(it));
        let (left_groups, others): (Vec<_>, Vec<_>) = control_group::of_sessions()
            .into_iter()
            .partition(|(tag, _)| is_left(tag));
        let groups: Vec<ControlGroup> = left_groups.into_iter().map(|(_, group)| group).collect();
        for (tag, group) in others {
            // its server's folder may never be served again
            if Owner::of_tag(&tag).is_some_and(Owner::is_gone) {
                group.remove_if_empty();
            }
        }
        let mut ended = BTreeSet::new();
        let all_ended = kill_until_none(|| {
            let left = left(&groups, is_left);
            ended.extend(left.iter().map(|process| process.pid));
            for group in &groups {
                group.kill_members();
            }
            left
        });
        for group in &groups {
            group.remove();
        }
        if !ended.is_empty() {
            let count = ended.len();
            tracing::info!("ended {count} processes that an earlier server left: {ended:?}");
        }
        if !all_ended {
            tracing::warn!("processes that an earlier server left cannot be killed");
        }
    }
}

fn left(groups: &[ControlGroup], is_left: impl Fn(&str) -> bool) -> Vec<Entry> {
    let mut table = table::others();
    table.retain(|process| !process.is_zombie);
    let in_group: BTreeSet<i32> = groups.iter().flat_map(ControlGroup::members).collect();
    let mut found: BTreeSet<i32> = table
        .iter()
        .filter(|process| {
            in_group.contains(&process.pid)
                || table::variable(process.pid, TAG_VARIABLE).is_some_and(|tag| is_left(&tag))
        })
        .map(|process| process.pid)
        .collect();
    table::add_descendants(&table, &mut found);
    table.retain(|process| found.contains(&process.pid));
    table
}
