use std::{fs, os::unix::fs::PermissionsExt};

use core_model::{
    Catalog, Claims, ConversationId, ConversationOrder, Seq, StoreError, port::ListQuery,
};
use serde_json::{Value, json};
use store_fs::AppendError;

use crate::support::{all, claim, message, metadata, names, one_conversation, one_log, store};

/// What the store keeps for itself beside the conversations.
const HIDDEN: [&str; 5] = [".lock", ".feed", ".catalog", ".infos", ".closed"];

#[tokio::test]
async fn a_new_conversation_is_private_listed_and_empty() {
    let (root, store, id) = one_conversation().await;
    let folder = store.folder(id);
    assert_eq!(
        folder,
        fs::canonicalize(root.path()).unwrap().join(id.to_string())
    );
    assert_eq!(names(&folder), ["events.jsonl", "metadata.json"]);
    for (path, mode) in [
        (folder.clone(), 0o700),
        (folder.join("events.jsonl"), 0o600),
        (folder.join("metadata.json"), 0o600),
    ] {
        let found = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{}", path.display());
    }
    let others = names(root.path()).into_iter();
    let others: Vec<String> = others
        .filter(|name| !HIDDEN.contains(&name.as_str()))
        .collect();
    assert_eq!(others, [id.to_string()]);
    let stored = store.metadata(id).await.unwrap();
    assert_eq!(listed(&store).await, [stored.id]);
    assert!(store.open_log(id).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_id_can_be_taken_once() {
    let (_root, store, id, _log) = one_log(1).await;
    let taken = store.create(&metadata(id)).await.unwrap_err();
    assert!(
        matches!(taken, StoreError::Exists(found) if found == id),
        "{taken}"
    );
    assert_eq!(store.open_log(id).await.unwrap().len(), Seq(1));
}

#[tokio::test]
async fn metadata_is_replaced_as_a_whole() {
    let (root, store_, id) = one_conversation().await;
    let mut changed = store_.metadata(id).await.unwrap();
    changed.title = Some("A title".to_owned());
    changed.settings.tags.clear();
    let mut writer = claim(&store_, id).await.log;
    writer.set_metadata(&changed).await.unwrap();
    drop(writer);
    assert_eq!(store_.metadata(id).await.unwrap(), changed);
    let files = ["events.idx", "events.jsonl", "metadata.json"];
    assert_eq!(names(&store_.folder(id)), files);
    drop(store_);
    assert_eq!(store(root.path()).metadata(id).await.unwrap(), changed);
}

#[tokio::test]
async fn readers_see_old_or_new_metadata_and_nothing_between() {
    let (_root, store, id) = one_conversation().await;
    let original = store.metadata(id).await.unwrap();
    let writer = {
        let (store, mut next) = (store.clone(), original.clone());
        tokio::spawn(async move {
            let mut writer = claim(&store, id).await.log;
            for number in 0..50 {
                next.title = Some(number.to_string().repeat(5000));
                writer.set_metadata(&next).await.unwrap();
            }
        })
    };
    while !writer.is_finished() {
        let mut read = store.metadata(id).await.unwrap();
        read.title = None;
        assert_eq!(read, original);
    }
    writer.await.unwrap();
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    let id = ConversationId::random();
    for result in [
        store.metadata(id).await.map(drop),
        store.claim(id).await.map(drop),
        store.open_log(id).await.map(drop),
        store.delete(id).await,
    ] {
        let error = result.unwrap_err();
        assert!(
            matches!(error, StoreError::NotFound(found) if found == id),
            "{error}"
        );
    }
    assert!(shown(root.path()).is_empty());
}

#[tokio::test]
async fn a_deleted_conversation_takes_no_more_events_and_its_id_is_free() {
    let (root, store, id, log) = one_log(2).await;
    fs::create_dir(store.folder(id).join("tools")).unwrap();
    store.delete(id).await.unwrap();
    assert!(shown(root.path()).is_empty());
    let refused = log
        .append(vec![message(2)], Some(Seq(2)))
        .await
        .unwrap_err();
    assert!(
        matches!(refused, AppendError::Store(StoreError::NotFound(found)) if found == id),
        "{refused}"
    );
    assert_eq!(all(&log).await.len(), 2, "a follower can finish reading");
    assert!(matches!(
        store.delete(id).await,
        Err(StoreError::NotFound(_))
    ));

    store.create(&metadata(id)).await.unwrap();
    let new = store.open_log(id).await.unwrap();
    new.append(vec![message(0)], Some(Seq(0))).await.unwrap();
    assert_eq!((new.len(), log.len()), (Seq(1), Seq(2)));
    assert!(log.append(vec![message(2)], Some(Seq(2))).await.is_err());
}

#[tokio::test]
async fn opening_clears_what_a_crash_left_half_made_or_half_removed() {
    let (root, store_, id) = one_conversation().await;
    drop(store_);
    for name in [".tmp-a-b", ".deleted-a-b"] {
        fs::create_dir(root.path().join(name)).unwrap();
        fs::write(root.path().join(name).join("events.jsonl"), "").unwrap();
    }
    fs::write(root.path().join(".tmp-probe-x"), "").unwrap();
    fs::write(root.path().join("notes.txt"), "mine").unwrap();
    let store = store(root.path());
    assert!(store.orphans(usize::MAX).await.unwrap().is_empty());
    let left = names(root.path()).into_iter();
    let left: Vec<String> = left
        .filter(|name| !HIDDEN.contains(&name.as_str()))
        .collect();
    assert_eq!(left, [id.to_string(), "notes.txt".to_owned()]);
    assert_eq!(listed(&store).await.len(), 1);
}

#[tokio::test]
async fn unreadable_conversations_are_left_out_of_the_list_and_left_alone() {
    let (_root, store, id) = one_conversation().await;
    let good = serde_json::to_value(store.metadata(id).await.unwrap()).unwrap();
    let mut broken = Vec::new();
    for (key, value) in [
        ("format", json!(2)),
        ("max_iterations", json!("many")),
        ("id", json!(ConversationId::random())),
        ("format", Value::Null),
    ] {
        let id = ConversationId::random();
        let mut metadata = good.clone();
        metadata["id"] = json!(id);
        metadata[key] = value;
        broken.push((id, metadata.to_string()));
    }
    broken.push((ConversationId::random(), "{".to_owned()));
    for (id, text) in &broken {
        let folder = store.folder(*id);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("events.jsonl"), "torn").unwrap();
        fs::write(folder.join("metadata.json"), text).unwrap();
    }
    fs::create_dir(store.folder(ConversationId::random())).unwrap();

    let listed = listed(&store).await;
    // A list needs less of the metadata than whoever opens it.
    let mut readable = [id, broken[1].0];
    readable.sort();
    assert_eq!(listed, readable);
    for (id, text) in broken {
        let error = store.metadata(id).await.unwrap_err();
        assert!(store.open_log(id).await.is_err());
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        if text.contains(r#""format":2"#) {
            assert!(
                error.to_string().contains("format 2 is newer than 1"),
                "{error}"
            );
        }
        let kept = fs::read_to_string(store.folder(id).join("metadata.json")).unwrap();
        assert_eq!(kept, text);
        assert_eq!(names(&store.folder(id)).len(), 2, "its log is not mended");
    }
}

/// The names in a store's folder that are not its own.
fn shown(root: &std::path::Path) -> Vec<String> {
    let names = names(root).into_iter();
    names
        .filter(|name| !HIDDEN.contains(&name.as_str()))
        .collect()
}

async fn listed(store: &store_fs::FsStore) -> Vec<ConversationId> {
    let query = ListQuery {
        status: None,
        first: None,
        limit: 100,
        order: ConversationOrder::Created,
    };
    let page = store.list(&query).await.unwrap();
    page.rows.iter().map(|row| row.id).collect()
}
