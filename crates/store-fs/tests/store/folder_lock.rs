use std::fs;

use core_model::{Catalog, Claims};
use store_fs::{FsStore, OpenError, Options};

use crate::support::{metadata, one_conversation, store};

#[tokio::test]
async fn a_second_store_is_refused_until_the_first_is_gone() {
    let root = tempfile::tempdir().unwrap();
    let first = store(root.path());
    let refused = open(&root).err().unwrap();
    let OpenError::Locked {
        pid,
        host,
        started_at,
        ..
    } = refused
    else {
        panic!("{refused}");
    };
    assert_eq!(pid, Some(std::process::id()));
    assert!(host.is_some() && started_at.is_some());
    drop(first);
    open(&root).unwrap();
}

#[tokio::test]
async fn removing_the_lock_file_lets_nobody_in() {
    let root = tempfile::tempdir().unwrap();
    let first = store(root.path());
    fs::remove_file(root.path().join(".lock")).unwrap();
    assert!(matches!(open(&root), Err(OpenError::Locked { .. })));
    drop(first);
    open(&root).unwrap();
}

#[tokio::test]
async fn an_open_log_keeps_the_folder_locked() {
    let (root, store, id) = one_conversation().await;
    let log = store.open_log(id).await.unwrap();
    drop(store);
    assert!(matches!(open(&root), Err(OpenError::Locked { .. })));
    drop(log);
    open(&root).unwrap();
}

#[tokio::test]
async fn nonsense_in_the_lock_file_tells_nothing_and_breaks_nothing() {
    for text in ["", "{", "[1]", r#"{"pid": 7, "host": null, "new": 1}"#] {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(".lock"), text).unwrap();
        let first = open(&root).unwrap();
        fs::write(root.path().join(".lock"), text).unwrap();
        let refused = open(&root).err().unwrap();
        let expected = text.contains("pid").then_some(7);
        assert!(
            matches!(refused, OpenError::Locked { pid, .. } if pid == expected),
            "{refused}"
        );
        assert!(
            refused
                .to_string()
                .contains(&root.path().display().to_string())
        );
        drop(first);
    }
}

#[tokio::test]
async fn a_missing_folder_is_made() {
    let root = tempfile::tempdir().unwrap();
    let nested = root.path().join("a/b/conversations");
    let store = store(&nested);
    store
        .create(&metadata(core_model::ConversationId::random()))
        .await
        .unwrap();
    assert!(store.orphans(usize::MAX).await.unwrap().is_empty());
}

#[test]
fn a_folder_that_cannot_be_used_is_named_with_the_user() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    for folder in [file.clone(), file.join("below")] {
        let error = FsStore::open(&folder, Options::default()).err().unwrap();
        assert!(matches!(error, OpenError::Unusable { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(&folder.display().to_string()), "{text}");
        assert!(text.contains("OS user "), "{text}");
    }
}

fn open(root: &tempfile::TempDir) -> Result<FsStore, OpenError> {
    FsStore::open(root.path(), Options::default())
}
