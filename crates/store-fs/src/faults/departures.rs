//! A conversation that is deleted while an outbox is kept, with a kill at any change and power cuts.

use core_model::{Feed, Seq, port::Change};
use proptest::prelude::*;

use super::{
    sequences::config,
    world::{Presence, World, incarnation},
};

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
        let outbox = &world.store.0.cursors.get().unwrap().0.outbox;
        let waits = outbox.list().unwrap();
        if world.expected[&id].presence == Presence::There {
            prop_assert_eq!(waits, []);
            return Ok(());
        }
        prop_assert_eq!(waits[0].conversation, incarnation(id));
        let told = world.runtime.block_on(async {
            let len = world.store.feed_len().await;
            world.store.feed_entries(0, len as usize).await.unwrap()
        });
        let created_at = incarnation(id).created_at;
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
