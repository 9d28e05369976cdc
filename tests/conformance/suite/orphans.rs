use std::collections::BTreeSet;

use core_model::{
    ConversationId, ConversationState, ExecutionStatus, LogWriter, Metadata, Snapshot, Store,
};

use super::{
    Subject,
    fixture::summary,
    steps::{append, claim, claimed},
};
use crate::Tested;

async fn orphans(store: &dyn Store) -> BTreeSet<ConversationId> {
    let found = store.orphans(100).await.unwrap();
    let len = found.len();
    let found = BTreeSet::from_iter(found);
    assert_eq!(found.len(), len);
    found
}

/// Stores that a log is folded to its end, and in this status.
async fn rest(log: &mut dyn LogWriter, metadata: &Metadata, status: ExecutionStatus) {
    let extent = log.extent();
    let summary = summary(status, extent.len.0);
    log.append(Vec::new(), summary).await.unwrap();
    let mut metadata = metadata.clone();
    let mut state = ConversationState::new(&metadata);
    state.execution_status = status;
    metadata.snapshot = Some(Snapshot { extent, state });
    log.set_metadata(&metadata).await.unwrap();
}

#[tokio::test]
async fn what_runs_and_nobody_holds_is_an_orphan() {
    let mut subject = Tested::empty();
    let store = subject.store().clone();
    let (_, claim_new) = claimed(store.as_ref()).await;
    let (resting, mut claim_resting) = claimed(store.as_ref()).await;
    let (first, mut claim_first) = claimed(store.as_ref()).await;
    let (second, mut claim_second) = claimed(store.as_ref()).await;
    for claim in [&mut claim_resting, &mut claim_first, &mut claim_second] {
        append(claim.log.as_mut(), 3).await;
    }
    rest(
        claim_resting.log.as_mut(),
        &resting,
        ExecutionStatus::Finished,
    )
    .await;
    // A run that stored its state is a run all the same.
    rest(claim_first.log.as_mut(), &first, ExecutionStatus::Running).await;
    assert_eq!(orphans(store.as_ref()).await, BTreeSet::new());
    drop((claim_new, claim_resting, claim_first, claim_second));
    let expected = BTreeSet::from([first.id, second.id]);
    assert_eq!(orphans(store.as_ref()).await, expected);
    let one = store.orphans(1).await.unwrap();
    assert!(one.len() == 1 && expected.contains(&one[0]));
    assert_eq!(store.orphans(0).await.unwrap(), []);
    drop(store);

    subject = subject.reopen();
    let store = subject.store().as_ref();
    assert_eq!(orphans(store).await, expected);
    let claim_first = claim(store, first.id).await;
    assert_eq!(orphans(store).await, BTreeSet::from([second.id]));
    store.delete(second.id).await.unwrap();
    assert_eq!(orphans(store).await, BTreeSet::new());
    drop(claim_first);
    assert_eq!(orphans(store).await, BTreeSet::from([first.id]));
}

#[tokio::test]
async fn what_was_looked_after_is_no_orphan_any_more() {
    let mut subject = Tested::empty();
    let (runs, mut writer) = claimed(subject.store().as_ref()).await;
    append(writer.log.as_mut(), 3).await;
    drop(writer);
    subject = subject.reopen();
    let store = subject.store().clone();
    assert_eq!(orphans(store.as_ref()).await, BTreeSet::from([runs.id]));
    let mut writer = claim(store.as_ref(), runs.id).await;
    append(writer.log.as_mut(), 1).await;
    rest(writer.log.as_mut(), &runs, ExecutionStatus::Paused).await;
    drop(writer);
    assert_eq!(orphans(store.as_ref()).await, BTreeSet::new());
    drop(store);
    subject = subject.reopen();
    assert_eq!(orphans(subject.store().as_ref()).await, BTreeSet::new());
}
