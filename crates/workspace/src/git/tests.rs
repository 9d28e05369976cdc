use std::{process::Command, time::SystemTime};

use super::*;
use crate::Processes;

/// As git itself says.
fn is_complete(folder: &Path) -> bool {
    let asked = Command::new("git")
        .args(["rev-parse", "--show-toplevel"])
        .current_dir(folder)
        .output()
        .unwrap();
    let top = String::from_utf8(asked.stdout).unwrap();
    asked.status.success() && Path::new(top.trim()) == folder.canonicalize().unwrap()
}

fn workspace(folder: &tempfile::TempDir) -> Workspace {
    Workspace::new(folder.path(), Processes::default())
}

#[tokio::test]
async fn conversations_that_begin_at_once_make_one_repository() {
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        // Two servers, with eight conversations each.
        let servers = [workspace(&folder), workspace(&folder)];
        let begun = servers
            .iter()
            .cycle()
            .take(16)
            .map(Workspace::ensure_repository);
        futures_util::future::join_all(begun).await;
        assert!(is_complete(folder.path()));
        assert!(!folder.path().join(".git/config.lock").exists());
    }
}

#[tokio::test]
async fn a_repository_that_a_crash_left_incomplete_is_completed() {
    for left in ["config.lock", "HEAD.lock", "description"] {
        let folder = tempfile::tempdir().unwrap();
        let git = folder.path().join(".git");
        fs::create_dir(&git).unwrap();
        let file = fs::File::create(git.join(left)).unwrap();
        let long_ago = SystemTime::now() - 10 * GIT_INIT_TIMEOUT;
        file.set_modified(long_ago).unwrap();
        workspace(&folder).ensure_repository().await;
        assert!(is_complete(folder.path()), "{left}");
    }
}

#[tokio::test]
async fn a_lock_in_use_stays_and_the_conversation_starts_without_a_repository() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join(".git")).unwrap();
    let lock = folder.path().join(".git/config.lock");
    fs::write(&lock, "").unwrap();
    workspace(&folder).ensure_repository().await;
    assert!(lock.exists());
}
