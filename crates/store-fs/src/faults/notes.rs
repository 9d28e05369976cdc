//! The records of a follower, on a disk that fails and loses power.

use std::{io, path::Path, sync::Arc};

use core_model::{
    ConversationId, Seq, StoreError,
    port::{Cursor, FollowerChange},
};
use proptest::prelude::*;
use uuid::Uuid;

use super::{
    disk::{Machine, SimDisk},
    plan::{Op, Plan, any_op},
    sequences::config,
    world::{DELIVERIES, ROOT, key_of, open},
};
use crate::{FsStore, deliveries::NoteFiles, disk::Disk};

const FOLLOWER: &str = "a-follower";

#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    Sync,
    Replace(usize),
    /// Bytes that files may still grow by.
    Space(usize),
    Fails {
        op: Op,
        after: u32,
    },
    DieAfter(u64),
    LiftFaults,
    Kill,
    CutPower,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (1..6_usize).prop_map(Step::Append),
        6 => Just(Step::Sync),
        2 => (0..4_usize).prop_map(Step::Replace),
        1 => (0..800_usize).prop_map(Step::Space),
        3 => (any_op(), 0..3_u32).prop_map(|(op, after)| Step::Fails { op, after }),
        2 => (0..12_u64).prop_map(Step::DieAfter),
        3 => Just(Step::LiftFaults),
        2 => Just(Step::Kill),
        4 => Just(Step::CutPower),
    ]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_was_synced_is_there_and_of_the_rest_only_some_in_its_order(
        seed in any::<u64>(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut desk = Desk::new(seed);
        for step in &steps {
            desk.take(step);
        }
        desk.lift_faults();
        desk.sync();
        desk.machine.cut_power_and_drop_all();
        desk.reopen();
        desk.found();
    }
}

struct Desk {
    machine: Machine,
    disk: Arc<SimDisk>,
    store: FsStore,
    /// What the file may hold: one, or another that it was tried to put in its place.
    may_be: Vec<Written>,
    made: u64,
}

#[derive(Clone, Default, Debug)]
struct Written {
    /// There whatever happens.
    synced: Vec<FollowerChange>,
    /// Written after those; whether each is sure to be there until power is lost.
    rest: Vec<(FollowerChange, bool)>,
}

impl Desk {
    fn new(seed: u64) -> Self {
        let machine = Machine::new(seed, &[Path::new(ROOT)]);
        let disk = machine.boot();
        Self {
            store: open_keeping(&disk).unwrap(),
            disk,
            machine,
            may_be: vec![Written::default()],
            made: 0,
        }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Append(count) => self.append(count),
            Step::Sync => self.sync(),
            Step::Replace(count) => self.replace(count),
            Step::Space(bytes) => self.machine.plan(|plan| plan.space = Some(bytes)),
            Step::Fails { op, after } => self.machine.plan(|plan| plan.fail(op, after, 1)),
            Step::DieAfter(changes) => self.machine.plan(|plan| plan.die_after(changes)),
            Step::LiftFaults => self.lift_faults(),
            Step::Kill => {
                self.reopen();
                self.found();
            }
            Step::CutPower => {
                self.doubt_unsynced();
                self.machine.cut_power();
                self.reopen();
                self.settle();
            }
        }
    }

    fn append(&mut self, count: usize) {
        let notes = self.notes(count);
        let done = self.ask(|files| files.append(FOLLOWER, &notes));
        for written in &mut self.may_be {
            let notes = notes.iter().cloned();
            written.rest.extend(notes.map(|note| (note, done)));
        }
    }

    fn sync(&mut self) {
        if self.ask(|files| files.sync(FOLLOWER, |_| true)) {
            self.settle()
        } else {
            self.doubt_unsynced()
        }
    }

    fn replace(&mut self, count: usize) {
        let notes = self.notes(count);
        if self.ask(|files| files.replace(FOLLOWER, &notes)) {
            self.may_be.clear();
        }
        self.may_be.push(Written {
            synced: notes,
            rest: Vec::new(),
        });
    }

    /// Whether it was done.
    fn ask(&self, work: impl FnOnce(&NoteFiles) -> Result<(), StoreError>) -> bool {
        let can_fail = self.machine.can_fail(&self.disk);
        let done = work(&self.store.0.deliveries.get().unwrap().notes);
        assert!(done.is_ok() || can_fail, "{done:?}");
        // To one that was killed it may seem that there was nothing to do.
        let alive = self.disk.names(Path::new("/")).is_ok();
        done.is_ok() && alive
    }

    /// What is there is durable: it stays from now on.
    fn settle(&mut self) {
        self.may_be = vec![Written {
            synced: self.found(),
            rest: Vec::new(),
        }];
    }

    /// What is there, which is something that may be.
    fn found(&self) -> Vec<FollowerChange> {
        let deliveries = self.store.0.deliveries.get().unwrap();
        let found = deliveries.notes.read(FOLLOWER).unwrap();
        let fits = self.may_be.iter().any(|written| written.fits(&found));
        assert!(fits, "{found:#?}\nexpected: {:#?}", self.may_be);
        found
    }

    fn doubt_unsynced(&mut self) {
        for written in &mut self.may_be {
            written.rest.iter_mut().for_each(|(_, sure)| *sure = false);
        }
    }

    fn lift_faults(&mut self) {
        self.machine.plan(|plan| *plan = Plan::default());
        if self.machine.can_fail(&self.disk) {
            self.reopen();
        }
    }

    fn reopen(&mut self) {
        self.disk = self.machine.boot();
        let opened = open_keeping(&self.disk);
        self.store = opened.unwrap_or_else(|_| {
            self.machine.plan(|plan| *plan = Plan::default());
            self.disk = self.machine.boot();
            open_keeping(&self.disk).unwrap()
        });
    }

    fn notes(&mut self, count: usize) -> Vec<FollowerChange> {
        let notes = (0..count).map(|_| {
            self.made += 1;
            FollowerChange::Cursor {
                conversation: key_of(ConversationId(Uuid::from_u128(7))),
                cursor: Cursor {
                    next: Seq(self.made),
                    rewound: None,
                },
            }
        });
        notes.collect()
    }
}

impl Written {
    fn fits(&self, found: &[FollowerChange]) -> bool {
        let Some(found) = found.strip_prefix(self.synced.as_slice()) else {
            return false;
        };
        let mut found = found.iter().peekable();
        for (note, sure) in &self.rest {
            if found.peek() == Some(&note) {
                found.next();
            } else if *sure {
                return false;
            }
        }
        found.next().is_none()
    }
}

fn open_keeping(disk: &Arc<SimDisk>) -> io::Result<FsStore> {
    let store = open(disk)?;
    store.keep_deliveries_in(Path::new(DELIVERIES))?;
    Ok(store)
}
