use core_model::{
    ConversationId, ConversationInfo, ConversationState, ExecutionStatus, Extent, Limit, Row, Seq,
    Snapshot, StoreError,
    port::{Health, ListQuery},
};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{
    Subject,
    fixture::{metadata, moment, records, summary},
    steps::{append, as_read, claim, claimed, create, log_of},
};
use crate::Tested;

#[tokio::test]
async fn one_that_is_made_is_there_and_empty() {
    let mut subject = Tested::empty();
    let made = create(subject.store().as_ref()).await;
    for _ in 0..2 {
        let store = subject.store().as_ref();
        let row = Row {
            id: made.id,
            created_at: made.created_at,
            updated_at: made.created_at,
            status: ExecutionStatus::Idle,
            extent: Extent::default(),
            bytes: 0,
        };
        assert_eq!(store.row(made.id).await.unwrap(), Some(row));
        assert_eq!(store.metadata(made.id).await.unwrap(), made);
        let everything = ListQuery {
            status: None,
            first: None,
            limit: 10,
            order: core_model::ConversationOrder::default(),
        };
        assert_eq!(store.list(&everything).await.unwrap().rows, [row]);
        assert_eq!(store.count(None).await.unwrap(), 1);
        assert_eq!(store.holder(made.id).await.unwrap(), None);
        let log = store.open(made.id).await.unwrap();
        assert_eq!(log.visible(), Extent::default());
        assert_eq!(log.read(Seq(0), Limit::records(1)).await.unwrap(), []);
        drop(log);
        let claim = claim(store, made.id).await;
        assert_eq!(claim.log.extent(), Extent::default());
        drop(claim);
        subject = subject.reopen();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_id_is_taken_once() {
    let subject = Tested::empty();
    let made = create(subject.store().as_ref()).await;
    let mut other = metadata(500);
    other.id = made.id;
    let refused = subject.store().create(&other).await;
    assert!(matches!(refused, Err(StoreError::Exists(id)) if id == made.id));
    assert_eq!(subject.store().metadata(made.id).await.unwrap(), made);

    let wanted = metadata(7);
    let attempts = (0..8).map(|_| {
        let (store, wanted) = (subject.store().clone(), wanted.clone());
        tokio::spawn(async move { store.create(&wanted).await.is_ok() })
    });
    let made = join_all(attempts).await;
    let made = made.into_iter().filter(|made| *made.as_ref().unwrap());
    assert_eq!(made.count(), 1);
    assert_eq!(subject.store().count(None).await.unwrap(), 2);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let subject = Tested::empty();
    let store = subject.store();
    let made = create(store.as_ref()).await;
    let id = ConversationId::random();
    let refused = [
        store.open(id).await.map(drop),
        store.metadata(id).await.map(drop),
        store.claim(id).await.map(drop),
        store.delete(id).await,
    ];
    for refused in refused {
        assert!(matches!(refused, Err(StoreError::NotFound(of)) if of == id));
    }
    assert_eq!(store.row(id).await.unwrap(), None);
    assert_eq!(store.holder(id).await.unwrap(), None);
    let of = [id, made.id, id];
    assert_eq!(
        store.metadata_of(&of).await.unwrap(),
        [None, Some(made.clone()), None]
    );
    let infos = store.infos(&of).await.unwrap();
    assert_eq!((infos.len(), &infos[0], &infos[2]), (3, &None, &None));
    assert_eq!(store.metadata_of(&[]).await.unwrap(), []);
    assert_eq!(store.count(None).await.unwrap(), 1);
}

#[tokio::test]
async fn metadata_is_replaced_as_a_whole() {
    let mut subject = Tested::empty();
    let (mut changed, mut writer) = claimed(subject.store().as_ref()).await;
    let other = create(subject.store().as_ref()).await;
    changed.title = Some("another \"title\"\n".to_owned());
    changed
        .settings
        .tags
        .insert("größe".to_owned(), "2".to_owned());
    changed.agent = json!({"kind": "KindToCome", "zebra": 1, "apple": [1.5, null]});
    changed
        .settings
        .secrets
        .insert("KEY".to_owned(), json!({"sealed": "abc"}));
    writer.log.set_metadata(&changed).await.unwrap();
    changed.settings.tags.clear();
    writer.log.set_metadata(&changed).await.unwrap();
    drop(writer);
    for _ in 0..2 {
        let store = subject.store();
        assert_eq!(store.metadata(changed.id).await.unwrap(), changed);
        let both = [other.id, changed.id, other.id];
        let expected = [&other, &changed, &other].map(|metadata| Some(metadata.clone()));
        assert_eq!(store.metadata_of(&both).await.unwrap(), expected);
        subject = subject.reopen();
    }
}

#[tokio::test]
async fn an_append_moves_the_row() {
    let mut subject = Tested::empty();
    let (made, mut writer) = claimed(subject.store().as_ref()).await;
    let store = subject.store();
    let appended = records(0..3);
    let moved = summary(ExecutionStatus::WaitingForConfirmation, 2);
    let extent = writer.log.append(appended.clone(), moved).await.unwrap();
    let row = store.row(made.id).await.unwrap().unwrap();
    let size = appended.iter().map(|record| record.bytes.len() as u64 + 1);
    let expected = Row {
        id: made.id,
        created_at: made.created_at,
        updated_at: moment(2),
        status: ExecutionStatus::WaitingForConfirmation,
        extent,
        bytes: size.sum(),
    };
    assert_eq!(row, expected);
    let count = |status| store.count(Some(status));
    assert_eq!(count(ExecutionStatus::Idle).await.unwrap(), 0);
    assert_eq!(count(row.status).await.unwrap(), 1);

    // No records: the row moves, and the log does not.
    let moved = summary(ExecutionStatus::Paused, 5);
    let same = writer.log.append(Vec::new(), moved).await.unwrap();
    assert_eq!((same, writer.log.extent()), (extent, extent));
    let expected = Row {
        updated_at: moment(5),
        status: ExecutionStatus::Paused,
        ..expected
    };
    assert_eq!(store.row(made.id).await.unwrap(), Some(expected));
    assert_eq!(log_of(store.as_ref(), made.id).await, as_read(&appended));
    drop(writer);

    subject = subject.reopen();
    let row = subject.store().row(made.id).await.unwrap().unwrap();
    assert_eq!((row.extent, row.bytes), (extent, expected.bytes));
}

/// What lists show, where a store has it ready, is true of the whole log.
#[tokio::test]
async fn infos_are_true_of_the_whole_log() {
    let mut subject = Tested::empty();
    let (mut metadata, mut writer) = claimed(subject.store().as_ref()).await;
    let ids = [ConversationId::random(), metadata.id];
    for (title, fits) in [("one", true), ("two", false), ("three", true)] {
        metadata.title = Some(title.to_owned());
        let extent = append(writer.log.as_mut(), 2).await;
        if fits {
            let state = ConversationState::new(&metadata);
            metadata.snapshot = Some(Snapshot { extent, state });
            let idle = summary(ExecutionStatus::Idle, extent.len.0);
            writer.log.append(Vec::new(), idle).await.unwrap();
        }
        writer.log.set_metadata(&metadata).await.unwrap();
        drop(writer);
        for _ in 0..2 {
            let infos = subject.store().infos(&ids).await.unwrap();
            assert_eq!((infos.len(), &infos[0]), (2, &None));
            if let Some(info) = &infos[1] {
                assert!(fits, "the metadata does not know the log's end");
                assert_eq!(
                    shown(&serde_json::from_slice(info).unwrap()),
                    shown(&listed(&metadata))
                );
            }
            subject = subject.reopen();
        }
        writer = claim(subject.store().as_ref(), metadata.id).await;
    }
}

fn listed(metadata: &core_model::Metadata) -> Value {
    let state = &metadata.snapshot.as_ref().unwrap().state;
    let info = ConversationInfo::new(metadata, state, "/".as_ref()).listed();
    serde_json::to_value(info).unwrap()
}

/// But for what only the store knows.
fn shown(info: &Value) -> Value {
    let mut info = info.clone();
    info["persistence_dir"].take();
    info
}

#[tokio::test]
async fn a_store_that_works_is_ready() {
    let mut subject = Tested::empty();
    for _ in 0..2 {
        let ready = Health {
            ready: Ok(()),
            notices: Vec::new(),
        };
        assert_eq!(subject.store().health(), ready);
        create(subject.store().as_ref()).await;
        subject = subject.reopen();
    }
}

#[tokio::test]
async fn what_was_acknowledged_before_it_was_closed_is_there_afterwards() {
    let mut subject = Tested::empty();
    let (made, mut writer) = claimed(subject.store().as_ref()).await;
    append(writer.log.as_mut(), 3).await;
    let row = subject.store().row(made.id).await.unwrap();
    let feed_len = subject.store().feed_len().await.unwrap();
    subject.store().close().await.unwrap();
    assert_eq!(subject.store().holder(made.id).await.unwrap(), None);
    drop(writer);

    subject = subject.reopen();
    let store = subject.store();
    assert_eq!(store.row(made.id).await.unwrap(), row);
    assert_eq!(store.feed_len().await.unwrap(), feed_len);
    assert_eq!(
        log_of(store.as_ref(), made.id).await,
        as_read(&records(0..3))
    );
}
