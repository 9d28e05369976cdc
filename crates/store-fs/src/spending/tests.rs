use core_model::budget::Spent;

use super::*;
use crate::disk::RealDisk;

fn file(folder: &tempfile::TempDir) -> SpendingFile {
    SpendingFile::new(Arc::new(RealDisk), folder.path().join(".spending"))
}

fn tokens(tokens: u64) -> Vec<DaySpending> {
    vec![DaySpending {
        key: Some("ci".repeat(500)),
        day: "2026-12-01".parse().unwrap(),
        spent: Spent {
            tokens,
            ..Spent::default()
        },
    }]
}

#[test]
fn what_is_added_stays_and_half_a_line_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let spending = file(&folder);
    assert_eq!(spending.read().unwrap(), SpendingRecord::default());
    spending.add(tokens(5)).unwrap();
    spending.add(tokens(7)).unwrap();
    let path = folder.path().join(".spending");
    let mut text = std::fs::read(&path).unwrap();
    text.extend_from_slice(b"{\"key\":null,\"day\":\"2026-");
    std::fs::write(&path, text).unwrap();
    let spending = file(&folder);
    assert_eq!(
        spending.read().unwrap().by_day.days().collect::<Vec<_>>(),
        tokens(12)
    );
    spending.add(tokens(1)).unwrap();
    assert_eq!(file(&folder).read().unwrap(), spending.read().unwrap());
}

#[test]
fn the_file_stays_short_however_often_something_is_added() {
    let folder = tempfile::tempdir().unwrap();
    let spending = file(&folder);
    let budgets = SharedBudgets::default();
    spending.set_budgets(Some(budgets.clone())).unwrap();
    let line = encode(&tokens(1).into_iter().map(Line::Day).collect::<Vec<_>>()).unwrap();
    let times = 2 * GARBAGE / line.len() as u64;
    for _ in 0..times {
        spending.add(tokens(1)).unwrap();
    }
    let size = std::fs::metadata(folder.path().join(".spending"))
        .unwrap()
        .len();
    assert!(size < 2 * GARBAGE, "{size}");
    let read = file(&folder).read().unwrap();
    assert_eq!(read.by_day.days().collect::<Vec<_>>(), tokens(times));
    assert_eq!(read.budgets, Some(budgets));
}
