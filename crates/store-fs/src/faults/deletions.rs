//! A conversation that is deleted while an outbox is kept, with a kill at any change and power cuts.

use std::time::Duration;

use core_model::{
    Feed, Seq, UtcTime,
    port::{Change, FeedEntry},
};
use proptest::prelude::*;

use super::{
    plan::Op,
    sequences::config,
    world::{Presence, World, key_of},
};
use crate::check;

#[derive(Clone, Copy, Debug)]
enum End {
    Kill,
    CutPower,
    DropAll,
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn it_is_there_or_waits_and_the_feed_tells_of_all_its_events_and_its_end(
        seed in any::<u64>(),
        events in 0..5_usize,
        (noted, open, split) in any::<(bool, bool, bool)>(),
        dies_after in 0..40_u64,
        end in prop::sample::select(vec![End::Kill, End::CutPower, End::DropAll]),
    ) {
        let mut world = World::with_outbox(seed);
        if split {
            world.machine.split();
        }
        let id = world.create().unwrap();
        world.append(id, 1, true);
        if noted {
            world.note(id);
        }
        if events > 0 {
            world.append(id, events, true);
        }
        if !open {
            world.close_logs();
        }
        world.machine.plan(|plan| plan.die_after(dies_after));
        world.delete(id);
        match end {
            End::Kill => {}
            End::CutPower => world.machine.cut_power(),
            End::DropAll => world.machine.cut_power_and_drop_all(),
        }
        world.reopen(false);
        world.check();
        let outbox = &world.store.0.deliveries.get().unwrap().outbox;
        let waits = outbox.list().unwrap();
        if world.expected[&id].presence == Presence::There {
            prop_assert_eq!(waits, []);
            return Ok(());
        }
        prop_assert_eq!(waits[0].conversation, key_of(id));
        let told = told(&world);
        let created_at = key_of(id).created_at;
        prop_assert!(told.iter().all(|entry| entry.created_at == created_at));
        let mut len = Seq(0);
        for entry in &told {
            if let Change::Appended { from, to } = entry.change {
                prop_assert_eq!(from, len);
                len = to;
            }
        }
        prop_assert_eq!(len, Seq(1 + events as u64));
        let ends: Vec<_> = told.iter().filter(|entry| entry.change == Change::Deleted).collect();
        prop_assert_eq!(ends, [told.last().unwrap()]);
    }
}

#[test]
fn the_end_of_one_is_told_although_another_took_its_id_before_a_power_cut() {
    for fails in [false, true] {
        let mut world = World::with_outbox(0);
        let id = world.create().unwrap();
        let mut metadata = world.store.0.metadata(id).unwrap();
        if fails {
            // The outbox is synced once before, and fails once after it has the conversation.
            world.machine.plan(|plan| plan.fail(Op::SyncDir, 1, 1));
        }
        assert_eq!(
            world
                .store
                .0
                .delete(id, &crate::deletion::Deletion::default())
                .is_err(),
            fails
        );
        metadata.created_at = UtcTime(metadata.created_at.0 + Duration::from_secs(1));
        world.store.0.create(&metadata).unwrap();
        world.machine.cut_power_and_drop_all();
        world.reopen(false);
        check::check(&world.store.0).unwrap();
        let told: Vec<_> = told(&world)
            .into_iter()
            .map(|entry| (entry.created_at, entry.change))
            .collect();
        let (first, second) = (key_of(id).created_at, metadata.created_at);
        let expected = [
            (first, Change::Created),
            (first, Change::Deleted),
            (second, Change::Created),
        ];
        assert_eq!(told, expected);
        let (_, log) = world.store.0.open_deleted(key_of(id)).unwrap();
        assert_eq!(log.0.extent().len, Seq(0));
    }
}

fn told(world: &World) -> Vec<FeedEntry> {
    world.runtime.block_on(async {
        let len = world.store.feed_len().await.unwrap();
        world.store.feed_entries(0, len as usize).await.unwrap()
    })
}
