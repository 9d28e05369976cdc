use std::fs;

use super::*;
use crate::disk::RealDisk;

fn files(folder: &tempfile::TempDir, limit: usize) -> ReceiptFiles {
    let root = folder.path().to_owned();
    ReceiptFiles::new(
        Arc::new(RealDisk),
        root.clone(),
        root.join(".receipts"),
        limit,
    )
}

fn segments(folder: &tempfile::TempDir) -> Vec<PathBuf> {
    let names = fs::read_dir(folder.path().join(".receipts")).unwrap();
    let mut paths: Vec<PathBuf> = names.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn a_request_is_new_once_and_its_answer_stays_across_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let receipts = files(&folder, 10);
    let first = receipts.begin([1; 32], [9; 32]).unwrap();
    assert!(!first.begun);
    let begun = Receipt {
        begun: true,
        ..first
    };
    assert_eq!(receipts.begin([1; 32], [8; 32]).unwrap(), begun);
    let reopened = files(&folder, 10);
    assert_eq!(reopened.begin([1; 32], [9; 32]).unwrap(), begun);
    let answer = Bytes::from_static(b"{\"seq\":1}\n\xff");
    reopened.finish([1; 32], &answer).unwrap();
    let answered = Receipt {
        answer: Some(answer),
        ..begun
    };
    assert_eq!(reopened.begin([1; 32], [9; 32]).unwrap(), answered);
    let reopened = files(&folder, 10);
    assert_eq!(reopened.begin([1; 32], [9; 32]).unwrap(), answered);
    assert!(!reopened.begin([2; 32], [9; 32]).unwrap().begun);
    assert!(reopened.finish([3; 32], &Bytes::new()).is_err());
}

#[test]
fn what_left_nothing_behind_is_new_again() {
    let folder = tempfile::tempdir().unwrap();
    let receipts = files(&folder, 1);
    for _ in 0..3 {
        assert!(!receipts.begin([1; 32], [9; 32]).unwrap().begun);
        receipts.forget([1; 32]).unwrap();
    }
    assert!(receipts.forget([1; 32]).is_ok());
    let reopened = files(&folder, 1);
    assert!(!reopened.begin([1; 32], [8; 32]).unwrap().begun);
}

#[test]
fn after_a_day_a_key_is_new_and_what_was_kept_goes() {
    let folder = tempfile::tempdir().unwrap();
    let receipts = files(&folder, 10);
    let now = Utc::now().timestamp();
    let first = receipts.begin_at([1; 32], [9; 32], now).unwrap();
    let late = receipts.begin_at([1; 32], [9; 32], now + KEPT - 1).unwrap();
    assert_eq!((late.begun, late.nonce), (true, first.nonce));
    let next = receipts.begin_at([1; 32], [8; 32], now + KEPT).unwrap();
    assert!(!next.begun);
    assert_ne!(next.nonce, first.nonce);
    receipts.begin_at([2; 32], [9; 32], now + 2 * KEPT).unwrap();
    receipts.begin_at([3; 32], [9; 32], now + 3 * KEPT).unwrap();
    let hours = [2, 3].map(|days| format!("{}.jsonl", (now + days * KEPT) / HOUR));
    let left: Vec<_> = segments(&folder)
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(left, hours);
    assert_eq!(lock(&receipts.state).known.len(), 2);
}

#[test]
fn as_many_as_may_be_are_kept_and_one_more_is_refused_until_some_are_too_old() {
    let folder = tempfile::tempdir().unwrap();
    let receipts = files(&folder, 2);
    let now = Utc::now().timestamp();
    for key in [1, 2] {
        assert!(!receipts.begin_at([key; 32], [9; 32], now).unwrap().begun);
    }
    let refused = receipts.begin_at([3; 32], [9; 32], now);
    assert!(matches!(
        refused,
        Err(StoreError::TooManyReceipts { limit: 2 })
    ));
    assert!(receipts.begin_at([1; 32], [9; 32], now).unwrap().begun);
    let later = now + KEPT + HOUR;
    assert!(!receipts.begin_at([3; 32], [9; 32], later).unwrap().begun);
}

#[test]
fn torn_and_foreign_lines_cost_only_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let first = files(&folder, 10).begin([1; 32], [0; 32]).unwrap();
    let path = segments(&folder).remove(0);
    let good = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("nonsense\n{good}{{\"key\":")).unwrap();
    let receipts = files(&folder, 10);
    let known = receipts.begin([1; 32], [0; 32]).unwrap();
    assert_eq!((known.begun, known.nonce), (true, first.nonce));
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        format!("nonsense\n{good}")
    );
    receipts.begin([2; 32], [0; 32]).unwrap();
    let reopened = files(&folder, 10);
    assert!(reopened.begin([2; 32], [0; 32]).unwrap().begun);
}

#[test]
fn lines_longer_than_one_read_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let receipts = files(&folder, 10);
    let answer = Bytes::from(vec![b'x'; 300_000]);
    for key in [1, 2] {
        receipts.begin([key; 32], [0; 32]).unwrap();
        receipts.finish([key; 32], &answer).unwrap();
    }
    let reopened = files(&folder, 10);
    for key in [1, 2] {
        let known = reopened.begin([key; 32], [0; 32]).unwrap();
        assert_eq!(known.answer.as_ref(), Some(&answer));
    }
}
