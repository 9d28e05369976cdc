//! A conversation that is made with the log of another one, with a kill or a failure at any change, and power cuts.

use std::path::Path;

use core_model::{
    Catalog, ConversationId, ConversationState, ExecutionStatus, Extent, Metadata, NewRecord, Seq,
    Snapshot, StoreError, Summary, UtcTime, port::Prefix,
};
use proptest::prelude::*;
use uuid::Uuid;

use super::{
    plan::{Op, Plan},
    sequences::config,
    world::{ROOT, World, key_of, record},
};
use crate::{
    check,
    disk::{Disk, read_all},
    layout,
};

#[derive(Clone, Copy, Debug)]
enum End {
    Nothing,
    CutPower,
    DropAll,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Kill(u64),
    Fails(Op, u32),
    NoSpace(usize),
    None,
}

fn fault() -> impl Strategy<Value = Fault> {
    let op = prop::sample::select(vec![
        Op::Write,
        Op::Sync,
        Op::Create,
        Op::Rename,
        Op::SyncDir,
    ]);
    prop_oneof![
        4 => (0..40_u64).prop_map(Fault::Kill),
        3 => (op, 0..6_u32).prop_map(|(op, after)| Fault::Fails(op, after)),
        1 => (0..4_000_usize).prop_map(Fault::NoSpace),
        1 => Just(Fault::None),
    ]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn it_is_there_as_a_whole_or_not_at_all(
        seed in any::<u64>(),
        fault in fault(),
        end in prop::sample::select(vec![End::Nothing, End::CutPower, End::DropAll]),
        clean in any::<bool>(),
    ) {
        let mut world = World::new(seed);
        let original = world.create().unwrap();
        world.append(original, 3, true);
        let log = world.store.open_log_blocking(original).unwrap();
        let extent = log.0.extent();
        drop(log);
        let path = layout::folder(Path::new(ROOT), original).join(layout::EVENTS);
        let mut expected = read_all(world.disk.as_ref(), &path).unwrap();
        let more = [record(900), record(901)];
        for one in &more {
            expected.extend_from_slice(&one.bytes);
            expected.push(b'\n');
        }
        if clean {
            world.reopen(true);
        }
        let copy = ConversationId(Uuid::from_u128(77));
        world.machine.plan(|plan| match fault {
            Fault::Kill(after) => plan.die_after(after),
            Fault::Fails(op, after) => plan.fail(op, after, 1),
            Fault::NoSpace(bytes) => plan.space = Some(bytes),
            Fault::None => {}
        });
        let made = make(&world, original, extent.into(), copy, &more);
        if matches!(fault, Fault::None) {
            prop_assert!(made.is_ok(), "{made:?}");
        }
        let died = world.is_dead();
        // Not when it is opened again.
        world.machine.plan(|plan| *plan = Plan::default());
        if made.is_err() && !died {
            // What failed can be made again, unless it could not be taken back; then it is whole.
            let again = make(&world, original, extent.into(), copy, &more);
            prop_assert!(matches!(again, Ok(()) | Err(StoreError::Exists(_))), "{again:?}");
        }
        let certain = made.is_ok() || !died;
        match end {
            End::Nothing => {}
            End::CutPower => world.machine.cut_power(),
            End::DropAll => world.machine.cut_power_and_drop_all(),
        }
        world.reopen(false);
        check::check(&world.store.0).unwrap();
        for name in world.disk.names(Path::new(ROOT)).unwrap() {
            let name = name.to_string_lossy().into_owned();
            prop_assert!(!name.starts_with(".tmp-") && !name.starts_with(".deleted-"), "{name}");
        }
        let path = layout::folder(Path::new(ROOT), copy).join(layout::EVENTS);
        match world.store.open_log_blocking(copy) {
            Ok(log) => {
                prop_assert_eq!(log.len(), Seq(5));
                let read = read_all(world.disk.as_ref(), &path).unwrap();
                prop_assert_eq!(read, expected);
                let row = world.store.0.context.catalog.row(copy).unwrap();
                prop_assert_eq!(row.bytes, log.0.extent().bytes);
                prop_assert_eq!(world.store.0.metadata(copy).unwrap().id, copy);
            }
            Err(StoreError::NotFound(_)) => {
                prop_assert!(!certain, "it was acknowledged and is gone");
                prop_assert_eq!(world.store.0.context.catalog.row(copy), None);
            }
            Err(error) => prop_assert!(false, "{error}"),
        }
        let original = world.store.open_log_blocking(original).unwrap();
        prop_assert_eq!(original.0.extent(), extent);
    }
}

/// Makes a copy of the first events, with more of its own.
fn make(
    world: &World,
    original: ConversationId,
    extent: Extent,
    copy: ConversationId,
    more: &[NewRecord],
) -> Result<(), StoreError> {
    let mut metadata = Metadata {
        id: copy,
        ..world.store.0.metadata(original)?
    };
    let of = key_of(original);
    let summary = Summary {
        status: ExecutionStatus::Idle,
        updated_at: UtcTime::now(),
    };
    world.runtime.block_on(async {
        let mut staged = world.store.stage(copy, Some(Prefix { of, extent })).await?;
        for one in more {
            staged.append(vec![one.clone()]).await?;
        }
        // As every copy has it: lists after a crash are made of it.
        metadata.snapshot = Some(Snapshot {
            extent: staged.extent(),
            state: ConversationState::new(&metadata),
        });
        staged.publish(&metadata, summary).await
    })
}
