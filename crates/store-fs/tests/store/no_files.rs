//! Where a file of the store should be stands something that never ends or never begins to be read: an
//! agent's commands run as the same user and could put it there.

use std::{fs, os::unix::fs::symlink, path::Path};

use core_model::{Catalog, Seq};
use store_fs::{FileReader, FsStore, Options, repair, verify};

use crate::support::{all, message, one_log, store};

type Put = fn(&Path);

const ODDITIES: [(&str, Put); 3] = [
    ("a pipe", |path| {
        nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    }),
    ("a device", |path| symlink("/dev/zero", path).unwrap()),
    ("a folder", |path| fs::create_dir(path).unwrap()),
];

#[tokio::test]
async fn a_conversations_files_are_refused_by_name_and_the_others_served() {
    for (what, put) in ODDITIES {
        for name in ["metadata.json", "events.jsonl", "events.idx"] {
            let (root, one, id, _) = one_log(3).await;
            drop(one);
            let (folder, path) = {
                let folder = root.path().join(id.to_string());
                (folder.clone(), folder.join(name))
            };
            fs::remove_file(&path).unwrap();
            put(&path);

            let store = store(root.path());
            let said = match (name, store.open_log(id).await) {
                // It is kept in memory instead.
                ("events.idx", opened) => {
                    assert_eq!(all(&opened.unwrap()).await.len(), 3);
                    continue;
                }
                ("metadata.json", _) => store.metadata(id).await.unwrap_err().to_string(),
                (_, opened) => opened.err().unwrap().to_string(),
            };
            let reason = format!("it is {what}, not a file");
            assert!(said.contains(name) && said.contains(&reason), "{said}");
            drop(store);

            if let Ok(report) = verify(&folder, |_| {}) {
                assert!(report.metadata.is_some_and(|said| said.contains(&reason)));
            }
            repair(&folder, true).ok();
            if name == "events.jsonl" {
                let said = FileReader::open(&folder).err().unwrap().to_string();
                assert!(said.contains(&reason), "{said}");
            }
        }
    }
}

/// Each of these can be done without or made anew; if it is not, the start says why.
#[tokio::test]
async fn the_stores_own_files_do_not_hang_its_start() {
    for (what, put) in &ODDITIES[..2] {
        for name in [
            ".lock",
            ".feed",
            ".catalog",
            ".infos",
            ".closed",
            ".receipts",
        ] {
            let (root, one, id, _) = one_log(1).await;
            drop(one);
            let path = root.path().join(name);
            if fs::remove_file(&path).is_err() {
                fs::remove_dir_all(&path).ok();
            }
            put(&path);
            match FsStore::open(root.path(), Options::default()) {
                Ok(store) => {
                    let log = store.open_log(id).await.unwrap();
                    log.append(vec![message(1)], Some(Seq(1))).await.unwrap();
                }
                Err(error) => {
                    let said = error.to_string();
                    assert!(said.contains(name), "{name} as {what}: {said}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_link_to_a_file_elsewhere_serves() {
    let (root, one, id, _) = one_log(2).await;
    drop(one);
    let log = root.path().join(id.to_string()).join("events.jsonl");
    let elsewhere = root.path().join("elsewhere");
    fs::rename(&log, &elsewhere).unwrap();
    symlink(&elsewhere, &log).unwrap();
    let store = store(root.path());
    let opened = store.open_log(id).await.unwrap();
    opened.append(vec![message(2)], Some(Seq(2))).await.unwrap();
    assert_eq!(all(&opened).await.len(), 3);
    assert_eq!(FileReader::open(&elsewhere).unwrap().count(), 3);
}
