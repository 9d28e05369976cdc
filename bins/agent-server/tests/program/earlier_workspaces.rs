//! Workspaces that an earlier build wrote: this one verifies and continues them. How they were made is
//! in `tests/fixtures/workspaces/README.md`.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use test_support::receiver::Receiver;

use crate::support::{Running, agent_server, ask_with, output, parts, wait_until};

/// A copy of a fixture.
struct Workspace {
    folder: TempDir,
    /// Of its one conversation that is not deleted.
    id: String,
    /// The log as the earlier build left it.
    before: Vec<u8>,
}

impl Workspace {
    fn copied(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let from = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures/workspaces")
            .join(name);
        copy(&from, &folder.path().join("workspace"));
        let conversations = folder.path().join("workspace/conversations");
        let ids = fs::read_dir(conversations).unwrap();
        let names = ids.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let id = names
            .into_iter()
            .find(|name| !name.starts_with('.'))
            .unwrap();
        let mut workspace = Self {
            folder,
            id,
            before: Vec::new(),
        };
        workspace.before = workspace.log();
        workspace
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("workspace")
    }

    fn log(&self) -> Vec<u8> {
        fs::read(
            self.path()
                .join("conversations")
                .join(&self.id)
                .join("events.jsonl"),
        )
        .unwrap()
    }

    fn verified(&self) -> bool {
        output(agent_server(self.folder.path()).arg("verify")).0
    }

    fn start(&self, webhook: Option<&Receiver>) -> Running {
        let webhooks: Vec<Value> = webhook
            .map(|receiver| {
                json!({
                    "name": "fixture",
                    "webhook_url": receiver.url("/"),
                    "flush_delay": 0.05,
                })
            })
            .into_iter()
            .collect();
        let config = json!({
            "host": "127.0.0.1", "port": 0, "secret_key": "fixture", "webhooks": webhooks,
        });
        let path = self.folder.path().join("config.json");
        fs::write(&path, config.to_string()).unwrap();
        Running::start(agent_server(self.folder.path()).arg("--config").arg(&path))
    }

    fn info(&self, server: &Running) -> Value {
        json_of(
            &server
                .get(&format!("/api/conversations/{}", self.id))
                .unwrap(),
        )
    }

