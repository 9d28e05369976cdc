//! What lists show of conversations, ready to be sent.

use std::{fs, sync::Arc, thread::sleep, time::Duration};

use core_model::Metadata;
use serde_json::json;

use super::{FailingDisk, id, metadata, row, store};
use crate::{FsStore, check, disk::Wait, error::lock, layout};

/// Bytes before the first.
const HEADER: usize = super::super::files::HEADER;

fn kept(store: &FsStore, number: u128) -> Option<serde_json::Value> {
    let found = store
        .0
        .context
        .catalog
        .infos(&[id(number)], Wait::Yes)
        .unwrap();
    found[0]
        .as_ref()
        .map(|json| serde_json::from_slice(json).unwrap())
}

/// What a list shows, and whether that was at hand.
fn shown(store: &FsStore, number: u128) -> (serde_json::Value, bool) {
    let at_hand = kept(store, number).is_some();
    let found = check::infos(&store.0, &[id(number)]).unwrap();
    let json = found[0].as_ref().unwrap();
    (serde_json::from_slice(json).unwrap(), at_hand)
}

#[test]
fn what_lists_show_is_kept_in_order_and_forgotten_when_it_may_be_out_of_date() {
    let root = tempfile::tempdir().unwrap();
    let disk = Arc::new(FailingDisk::default());
    let first = store(&disk, root.path());
    for number in 1..=4 {
        first.0.create(&metadata(id(number))).unwrap();
    }
    let (info, at_hand) = shown(&first, 1);
    assert!(at_hand);
    assert_eq!(
        (&info["title"], &info["agent"]["llm"]["api_key"]),
        (&json!("old"), &json!(null))
    );
    assert_eq!(info["runtime_info"]["runtime_status"], "available");
    let mut renamed = metadata(id(1));
    renamed.title = Some("new".to_owned());
    first.0.set_metadata_if(&renamed, || Ok(())).unwrap();
    assert_eq!(shown(&first, 1).0["title"], "new");
    // The row says more than the metadata: it has to be read from the log.
    first.0.context.catalog.note(&row(2, 1));
    assert_eq!(kept(&first, 2), None);
    assert_eq!(check::infos(&first.0, &[id(2)]).unwrap(), [None]);
    drop(first);

    // By another hand, while the store is closed, and not within the clock's tick.
    sleep(Duration::from_millis(20));
    let path = root.path().join(id(3).to_string()).join("metadata.json");
    let text = fs::read_to_string(&path)
        .unwrap()
        .replace("\"old\"", "\"by hand\"");
    fs::write(&path, text).unwrap();
    let second = store(&disk, root.path());
    check::check(&second.0).unwrap();
    assert!(kept(&second, 1).is_some() && kept(&second, 4).is_some());
    assert_eq!(kept(&second, 3), None);
    let (info, _) = shown(&second, 3);
    assert_eq!(info["title"], "by hand");
    assert!(kept(&second, 3).is_some());
    // What was rebuilt is kept although nothing else changed.
    drop(second);
    let third = store(&disk, root.path());
    assert_eq!(kept(&third, 3).unwrap()["title"], "by hand");
    // Damage is noticed.
    let path = layout::infos_file(root.path());
    let mut bytes = fs::read(&path).unwrap();
    bytes.iter_mut().skip(HEADER).for_each(|byte| *byte ^= 1);
    fs::write(&path, bytes).unwrap();
    assert_eq!(kept(&third, 1), None);
    assert_eq!(shown(&third, 1).0["title"], "new");
    drop(third);

    // A stop that was not clean.
    fs::remove_file(layout::closed_file(root.path())).unwrap();
    let fourth = store(&disk, root.path());
    assert_eq!(kept(&fourth, 1), None);
    assert_eq!(shown(&fourth, 1), (info_of(&renamed, &fourth), false));
}

fn info_of(metadata: &Metadata, store: &FsStore) -> serde_json::Value {
    let folder = store.0.folder(metadata.id);
    let info = core_model::ConversationInfo::at_rest(metadata, &folder).unwrap();
    serde_json::to_value(info.listed()).unwrap()
}

#[test]
fn compacting_keeps_what_is_in_use() {
    let root = tempfile::tempdir().unwrap();
    let disk = Arc::new(FailingDisk::default());
    let store = store(&disk, root.path());
    let mut new = metadata(id(1));
    store.0.create(&new).unwrap();
    store.0.create(&metadata(id(2))).unwrap();
    for round in 0..50 {
        new.title = Some(format!("{round}"));
        store.0.set_metadata_if(&new, || Ok(())).unwrap();
    }
    let size = || fs::metadata(layout::infos_file(root.path())).unwrap().len();
    let catalog = &store.0.context.catalog;
    let used = lock(&catalog.memory).rows.infos();
    let before = (kept(&store, 1), kept(&store, 2));
    assert!(size() > 10 * used);
    catalog.compact_infos().unwrap();
    assert_eq!(size(), HEADER as u64 + used);
    assert_eq!((kept(&store, 1), kept(&store, 2)), before);
    assert_eq!(before.0.unwrap()["title"], "49");
    store
        .0
        .set_metadata_if(&metadata(id(1)), || Ok(()))
        .unwrap();
    assert_eq!(kept(&store, 1).unwrap()["title"], "old");
}
