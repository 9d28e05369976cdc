//! A log whose last write is cut at every byte, beside indexes in every state.

use std::path::{Path, PathBuf};

use core_model::{Catalog, ConversationId, Seq};
use uuid::Uuid;

use super::{
    disk::{Machine, SimDisk},
    world::{ROOT, World, record},
};
use crate::{
    disk::{Disk, Open, Wait, read_all, write_all},
    layout,
    notices::Notices,
    recovery::{self, Opened},
};

/// Acknowledged events.
const KEPT: usize = 4;
/// Events of the write that is cut.
const CUT: usize = 2;

#[derive(Clone, Copy, Debug)]
enum IndexIs {
    Good,
    Missing,
    /// It lacks acknowledged events.
    Stale,
    /// It has the events of the cut write.
    Longer,
    Garbage,
}

#[test]
fn a_log_cut_at_any_byte_keeps_what_was_acknowledged() {
    let kept = lines(0, KEPT);
    let last = lines(KEPT, CUT);
    let full = index_of(&[&kept[..], &last[..]].concat());
    for index in [
        IndexIs::Good,
        IndexIs::Missing,
        IndexIs::Stale,
        IndexIs::Longer,
        IndexIs::Garbage,
    ] {
        let index_bytes = match index {
            IndexIs::Good => Some(full[..64 + KEPT * 48].to_vec()),
            IndexIs::Missing => None,
            IndexIs::Stale => Some(full[..64 + 2 * 48 + 7].to_vec()),
            IndexIs::Longer => Some(full.clone()),
            IndexIs::Garbage => Some(vec![0x5a; full.len()]),
        };
        for cut in 0..=last.len() {
            for fill in fills(index) {
                let log = [&kept[..], &last[..cut], fill].concat();
                check(
                    &kept,
                    &log,
                    index_bytes.as_deref(),
                    &format!("{index:?} {cut}"),
                );
            }
        }
    }
}

/// What stands after the cut. A longer index knows events that were durable, so that nothing else can
/// stand in their place.
fn fills(index: IndexIs) -> &'static [&'static [u8]] {
    const FILLS: [&[u8]; 4] = [
        b"",
        &[0; 300],
        &[0xa5; 300],
        b"\xff\x00garbage\n{\"id\":\0\0\0",
    ];
    match index {
        IndexIs::Longer => &FILLS[..1],
        IndexIs::Good | IndexIs::Missing | IndexIs::Stale | IndexIs::Garbage => &FILLS,
    }
}

fn check(kept: &[u8], log: &[u8], index: Option<&[u8]>, case: &str) {
    let whole = log.iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    let count = log[..whole].iter().filter(|byte| **byte == b'\n').count() as u64;
    let (machine, folder) = folder(log, index);
    let disk = machine.boot();
    let notices = Notices::default();
    let opened = recovery::open(disk.as_ref(), id(), &folder, &notices).unwrap();
    check_opened(&opened, log, whole, count, case);
    let torn = opened.torn.clone().map(|torn| (torn.offset, torn.bytes));
    let expected = (whole as u64, (log.len() - whole) as u64);
    assert_eq!(torn, (expected.1 > 0).then_some(expected), "{case}");
    let bad = count > (KEPT + CUT) as u64 || log[kept.len()..whole].contains(&0xff);
    assert_eq!(
        notices.all().len(),
        usize::from(torn.is_some()) + usize::from(bad),
        "{case}: {:?}",
        notices.all()
    );
    if let Some(torn) = &opened.torn {
        // All of that is durable.
        machine.cut_power_and_drop_all();
        let disk = machine.boot();
        let aside = read_all(disk.as_ref(), &folder.join(&torn.file)).unwrap();
        assert_eq!(aside, log[whole..], "{case}");
        let again = recovery::open(disk.as_ref(), id(), &folder, &notices).unwrap();
        assert_eq!(again.torn, None, "{case}");
        check_opened(&again, log, whole, count, case);
    }
}

fn check_opened(opened: &Opened, log: &[u8], whole: usize, count: u64, case: &str) {
    assert_eq!(opened.extent.len, Seq(count), "{case}");
    assert_eq!(opened.extent.bytes, whole as u64, "{case}");
    assert_eq!(opened.file.len().unwrap(), whole as u64, "{case}");
    let entries = opened.index.read(0, count as usize, Wait::Yes).unwrap();
    let mut at = 0;
    for (number, entry) in entries.iter().enumerate() {
        let line = &log[at..entry.end() as usize - 1];
        assert_eq!(entry.offset, at as u64, "{case}");
        assert_eq!(entry.crc, crc32c::crc32c(line), "{case}");
        if number < KEPT {
            assert_eq!(*line, record(number as u64).bytes, "{case}");
        }
        at = entry.end() as usize;
    }
    assert_eq!(at, whole, "{case}");
}

#[test]
fn a_torn_tail_is_told_in_the_metadata_and_by_the_store() {
    let mut world = World::new(0);
    let id = world.create().unwrap();
    assert!(world.append(id, 2, true));
    world.reopen(true);
    let folder = layout::folder(Path::new(ROOT), id);
    let path = folder.join(layout::EVENTS);
    let file = world.disk.open(&path, Open::Write).unwrap();
    let end = file.len().unwrap();
    write_all(file.as_ref(), b"{\"id\":\"half", end).unwrap();
    assert!(!world.verify(id).is_fine());
    let log = world.log(id).unwrap();
    assert_eq!(log.0.extent().bytes, end);
    let torn = world.store.0.metadata(id).unwrap().torn;
    assert_eq!((torn[0].offset, torn[0].bytes), (end, 11));
    let notices = world.store.health().notices;
    assert_eq!((notices.len(), notices[0].conversation_id), (1, id));
    assert!(world.append(id, 1, true));
    world.check();
}

fn folder(log: &[u8], index: Option<&[u8]>) -> (Machine, PathBuf) {
    let folder = layout::folder(Path::new(ROOT), id());
    let machine = Machine::new(0, &[Path::new(ROOT), &folder]);
    let disk = machine.boot();
    put(&disk, &folder.join(layout::EVENTS), log);
    if let Some(index) = index {
        put(&disk, &folder.join(layout::INDEX), index);
    }
    disk.sync_dir(&folder).unwrap();
    (machine, folder)
}

fn put(disk: &SimDisk, path: &Path, bytes: &[u8]) {
    let file = disk.open(path, Open::MakeNew).unwrap();
    write_all(file.as_ref(), bytes, 0).unwrap();
    file.sync().unwrap();
}

fn index_of(log: &[u8]) -> Vec<u8> {
    let (machine, folder) = folder(log, None);
    let disk = machine.boot();
    recovery::open(disk.as_ref(), id(), &folder, &Notices::default()).unwrap();
    read_all(disk.as_ref(), &folder.join(layout::INDEX)).unwrap()
}

fn lines(from: usize, count: usize) -> Vec<u8> {
    let lines =
        (from..from + count).map(|number| [&record(number as u64).bytes[..], b"\n"].concat());
    lines.collect::<Vec<_>>().concat()
}

fn id() -> ConversationId {
    ConversationId(Uuid::from_u128(7))
}