    fn events(&self) -> Vec<Value> {
        let log = String::from_utf8(self.log()).unwrap();
        log.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Sends a message and waits until the agent has answered it.
    fn continue_on(&self, server: &Running) {
        let text = "```json\n[{\"say\": \"I am still here.\"}]\n```";
        let message = json!({
            "role": "user", "content": [{"type": "text", "text": text}], "run": true,
        });
        let path = format!("/api/conversations/{}/events", self.id);
        let answer = server.post(&path, &message.to_string());
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        wait_until("the agent answers", || {
            self.info(server)["execution_status"] == "finished"
        });
        let events = self.events();
        let said = |event: &&Value| event["source"] == "agent" && event["kind"] == "MessageEvent";
        let last = events.iter().rev().find(said).unwrap().to_string();
        assert!(last.contains("I am still here."), "{last}");
        assert_distinct(&events);
    }

    /// Stops the server; what it wrote is sound, and what was there is unchanged.
    fn stop(&self, mut server: Running) {
        server.signal("TERM");
        server.wait();
        assert!(self.log().starts_with(&self.before));
        assert!(self.verified());
    }
}

#[tokio::test]
async fn a_finished_conversation_is_continued_and_its_webhook_gets_what_it_lacks() {
    let workspace = Workspace::copied("finished");
    assert!(workspace.verified());
    let receiver = Receiver::start();
    let server = workspace.start(Some(&receiver));
    let hook = || json_of(&server.get("/webhooks").unwrap())[0].clone();
    assert_eq!(hook()["dead_letters"], 2);
    workspace.continue_on(&server);
    wait_until("all is delivered", || hook()["lag"]["events"] == 0);
    workspace.stop(server);

    let delivered: Vec<Value> = receiver
        .deliveries()
        .iter()
        .flat_map(|one| one.events())
        .collect();
    let events = workspace.events();
    assert_eq!(
        delivered,
        events[33..],
        "from the cursor on, each once, in order"
    );
    assert!(events.len() > 40);
}

#[test]
fn a_run_that_was_killed_is_paused_and_continued() {
    let workspace = Workspace::copied("killed");
    assert!(workspace.verified());
    let server = workspace.start(None);
    wait_until("it is recovered", || {
        workspace.info(&server)["execution_status"] == "paused"
    });
    let before = workspace
        .before
        .iter()
        .filter(|byte| **byte == b'\n')
        .count();
    let recovered = workspace.events().split_off(before);
    let errors = recovered
        .iter()
        .filter(|event| event["kind"] == "AgentErrorEvent");
    assert_eq!(errors.count(), 1, "{recovered:?}");
    workspace.continue_on(&server);
    workspace.stop(server);
}

#[test]
fn a_torn_last_line_is_moved_aside_and_the_conversation_continued() {
    let mut workspace = Workspace::copied("torn");
    assert!(!workspace.verified());
    let whole = workspace
        .before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .unwrap()
        + 1;
    let torn = workspace.before.split_off(whole);
    let server = workspace.start(None);
    wait_until("it is recovered", || {
        workspace.info(&server)["execution_status"] == "paused"
    });
    let folder = workspace.path().join("conversations").join(&workspace.id);
    let names = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let aside: Vec<Vec<u8>> = names
        .filter(|path| path.to_string_lossy().contains("events.jsonl.torn-"))
        .map(|path| fs::read(path).unwrap())
        .collect();
    assert_eq!(aside, [torn]);
    workspace.continue_on(&server);
    workspace.stop(server);
}

#[tokio::test]
async fn secrets_tags_receipts_and_a_deleted_conversation_are_kept() {
    let workspace = Workspace::copied("settings");
    assert!(workspace.verified());
    renew_receipts(&workspace.path().join("conversations/.receipts"));
    let outbox = workspace.path().join("webhooks/outbox");
    let deleted = fs::read_dir(&outbox).unwrap().next().unwrap().unwrap();
    let deleted_log = fs::read_to_string(deleted.path().join("events.jsonl")).unwrap();
    let deleted_id = deleted.file_name().into_string().unwrap();
    let (deleted_id, _) = deleted_id.split_once('.').unwrap();

    let receiver = Receiver::start();
    let server = workspace.start(Some(&receiver));
    let info = workspace.info(&server);
    assert_eq!(info["tags"], json!({"team": "blue"}));
    assert_eq!(
        info["secret_registry"]["secret_sources"]["TOKEN"],
        json!({"kind": "StaticSecret", "description": null, "value": null})
    );
    let request = fs::read_to_string(workspace.path().join("request.json")).unwrap();
    let key = "Idempotency-Key: fixture-1\r\n";
    let answer = ask_with(server.address, "POST", "/conversations", key, &request).unwrap();
    assert!(answer.contains("idempotency-replayed: true"), "{answer}");
    assert_eq!(json_of(&answer)["id"], workspace.id);

    let expected: Vec<Value> = deleted_log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    receiver.wait_for_events(deleted_id, expected.len()).await;
    assert_eq!(receiver.events_of(deleted_id), expected);
    workspace.continue_on(&server);
    let expected = workspace.events();
    receiver
        .wait_for_events(&workspace.id, expected.len())
        .await;
    workspace.stop(server);
    let delivered: usize = receiver
        .deliveries()
        .iter()
        .map(|one| one.events().len())
        .sum();
    let in_logs = workspace.events().len() + deleted_log.lines().count();
    assert_eq!(delivered, in_logs, "each event once");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = (
            entry.as_ref().unwrap().path(),
            to.join(entry.unwrap().file_name()),
        );
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}

/// Dates receipts as of now, because they are kept for a day.
fn renew_receipts(folder: &Path) {
    let file = fs::read_dir(folder)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let renewed: String = fs::read_to_string(&file)
        .unwrap()
        .lines()
        .map(|line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            line["at"] = now.into();
            format!("{line}\n")
        })
        .collect();
    fs::remove_file(file).unwrap();
    fs::write(folder.join(format!("{}.jsonl", now / 3600)), renewed).unwrap();
}

fn assert_distinct(events: &[Value]) {
    let mut ids: Vec<&str> = events
        .iter()
        .filter_map(|event| event["id"].as_str())
        .collect();
    assert_eq!(ids.len(), events.len());
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), events.len(), "an id comes twice");
}

fn json_of(answer: &str) -> Value {
    let (_, body) = parts(answer).unwrap_or_else(|| panic!("{answer}"));
    serde_json::from_str(&body).unwrap_or_else(|_| panic!("{answer}"))
}
