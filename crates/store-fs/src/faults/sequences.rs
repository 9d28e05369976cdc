//! Any operations in any order, with any faults, kills and power cuts between and within them.

use proptest::prelude::*;

use super::{
    plan::{Op, any_op},
    world::World,
};

#[derive(Clone, Debug)]
enum Step {
    Create,
    Append {
        log: usize,
        events: usize,
        expect: bool,
    },
    AppendToWrongEnd {
        log: usize,
    },
    /// From so many threads, to one log each or to the same.
    AppendTogether {
        logs: Vec<usize>,
        batches: usize,
    },
    SetMetadata {
        log: usize,
    },
    Delete {
        log: usize,
    },
    Discard {
        log: usize,
    },
    Note {
        log: usize,
    },
    CloseLogs,
    Begin {
        keys: Vec<u8>,
    },
    Finish {
        key: u8,
    },
    Fault(Fault),
    LiftFaults,
    Reopen,
    Kill,
    CutPower,
}

#[derive(Clone, Debug)]
enum Fault {
    Space(usize),
    ReadOnly,
    ShortWrites,
    Fails { op: Op, after: u32, times: u32 },
    DieAfter(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let log = 0..4_usize;
    prop_oneof![
        3 => Just(Step::Create),
        10 => (log.clone(), 1..5_usize, any::<bool>())
            .prop_map(|(log, events, expect)| Step::Append { log, events, expect }),
        1 => log.clone().prop_map(|log| Step::AppendToWrongEnd { log }),
        4 => (prop::collection::vec(log.clone(), 1..4), 1..4_usize)
            .prop_map(|(logs, batches)| Step::AppendTogether { logs, batches }),
        2 => log.clone().prop_map(|log| Step::SetMetadata { log }),
        1 => log.clone().prop_map(|log| Step::Delete { log }),
        1 => log.clone().prop_map(|log| Step::Discard { log }),
        2 => log.clone().prop_map(|log| Step::Note { log }),
        1 => Just(Step::CloseLogs),
        2 => prop::collection::vec(0..6_u8, 1..3).prop_map(|keys| Step::Begin { keys }),
        2 => (0..6_u8).prop_map(|key| Step::Finish { key }),
        8 => fault().prop_map(Step::Fault),
        3 => Just(Step::LiftFaults),
        1 => Just(Step::Reopen),
        1 => Just(Step::Kill),
        3 => Just(Step::CutPower),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        2 => (0..3000_usize).prop_map(Fault::Space),
        1 => Just(Fault::ReadOnly),
        1 => Just(Fault::ShortWrites),
        4 => (any_op(), 0..4_u32, 1..4_u32)
            .prop_map(|(op, after, times)| Fault::Fails { op, after, times }),
        4 => (0..25_u64).prop_map(Fault::DieAfter),
    ]
}

/// Fewer than the default, because each case opens several stores.
pub(super) fn config() -> ProptestConfig {
    let mut config = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 96;
    }
    config.failure_persistence = None;
    config
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_was_acknowledged_is_there_after_whatever_happens(
        seed in any::<u64>(),
        steps in prop::collection::vec(step(), 1..40),
    ) {
        run(World::new(seed), &steps);
    }

    #[test]
    fn what_was_acknowledged_is_there_or_in_the_outbox_after_whatever_happens(
        seed in any::<u64>(),
        split in any::<bool>(),
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let world = World::with_outbox(seed);
        if split {
            world.machine.split();
        }
        run(world, &steps);
    }
}

fn run(mut world: World, steps: &[Step]) {
    world.create().unwrap();
    for (number, step) in steps.iter().enumerate() {
        take(&mut world, step, number as u64);
    }
    world.restore();
    world.reopen(true);
    world.check();
    world.machine.cut_power();
    world.reopen(false);
    world.check();
}

fn take(world: &mut World, step: &Step, number: u64) {
    match *step {
        Step::Create => drop(world.create()),
        Step::Append {
            log,
            events,
            expect,
        } => {
            let id = world.id(log).unwrap();
            world.append(id, events, expect);
        }
        Step::AppendToWrongEnd { log } => world.append_to_wrong_end(world.id(log).unwrap()),
        Step::AppendTogether { ref logs, batches } => {
            let ids: Vec<_> = logs.iter().map(|log| world.id(*log).unwrap()).collect();
            world.append_together(&ids, batches);
        }
        Step::SetMetadata { log } => world.set_metadata(world.id(log).unwrap()),
        Step::Delete { log } => world.delete(world.id(log).unwrap()),
        Step::Discard { log } => world.discard(world.id(log).unwrap()),
        Step::Note { log } => world.note(world.id(log).unwrap()),
        Step::CloseLogs => world.close_logs(),
        Step::Begin { ref keys } => {
            let can_fail = world.can_fail();
            world.requests.begin(&world.store.0, keys, can_fail);
        }
        Step::Finish { key } => {
            let can_fail = world.can_fail();
            world.requests.finish(&world.store.0, key, number, can_fail);
        }
        Step::Fault(ref fault) => world.machine.plan(|plan| match *fault {
            Fault::Space(bytes) => plan.space = Some(bytes),
            Fault::ReadOnly => plan.read_only = true,
            Fault::ShortWrites => plan.short_writes = true,
            Fault::Fails { op, after, times } => plan.fail(op, after, times),
            Fault::DieAfter(changes) => plan.die_after(changes),
        }),
        Step::LiftFaults => world.lift_faults(),
        Step::Reopen => {
            world.reopen(true);
            world.check();
        }
        Step::Kill => {
            world.reopen(false);
            world.check();
        }
        Step::CutPower => {
            world.machine.cut_power();
            world.reopen(false);
            world.check();
        }
    }
}
