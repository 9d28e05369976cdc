use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use core_model::{ExecutionStatus, Seq};

use super::{
    Subject,
    fixture::{large, record, records, summary},
    steps::{append, as_read, claim, claimed, log_of, running, whole},
};
use crate::Tested;

#[tokio::test]
async fn what_is_appended_is_visible_and_stays() {
    let mut subject = Tested::empty();
    let (made, mut writer) = claimed(subject.store().as_ref()).await;
    let reader = subject.store().open(made.id).await.unwrap();
    let mut extents = vec![reader.visible()];
    for count in [1, 5, 2, 40] {
        let extent = append(writer.log.as_mut(), count).await;
        assert_eq!(reader.visible(), extent);
        assert!(!extents.contains(&extent));
        extents.push(extent);
    }
    assert_eq!(whole(reader.as_ref()).await, as_read(&records(0..48)));
    drop((reader, writer));

    // Stored state carries extents: they mean the same to a server that starts later.
    for _ in 0..2 {
        subject = subject.reopen();
        let reader = subject.store().open(made.id).await.unwrap();
        assert_eq!(Some(&reader.visible()), extents.last());
        assert!(extents.iter().all(|extent| reader.had(*extent)));
        assert_eq!(whole(reader.as_ref()).await, as_read(&records(0..48)));
    }
    let mut writer = claim(subject.store().as_ref(), made.id).await;
    assert_eq!(Some(&writer.log.extent()), extents.last());
    append(writer.log.as_mut(), 2).await;
    let store = subject.store().as_ref();
    assert_eq!(log_of(store, made.id).await, as_read(&records(0..50)));
}

#[tokio::test]
async fn an_event_of_any_size_is_stored_as_it_is() {
    let subject = Tested::empty();
    let (made, mut writer) = claimed(subject.store().as_ref()).await;
    let all = [record(0), large(1, 3 << 20), record(2), large(3, 100_000)];
    let (before, after) = all.split_at(2);
    for batch in [before, after] {
        let appended = writer.log.append(batch.to_vec(), running(4));
        appended.await.unwrap();
    }
    let store = subject.store().as_ref();
    assert_eq!(log_of(store, made.id).await, as_read(&all));
}

/// Readers see whole batches, each a little later than its bytes are safe, and no step back.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_batch_is_visible_as_a_whole() {
    const BATCH: u64 = 7;
    let subject = Tested::empty();
    let (made, mut writer) = claimed(subject.store().as_ref()).await;
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (store, done) = (subject.store().clone(), Arc::clone(&done));
            tokio::spawn(async move {
                let log = store.open(made.id).await.unwrap();
                let mut last = log.visible();
                while !done.load(Ordering::Acquire) {
                    let row = store.row(made.id).await.unwrap().unwrap();
                    let now = log.visible();
                    assert_eq!(now.len.0 % BATCH, 0);
                    assert!(now.len >= last.len && now.len >= row.extent.len);
                    assert!(log.had(last));
                    let seen = whole(log.as_ref()).await;
                    assert!(seen.len() as u64 >= now.len.0);
                    assert_eq!(seen.len() as u64 % BATCH, 0);
                    last = now;
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for _ in 0..40 {
        append(writer.log.as_mut(), BATCH).await;
    }
    done.store(true, Ordering::Release);
    for reader in readers {
        reader.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn logs_do_not_disturb_each_other() {
    let subject = Tested::empty();
    let mut tasks = Vec::new();
    for _ in 0..6 {
        let (made, mut writer) = claimed(subject.store().as_ref()).await;
        tasks.push(tokio::spawn(async move {
            for _ in 0..12 {
                append(writer.log.as_mut(), 3).await;
            }
            let finished = summary(ExecutionStatus::Finished, 36);
            writer.log.append(Vec::new(), finished).await.unwrap();
            made.id
        }));
    }
    for task in tasks {
        let id = task.await.unwrap();
        let store = subject.store().as_ref();
        assert_eq!(log_of(store, id).await, as_read(&records(0..36)));
        let row = store.row(id).await.unwrap().unwrap();
        assert_eq!(
            (row.extent.len, row.status),
            (Seq(36), ExecutionStatus::Finished)
        );
    }
    assert_eq!(
        subject
            .store()
            .count(Some(ExecutionStatus::Finished))
            .await
            .unwrap(),
        6
    );
}
