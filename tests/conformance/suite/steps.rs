//! What most tests do in between.

use core_model::{
    ConversationId, ExecutionStatus, Extent, Limit, LogReader, LogWriter, Metadata, NewRecord,
    Record, Seq, Store, StoreError, Summary,
    port::{Claim, Claimed, FeedEntry},
};

use super::fixture::{metadata, record, records, summary};

/// Makes a conversation.
pub(super) async fn create(store: &dyn Store) -> Metadata {
    let metadata = metadata(0);
    store.create(&metadata).await.unwrap();
    metadata
}

/// Makes a conversation, and claims it.
pub(super) async fn claimed(store: &dyn Store) -> (Metadata, Claim) {
    let metadata = create(store).await;
    let claim = claim(store, metadata.id).await;
    (metadata, claim)
}

/// Claims what no other server has.
pub(super) async fn claim(store: &dyn Store, id: ConversationId) -> Claim {
    match store.claim(id).await.unwrap() {
        Claimed::Mine(claim) => claim,
        Claimed::Theirs(holder) => panic!("{holder:?} has it"),
    }
}

/// Whether another server refuses a claim.
pub(super) async fn is_theirs(store: &dyn Store, id: ConversationId) -> bool {
    matches!(store.claim(id).await.unwrap(), Claimed::Theirs(_))
}

/// Appends that many of [`record`]s, going by the log's length.
pub(super) async fn append(log: &mut dyn LogWriter, count: u64) -> Extent {
    let from = log.extent().len.0;
    let more = records(from..from + count);
    let extent = log.append(more, running(from + count)).await.unwrap();
    assert_eq!((extent, extent.len), (log.extent(), Seq(from + count)));
    extent
}

/// The summary of a log of that length.
pub(super) fn running(len: u64) -> Summary {
    summary(ExecutionStatus::Running, len)
}

/// Whether a writer is fenced in all that it does.
pub(super) async fn is_fenced(log: &mut dyn LogWriter, metadata: &Metadata) -> bool {
    let mut refused = vec![
        log.append(vec![record(1_000)], running(1)).await.map(drop),
        log.append(Vec::new(), running(1)).await.map(drop),
        log.set_metadata(metadata).await,
    ];
    refused.retain(|refused| !matches!(refused, Err(StoreError::Fenced)));
    refused.is_empty()
}

/// A conversation's log from its start, some records at a time.
pub(super) async fn log_of(store: &dyn Store, id: ConversationId) -> Vec<Record> {
    let log = store.open(id).await.unwrap();
    let found = whole(log.as_ref()).await;
    assert_eq!(log.visible().len, Seq(found.len() as u64));
    found
}

/// As [`log_of`].
pub(super) async fn whole(log: &dyn LogReader) -> Vec<Record> {
    let mut found: Vec<Record> = Vec::new();
    loop {
        let page = log.read(Seq(found.len() as u64), Limit::records(7));
        let page = page.await.unwrap();
        if page.is_empty() {
            return found;
        }
        found.extend(page);
    }
}

/// How a log reads that has these records.
pub(super) fn as_read(records: &[NewRecord]) -> Vec<Record> {
    let places = (0..).map(Seq).zip(records.to_vec());
    let read = places.map(|(seq, NewRecord { head, bytes })| Record { seq, head, bytes });
    read.collect()
}

/// The feed from a position on, some entries at a time.
pub(super) async fn feed_from(store: &dyn Store, mut from: u64) -> Vec<FeedEntry> {
    let end = store.feed_len().await.unwrap();
    let mut found = Vec::new();
    loop {
        let some = store.feed_entries(from, 3).await.unwrap();
        assert!(some.len() <= 3);
        let Some(last) = some.last() else {
            return found;
        };
        assert!(
            some.iter()
                .all(|entry| (from..end).contains(&entry.position))
        );
        assert!(some.is_sorted_by(|a, b| a.position < b.position));
        from = last.position + 1;
        found.extend(some);
    }
}
