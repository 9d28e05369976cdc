use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use core_model::{Catalog, Draft, EventTime, LogReader, NewRecord, Seq};
use serde_json::json;

use crate::support::{all, message, metadata, one_log, raw};

#[tokio::test]
async fn tail_prints_the_last_events_while_the_server_has_the_log_open() {
    let (_root, store, id, log) = one_log(2).await;
    let unknown = r#"{"id":"a","timestamp":"2026-11-22T19:31:36.000001","source":"agent","kind":"EventFromTomorrow"}"#;
    log.append(vec![raw(unknown)], Some(Seq(2))).await.unwrap();
    let output = example("tail")
        .args(["-n", "2"])
        .arg(store.folder(id))
        .output();
    let time = all(&log).await[1].head.timestamp;
    assert_eq!(
        printed(&output.unwrap()),
        [
            format!("     1  {time}  user         MessageEvent  number 1"),
            "     2  2026-11-22T19:31:36.000001  agent        EventFromTomorrow".to_owned(),
        ]
    );
}

#[tokio::test]
async fn tail_names_damage_and_fails() {
    let (_root, store, id, _log) = one_log(1).await;
    let path = store.folder(id).join("events.jsonl");
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{whole}oops\n{{")).unwrap();
    let output = example("tail").arg(&path).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        errors.contains("line 2") && errors.contains("unfinished"),
        "{errors}"
    );
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 1);
}

#[tokio::test]
async fn tail_follows_until_the_conversation_goes() {
    let (_root, store, id, log) = one_log(1).await;
    let mut tail = example("tail")
        .arg("-f")
        .arg(store.folder(id))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    for number in 0..3 {
        let line = lines.next().unwrap().unwrap();
        assert!(line.ends_with(&format!("number {number}")), "{line}");
        log.append(vec![message(number + 1)], None).await.unwrap();
    }
    assert!(lines.next().unwrap().unwrap().ends_with("number 3"));
    store.delete(id).await.unwrap();
    assert_eq!(tail.wait().unwrap().code(), Some(1));
    assert!(lines.next().is_none());
}

#[tokio::test]
async fn an_example_whose_reader_has_enough_ends_well() {
    let (_root, store, id, _log) = one_log(1).await;
    for (name, arguments) in [("tail", &[][..]), ("grep", &["number"]), ("stats", &[])] {
        let folder = store.folder(id);
        let path = match name {
            "stats" => folder.parent().unwrap(),
            _ => &folder,
        };
        // A pipe that nobody reads.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = example(name)
            .args(arguments)
            .arg(path)
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
            .wait_with_output()
            .unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && errors.is_empty(), "{errors}");
    }
}

#[tokio::test]
async fn grep_searches_one_or_all_conversations() {
    let (root, store, id, log) = one_log(2).await;
    let quoted = Draft::state("note", json!("say \"number\" twice"));
    let quoted = NewRecord::encode(&quoted.at(EventTime::now(), None)).unwrap();
    log.append(vec![quoted], None).await.unwrap();
    let mut other = metadata(core_model::ConversationId::random());
    other.title = Some("other".to_owned());
    store.create(&other).await.unwrap();
    let second = store.open_log(other.id).await.unwrap();
    second.append(vec![message(1)], None).await.unwrap();
    let found = |arguments: &[&str], path: &Path| {
        let output = example("grep").args(arguments).arg(path).output().unwrap();
        let mut places: Vec<String> = printed(&output)
            .iter()
            .map(|line| line.split(": ").next().unwrap().to_owned())
            .collect();
        places.sort();
        (output.status.code().unwrap(), places)
    };
    let folder = store.folder(id);
    let mut both = vec![format!("{id}:1"), format!("{}:0", other.id)];
    both.sort();
    assert_eq!(found(&["number 1"], root.path()), (0, both));
    assert_eq!(
        found(&["number"], &folder),
        (0, (0..3).map(|seq| format!("{id}:{seq}")).collect())
    );
    assert_eq!(found(&["-k", "MessageEvent", "number"], &folder).1.len(), 2);
    assert_eq!(
        found(&["say \"number\""], &folder),
        (0, vec![format!("{id}:2")])
    );
    assert_eq!(found(&["nowhere"], root.path()), (1, vec![]));
    fs::write(folder.join("events.jsonl"), "oops\n").unwrap();
    assert_eq!(found(&["number 1"], root.path()).0, 2);
    assert_eq!(found(&["number 1"], &root.path().join("none")).0, 2);
}

#[tokio::test]
async fn stats_tells_what_is_in_each_conversation() {
    let (root, store, id, log) = one_log(2).await;
    let spent = json!({"usage_to_metrics": {"agent": {
        "accumulated_cost": 0.25,
        "accumulated_token_usage": {"prompt_tokens": 30, "completion_tokens": 12},
    }}});
    let spent = Draft::state("stats", spent).at(EventTime::now(), None);
    log.append(vec![NewRecord::encode(&spent).unwrap()], None)
        .await
        .unwrap();
    let records = all(&log).await;
    let output = example("stats").arg(root.path()).output().unwrap();
    assert_eq!(
        printed(&output),
        [
            id.to_string(),
            format!("  3 events, {} bytes", log.visible().version),
            format!(
                "  from {} to {}",
                records[0].head.timestamp, records[2].head.timestamp
            ),
            "         1  ConversationStateUpdateEvent".to_owned(),
            "         2  MessageEvent".to_owned(),
            "  agent: 30 tokens in, 12 out, $0.2500".to_owned(),
        ]
    );
    assert!(output.status.success() && store.folder(id).exists());
}

fn printed(output: &Output) -> Vec<String> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// An example, which `cargo test` builds beside this test's own folder.
fn example(name: &str) -> Command {
    let test = env::current_exe().unwrap();
    let folder: PathBuf = test.parent().unwrap().with_file_name("examples");
    Command::new(folder.join(name))
}
