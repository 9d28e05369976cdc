use std::{
    env,
    path::PathBuf,
    process::{Command, Output},
};

use core_model::{Catalog, Seq};

use crate::support::{one_log, raw};

#[tokio::test]
async fn the_example_prints_a_log_while_the_server_has_it_open() {
    let (_root, store, id, log) = one_log(1).await;
    let unknown = r#"{"id":"a","timestamp":"2026-11-22T19:31:36.000001","source":"agent","kind":"EventFromTomorrow"}"#;
    log.append(vec![raw(unknown)], Some(Seq(1))).await.unwrap();
    let output = print_log(&store.folder(id));
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let time = crate::support::all(&*log).await[0].head.timestamp;
    assert_eq!(
        lines,
        [
            format!("     0  {time}  user         MessageEvent  number 0"),
            "     1  2026-11-22T19:31:36.000001  agent        EventFromTomorrow".to_owned(),
        ]
    );
}

#[tokio::test]
async fn the_example_names_damage_and_fails() {
    let (_root, store, id, _log) = one_log(1).await;
    let path = store.folder(id).join("events.jsonl");
    let whole = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{whole}oops\n{{")).unwrap();
    let output = print_log(&path);
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        errors.contains("line 2") && errors.contains("unfinished"),
        "{errors}"
    );
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 1);
}

/// Runs the example, which `cargo test` builds beside this test's own folder.
fn print_log(path: &std::path::Path) -> Output {
    let test = env::current_exe().unwrap();
    let example: PathBuf = test
        .parent()
        .unwrap()
        .with_file_name("examples")
        .join("print_log");
    Command::new(example).arg(path).output().unwrap()
}
