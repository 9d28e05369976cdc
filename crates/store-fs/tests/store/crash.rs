//! What survives a killed server and a disk that refuses. Both need a process of their own: this
//! binary again, running the ignored test [`child`] as told by its environment.

use std::{
    env,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use core_model::{Catalog, ConversationId, Seq, StoreError};
use nix::sys::signal::Signal;
use store_fs::{AppendError, FsLog, FsStore};
use tokio::signal::unix::{SignalKind, signal};

use crate::support::{all, message, metadata, store};

const ROOT: &str = "STORE_TEST_ROOT";
const ID: &str = "STORE_TEST_ID";
const ACK: &str = "acknowledged ";

#[tokio::test]
async fn acknowledged_events_survive_kills_at_any_moment() {
    const KILLS: u64 = 20;
    let root = tempfile::tempdir().unwrap();
    let id = ConversationId::random();
    store(root.path()).create(&metadata(id)).await.unwrap();
    let mut total = 0;
    for round in 0..KILLS {
        let acknowledged = run_and_kill(root.path(), id, Duration::from_micros(700 * round));
        let store = store(root.path());
        let log = store.open_log(id).await.unwrap();
        assert!(
            log.len() >= Seq(acknowledged),
            "round {round}: {acknowledged} acknowledged, {} kept",
            log.len()
        );
        let records = all(&log).await;
        assert_eq!(records.len(), log.len().index(), "no line is damaged");
        for (number, record) in records.iter().enumerate() {
            assert_eq!(record.event().unwrap().id.0, format!("message-{number}"));
        }
        total = total.max(acknowledged);
    }
    assert!(
        total >= KILLS,
        "each round appended something, {total} in all"
    );
}

/// Lets a child append until a while after its first acknowledgement, kills it, and returns the
/// log's length as last acknowledged.
fn run_and_kill(root: &Path, id: ConversationId, while_after: Duration) -> u64 {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(child_arguments())
        .env(ROOT, root)
        .env(ID, id.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged = || lines.find_map(|line| line.ok()?.split_once(ACK)?.1.parse().ok());
    let mut last: u64 = acknowledged().expect("the child appends");
    std::thread::sleep(while_after);
    child.kill().unwrap();
    while let Some(len) = acknowledged() {
        last = len;
    }
    child.wait().unwrap();
    last
}

#[tokio::test]
async fn a_log_whose_write_failed_takes_no_more_events_until_it_is_opened_anew() {
    let root = tempfile::tempdir().unwrap();
    let id = ConversationId::random();
    store(root.path()).create(&metadata(id)).await.unwrap();
    let output = Command::new("sh")
        .args(["-c", r#"ulimit -f 16; exec "$0" "$@""#])
        .arg(env::current_exe().unwrap())
        .args(child_arguments())
        .env(ROOT, root.path())
        .env(ID, id.to_string())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    let mut acknowledged = text.lines().filter_map(|line| line.split_once(ACK));
    let last: u64 = acknowledged.next_back().unwrap().1.parse().unwrap();

    let store = store(root.path());
    let log = store.open_log(id).await.unwrap();
    assert_eq!(log.len(), Seq(last), "what was refused is not there");
    assert!(last > 1);
    log.append(vec![message(0)], Some(Seq(last))).await.unwrap();
    let folder = std::fs::read_dir(store.folder(id)).unwrap();
    assert_eq!(
        folder.count(),
        3,
        "the failed write was cut off, nothing was torn"
    );
}

/// Not a test by itself: appends and acknowledges until it is killed or a write fails, and then
/// checks that the log is poisoned.
#[tokio::test]
#[ignore = "run by the tests above"]
async fn child() {
    let (Ok(root), Ok(id)) = (env::var(ROOT), env::var(ID)) else {
        panic!("run by the tests above");
    };
    // As a program that embeds the store does it: otherwise the size limit's signal ends it.
    let xfsz = SignalKind::from_raw(Signal::SIGXFSZ as i32);
    let _handled = signal(xfsz).unwrap();
    let store = store(Path::new(&root));
    let id = id.parse().unwrap();
    let log = store.open_log(id).await.unwrap();
    let error = append_until_error(&log).await;
    check_poisoned(&store, id, &log, &error).await;
}

async fn append_until_error(log: &FsLog) -> AppendError {
    loop {
        let len = log.len();
        // Batches, so that a kill can fall between two lines of one write.
        let batch = (len.index()..len.index() + 1 + len.index() % 5)
            .map(message)
            .collect();
        match log.append(batch, Some(len)).await {
            Ok(len) => println!("{ACK}{len}"),
            Err(error) => return error,
        }
    }
}

async fn check_poisoned(store: &FsStore, id: ConversationId, log: &FsLog, error: &AppendError) {
    let failed = matches!(error, AppendError::Store(StoreError::Io { .. }));
    assert!(failed, "{error}");
    let len = log.len();
    let refused = log.append(vec![message(0)], Some(len)).await.unwrap_err();
    let AppendError::Store(StoreError::Poisoned(reason)) = &refused else {
        panic!("{refused}");
    };
    let unready = store.health().ready.unwrap_err();
    assert!(unready.contains(&reason.reason), "{unready}");
    assert!(unready.contains(&id.to_string()), "{unready}");
    assert_eq!(all(log).await.len(), len.index(), "reads go on");

    // Other conversations are not affected.
    let other = metadata(ConversationId::random());
    store.create(&other).await.unwrap();
    let fine = store.open_log(other.id).await.unwrap();
    fine.append(vec![message(0)], Some(Seq(0))).await.unwrap();

    store.delete(other.id).await.unwrap();
}

fn child_arguments() -> [&'static str; 4] {
    ["crash::child", "--exact", "--ignored", "--nocapture"]
}
