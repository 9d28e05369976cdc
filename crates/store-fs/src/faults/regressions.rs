//! What went wrong once, each by its name.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use core_model::{Catalog, Metadata, NewRecord, Seq, StoreError, Workspace, WorkspaceKind};
use serde_json::json;

use super::{
    disk::Machine,
    plan::Op,
    world::{DELIVERIES, ROOT, World, record},
};
use crate::{
    AppendError, Durability, FsStore, Options,
    deletion::Deletion,
    disk::{Disk, Wait},
    flusher::{Unsynced, flush},
    layout,
};

#[test]
fn all_who_append_to_one_log_of_a_new_store_at_once_are_answered() {
    for seed in 0..20 {
        let mut world = World::new(seed);
        let id = world.create().unwrap();
        world.append_together(&[id; 4], 5);
    }
}

#[test]
fn a_failed_sync_before_the_first_change_is_tried_again() {
    let mut world = World::new(0);
    let id = world.create().unwrap();
    world.append(id, 1, true);
    world.note(id);
    world.reopen(true);
    assert!(world.store.was_closed_cleanly());
    world.machine.plan(|plan| plan.fail(Op::SyncDir, 0, 1));
    world.create().unwrap_err();
    world.create().unwrap();
    world.check();
}

#[test]
fn a_deletion_that_is_asked_for_again_leaves_what_waits_in_the_outbox() {
    for split in [false, true] {
        for after in 0..4 {
            let mut world = World::with_outbox(0);
            if split {
                world.machine.split();
            }
            let id = world.create().unwrap();
            world.append(id, 3, true);
            world.machine.plan(|plan| plan.fail(Op::SyncDir, after, 1));
            world.delete(id);
            world.lift_faults();
            if world.disk.exists(&layout::folder(Path::new(ROOT), id)) {
                let deliveries = world
                    .store
                    .keep_deliveries_in(Path::new(DELIVERIES))
                    .unwrap();
                let waiting = deliveries.outbox.list().unwrap();
                assert!(waiting.is_empty(), "it stays, and a copy waits");
            }
            world.delete(id);
            world.check();
        }
    }
}

#[test]
fn a_failed_log_that_is_closed_and_opened_shows_no_more_than_before() {
    let mut world = World::new(0);
    let id = world.create().unwrap();
    world.append(id, 4, false);
    world.machine.plan(|plan| {
        plan.fail(Op::Sync, 0, 1);
        plan.fail(Op::SetLen, 0, 1);
    });
    world.append(id, 2, false);
    world.machine.plan(|plan| plan.read_only = true);
    world.close_logs();
    let log = world.store.open_log_blocking(id).unwrap();
    assert_eq!(log.len(), Seq(4));
}

#[test]
fn what_a_crash_left_half_discarded_does_not_come_back_without_its_files() {
    for seed in 0..40 {
        for changes in 1..6 {
            let mut world = World::with_outbox(seed);
            let id = world.create().unwrap();
            world.append(id, 3, true);
            world.delete(id);
            world.machine.plan(|plan| plan.die_after(changes));
            world.discard(id);
            world.reopen(false);
            world.check();
            world.machine.cut_power();
            world.reopen(false);
            world.check();
        }
    }
}

#[test]
fn a_conversation_that_is_said_to_exist_is_durable() {
    let mut world = World::new(0);
    world.create().unwrap();
    // That of the folder itself works, that of the folder above does not.
    world.machine.plan(|plan| plan.fail(Op::SyncDir, 1, 1));
    world.create().unwrap_err();
    let id = world.id(1).unwrap();
    let metadata = world.store.0.metadata(id).unwrap();
    assert!(
        world.store.0.context.catalog.row(id).is_none(),
        "it is not listed before it is durable"
    );
    let again = world.store.0.create(&metadata).unwrap_err();
    assert!(matches!(again, StoreError::Exists(_)), "{again}");
    world.machine.cut_power_and_drop_all();
    world.reopen(false);
    assert_eq!(world.store.0.metadata(id).unwrap(), metadata);
}

