//! What goes wrong, and chance.

use std::collections::HashMap;

use proptest::prelude::*;

/// What can be told to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    Write,
    SetLen,
    Sync,
    Create,
    Rename,
    Remove,
    SyncDir,
}

/// What goes wrong from now on.
#[derive(Default)]
pub(crate) struct Plan {
    /// Bytes that files may still grow by.
    pub(crate) space: Option<usize>,
    pub(crate) read_only: bool,
    /// Writes take only some of the bytes.
    pub(crate) short_writes: bool,
    failures: HashMap<Op, Failure>,
    /// Changes until the process is killed.
    dies_in: Option<u64>,
}

struct Failure {
    after: u32,
    times: u32,
}

impl Plan {
    /// Lets an operation fail with `EIO`: so many times, after so many that work.
    pub(crate) fn fail(&mut self, op: Op, after: u32, times: u32) {
        self.failures.insert(op, Failure { after, times });
    }

    /// Kills the process in the middle of a change, after so many others.
    pub(crate) fn die_after(&mut self, changes: u64) {
        self.dies_in = Some(changes);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.space.is_none()
            && !self.read_only
            && self.failures.is_empty()
            && self.dies_in.is_none()
    }

    /// Whether the process is killed at this very change.
    pub(crate) fn dies_next(&self) -> bool {
        self.dies_in == Some(0)
    }

    pub(super) fn dies(&mut self) -> bool {
        let dies = self.dies_next();
        self.dies_in = match self.dies_in {
            Some(0) | None => None,
            Some(left) => Some(left - 1),
        };
        dies
    }

    pub(super) fn fails(&mut self, op: Op) -> bool {
        let Some(failure) = self.failures.get_mut(&op) else {
            return false;
        };
        if failure.after > 0 {
            failure.after -= 1;
            return false;
        }
        failure.times -= 1;
        if failure.times == 0 {
            self.failures.remove(&op);
        }
        true
    }
}

/// Numbers that look like chance and are the same for the same seed (SplitMix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % bound.max(1) as u64) as usize
    }

    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

/// One that may fail; syncs more often than others.
pub(super) fn any_op() -> impl Strategy<Value = Op> {
    prop::sample::select(vec![
        Op::Write,
        Op::SetLen,
        Op::Sync,
        Op::Sync,
        Op::Create,
        Op::Rename,
        Op::Remove,
        Op::SyncDir,
    ])
}