#[test]
fn events_of_a_conversation_whose_making_was_killed_stay() {
    let mut world = World::new(0);
    world.create().unwrap();
    // Killed after it got its name, before that was durable.
    world.machine.plan(|plan| plan.die_after(7));
    world.create().unwrap_err();
    let id = world.id(1).unwrap();
    world.reopen(false);
    assert!(world.append(id, 1, true));
    world.check_after_power_cut();
    assert!(world.is_there(id));
}

#[test]
fn events_of_a_conversation_whose_making_failed_at_the_end_stay() {
    let mut world = World::new(0);
    world.create().unwrap();
    world.machine.plan(|plan| plan.fail(Op::SyncDir, 1, 1));
    world.create().unwrap_err();
    let id = world.id(1).unwrap();
    assert!(world.append(id, 1, true));
    world.check_after_power_cut();
    assert!(world.is_there(id));
}

#[test]
fn a_request_is_remembered_although_making_the_file_failed_at_first() {
    let mut world = World::new(0);
    world.machine.plan(|plan| plan.fail(Op::SyncDir, 0, 1));
    world.requests.begin(&world.store.0, &[1], true);
    world.requests.begin(&world.store.0, &[1], false);
    world.check_after_power_cut();
}

#[test]
fn a_request_whose_sync_failed_is_recorded_again() {
    let mut world = World::new(0);
    world.requests.begin(&world.store.0, &[1], false);
    world.machine.plan(|plan| plan.fail(Op::Sync, 0, 1));
    world.requests.begin(&world.store.0, &[2], true);
    // The file may lack it: it is rewritten before it counts as begun.
    world.requests.begin(&world.store.0, &[2], false);
    world.check_after_power_cut();
}

#[test]
fn an_event_that_was_seen_after_a_kill_stays_after_a_power_cut() {
    let mut world = World::new(0);
    let id = world.create().unwrap();
    assert!(world.append(id, 1, true));
    // Killed after the write, before the sync.
    world.machine.plan(|plan| plan.die_after(1));
    assert!(!world.append(id, 2, true));
    world.reopen(false);
    world.check();
    assert_eq!(world.expected[&id].lines.len(), 3);
    world.check_after_power_cut();
    assert_eq!(world.expected[&id].lines.len(), 3);
}

#[test]
fn events_whose_index_cannot_be_written_are_read_all_the_same() {
    let mut world = World::new(0);
    let id = world.create().unwrap();
    assert!(world.append(id, 2, true));
    // The log is written, and from then on nothing.
    world.machine.plan(|plan| plan.fail(Op::Write, 1, u32::MAX));
    assert!(world.append(id, 1, true));
    // Opened again, too.
    world.close_logs();
    let log = world.log(id).unwrap();
    assert_eq!(world.read(&log).unwrap().len(), 3);
    drop(log);
    world.lift_faults();
    assert!(world.append(id, 1, true));
    world.close_logs();
    world.check();
}

#[test]
fn restoring_a_sound_log_takes_nothing_from_it() {
    let mut world = World::new(0);
    let id = world.create().unwrap();
    let log = world.log(id).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            // Bounded, so that a failure below is not waited on for ever.
            for _ in 0..20_000 {
                if done.load(Ordering::Acquire) {
                    break;
                }
                log.0.restore();
            }
        });
        for _ in 0..200 {
            world.append(id, 1, true);
        }
        done.store(true, Ordering::Release);
    });
    world.reopen(false);
    world.check();
}

#[test]
fn a_poisoned_log_names_its_fault_and_is_restored_once_there_is_space() {
    let mut world = World::new(0);
    let id = world.create().unwrap();
    assert!(world.append(id, 3, true));
    let log = world.log(id).unwrap();
    for (plan, reason) in [(Some(20), "disk full"), (None, "read-only")] {
        world.machine.plan(|faults| {
            faults.space = plan;
            faults.read_only = plan.is_none();
        });
        assert!(!world.append(id, 1, true));
        let refused = log.append_blocking(&world.records(1), None).unwrap_err();
        assert!(
            matches!(&refused, AppendError::Store(StoreError::Poisoned(why)) if why.to_string() == reason),
            "{refused}"
        );
        let unready = world.store.health().ready.unwrap_err();
        assert!(
            unready.contains(reason) && unready.contains(&id.to_string()),
            "{unready}"
        );
        world.lift_faults();
        assert!(world.append(id, 1, true), "restored by the next append");
        assert_eq!(world.store.health().ready, Ok(()));
    }
    let names = world
        .disk
        .names(&layout::folder(Path::new(ROOT), id))
        .unwrap();
    assert_eq!(names.len(), 3, "no probe is left: {names:?}");
}

#[test]
fn a_log_that_fails_while_the_store_is_asked_whether_it_is_ready_holds_nobody_up() {
    let mut world = World::new(0);
    let id = world.create().unwrap();
    let log = world.log(id).unwrap();
    let store = &world.store;
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..2000 {
                log.0.poison(&std::io::Error::other("broken")).send();
                log.0.restore();
            }
        });
        scope.spawn(|| {
            for _ in 0..2000 {
                store.health().ready.ok();
            }
        });
    });
    assert!(world.append(id, 1, true));
}

#[test]
fn a_deletion_whose_sync_failed_can_be_asked_for_again() {
    let mut world = World::new(0);
    let id = world.create().unwrap();
    world.append(id, 1, true);
    world.note(id);
    world.close_logs();
    world.machine.plan(|plan| plan.fail(Op::SyncDir, 0, 1));
    world.store.0.delete(id, &Deletion::default()).unwrap_err();
    world.store.0.delete(id, &Deletion::default()).unwrap();
    assert!(world.store.0.context.catalog.row(id).is_none());
}

#[test]
fn a_tail_that_could_not_be_made_durable_is_written_again_before_the_log_is_restored() {
    for seed in 0..20 {
        let mut world = World::new(seed);
        let id = world.create().unwrap();
        assert!(world.append(id, 1, true));
        world.machine.plan(|plan| plan.die_after(1));
        assert!(!world.append(id, 1500, true));
        world.reopen(false);
        world.machine.plan(|plan| plan.fail(Op::Sync, 0, 1));
        let log = world.log(id).unwrap();
        let seen = world.read(&log).unwrap();
        log.0.restore();
        let restored = !log.0.is_poisoned();
        drop(log);
        world.close_logs();
        world.machine.cut_power_and_drop_all();
        world.reopen(false);
        let log = world.store.0.open_log(id).unwrap();
        let kept = world.read(&log).unwrap();
        // Whatever else was left of it: what restored had been shown, and stays.
        assert!(!restored || kept == seen, "seed {seed}");
    }
}

#[test]
fn a_sync_in_the_background_after_a_failed_one_proves_nothing() {
    let machine = Machine::new(1, &[Path::new(ROOT)]);
    let durability = Durability::Interval(Duration::from_secs(3600));
    let open = || {
        let options = Options { durability };
        FsStore::open_on(
            machine.boot(),
            Path::new(ROOT),
            options,
            Duration::ZERO,
            None,
        )
        .unwrap()
    };
    let store = open();
    let workspace = Workspace {
        working_dir: "project".to_owned(),
        kind: WorkspaceKind::LocalWorkspace,
    };
    let metadata = Metadata::new(json!({"kind": "Agent"}), workspace);
    store.create_blocking(&metadata).unwrap();
    let log = store.open_log_blocking(metadata.id).unwrap();
    let records: Vec<NewRecord> = (0..1500).map(record).collect();
    log.append_blocking(&records, None).unwrap();
    let written = || Unsynced {
        id: metadata.id,
        file: log.0.file(),
        flag: Arc::clone(&log.0.unsynced),
        log: log.0.itself.clone(),
        extent: log.0.extent.subscribe(),
        durable: Arc::clone(&log.0.durable),
        notices: Arc::clone(&log.0.context.notices),
    };
    machine.plan(|plan| plan.fail(Op::Sync, 0, 1));
    flush(&Mutex::new(vec![written()]));
    assert!(log.0.is_poisoned());
    // What an append put there while that sync was under way.
    flush(&Mutex::new(vec![written()]));
    log.0.restore();
    let restored = !log.0.is_poisoned();
    machine.cut_power_and_drop_all();
    drop((log, store));
    let log = open().open_log_blocking(metadata.id).unwrap();
    if restored {
        assert_eq!(
            (log.len(), log.0.damaged(Wait::Yes).unwrap()),
            (Seq(1500), 0)
        );
    }
}
