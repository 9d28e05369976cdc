//! Requests with an `Idempotency-Key` to a server that is killed while it carries them out.

use std::{fs, net::SocketAddr, path::Path, thread, time::Duration};

use serde_json::{Value, json};

use crate::support::{Running, agent_server, ask_with, parts, wait_until};

const LOCAL: [&str; 4] = ["--host", "127.0.0.1", "--port", "0"];
/// Kills under way, each a little later than the one before.
const KILLS: u64 = 16;
const STEP: Duration = Duration::from_millis(1);
/// The prefix of each dialect's routes.
const DIALECTS: [&str; 2] = ["", "/api"];

/// One keyed request, without its dialect.
struct Asked {
    path: String,
    body: String,
}

#[test]
fn a_keyed_request_has_one_effect_whenever_the_server_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let conversations = folder.path().join("workspace/conversations");
    let start = || Running::start(agent_server(folder.path()).args(LOCAL));
    let mut server = start();
    for kill in 0..KILLS {
        let made = ["listens", "works", "runs"].map(|_| make(server.address, folder.path()));
        let [listens, works, runs] = &made;
        let said = message("$ echo before", false);
        let sent = post(
            server.address,
            &format!("/conversations/{runs}/events"),
            "",
            &said,
        );
        assert_eq!(sent.0, 200, "{}", sent.1);
        let requests = [
            Asked {
                path: "/conversations".to_owned(),
                body: start_body(folder.path(), Some("$ echo once")),
            },
            Asked {
                path: format!("/conversations/{listens}/events"),
                body: message("hello", false),
            },
            Asked {
                path: format!("/conversations/{works}/events"),
                body: message("$ echo once", true),
            },
            Asked {
                path: format!("/conversations/{runs}/run"),
                body: String::new(),
            },
        ];
        let key = format!("idempotency-key: kill {kill}\r\n");
        let first = DIALECTS[kill as usize % 2];
        let again = DIALECTS[kill as usize / 2 % 2];
        let before = ids(&conversations);
        let answered = send_and_kill(server, &requests, first, &key, STEP * kill as u32);

        server = start();
        let mut answers = Vec::new();
        for (asked, answered) in requests.iter().zip(answered) {
            let path = format!("{again}{}", asked.path);
            let answer = post(server.address, &path, &key, &asked.body);
            if let Some(answered) = answered {
                assert_eq!(answer, answered, "the answer to {path} is another");
            }
            assert!(matches!(answer.0, 200 | 201), "{path}: {}", answer.1);
            answers.push(answer);
        }
        let created: Value = serde_json::from_str(&answers[0].1).unwrap();
        let created = created["id"].as_str().unwrap();
        let mut expected = before;
        expected.push(created.to_owned());
        expected.sort();
        assert_eq!(ids(&conversations), expected, "one conversation was made");
        for (id, messages, starts) in [
            (created, 1, 1),
            (listens, 1, 0),
            (works, 1, 1),
            (runs, 1, 1),
        ] {
            let log = conversations.join(id).join("events.jsonl");
            assert_eq!(effects(&log), (messages, starts), "kill {kill}, {id}");
        }
    }
}

#[test]
fn no_secret_rests_in_the_clear_among_the_answers() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(agent_server(folder.path()).args(LOCAL));
    let body = json!({
        "agent": {"llm": {"model": "scripted", "api_key": "sesame-1"}, "tools": [],
                  "mcp_config": {"mcpServers": {"s": {"command": "x", "env": {"T": "sesame-2"}}}}},
        "secrets": {"TOKEN": {"kind": "StaticSecret", "value": "sesame-3"}},
    });
    let key = "idempotency-key: s\r\n";
    let (status, answer) = post(server.address, "/conversations", key, &body.to_string());
    assert_eq!(status, 201, "{answer}");
    let again = post(server.address, "/conversations", key, &body.to_string());
    assert_eq!(again, (201, answer.clone()), "the answer is kept");
    // What is kept is this answer.
    assert!(!answer.contains("sesame"), "{answer}");
    let kept = folder.path().join("workspace/conversations/.receipts");
    for entry in fs::read_dir(kept).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(
            text.contains("answer") && !text.contains("sesame"),
            "{text}"
        );
    }
}

/// Sends all requests at once, kills the server a while after, and tells what was answered by then.
fn send_and_kill(
    mut server: Running,
    requests: &[Asked],
    dialect: &str,
    key: &str,
    after: Duration,
) -> Vec<Option<(u16, String)>> {
    let address = server.address;
    thread::scope(|scope| {
        let sending: Vec<_> = requests
            .iter()
            .map(|asked| {
                let path = format!("{dialect}{}", asked.path);
                scope.spawn(move || {
                    let answer = ask_with(address, "POST", &path, key, &asked.body);
                    // A part of an answer is none.
                    answer.ok().and_then(|answer| parts(&answer))
                })
            })
            .collect();
        thread::sleep(after);
        server.signal("KILL");
        server.wait();
        sending
            .into_iter()
            .map(|sending| sending.join().unwrap())
            .collect()
    })
}

fn make(address: SocketAddr, folder: &Path) -> String {
    let (status, body) = post(address, "/conversations", "", &start_body(folder, None));
    assert_eq!(status, 201, "{body}");
    let info: Value = serde_json::from_str(&body).unwrap();
    info["id"].as_str().unwrap().to_owned()
}

/// Good in both dialects.
fn start_body(folder: &Path, message: Option<&str>) -> String {
    let mut body = json!({
        "workspace": {"kind": "LocalWorkspace", "working_dir": folder.join("project")},
        "agent": {"kind": "Agent", "llm": {"model": "scripted"}, "tools": [{"name": "terminal"}]},
    });
    if let Some(text) = message {
        body["initial_message"] =
            json!({"role": "user", "content": [{"type": "text", "text": text}]});
    }
    body.to_string()
}

fn message(text: &str, run: bool) -> String {
    json!({"role": "user", "content": [{"type": "text", "text": text}], "run": run}).to_string()
}

fn post(address: SocketAddr, path: &str, headers: &str, body: &str) -> (u16, String) {
    let answer = ask_with(address, "POST", path, headers, body).unwrap();
    parts(&answer).unwrap_or_else(|| panic!("no whole answer: {answer}"))
}

fn ids(conversations: &Path) -> Vec<String> {
    let names = fs::read_dir(conversations).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut ids: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    ids.sort();
    ids
}

/// A log's user messages, and how often a run began in it.
fn effects(log: &Path) -> (usize, usize) {
    let text = fs::read_to_string(log).unwrap();
    let events: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let count = |fits: &dyn Fn(&Value) -> bool| events.iter().filter(|event| fits(event)).count();
    (
        count(&|event| event["kind"] == "MessageEvent" && event["source"] == "user"),
        count(&|event| event["key"] == "execution_status" && event["value"] == "running"),
    )
}

#[test]
fn a_full_disk_is_named_and_the_server_goes_on_when_there_is_room_again() {
    const LIMIT: &str = "--fsize=32768:unlimited";
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(agent_server(folder.path()).args(LOCAL));
    let id = make(server.address, folder.path());
    let path = format!("/conversations/{id}/events");
    let long = message(&"x".repeat(40_000), false);
    let key = "idempotency-key: long\r\n";

    server.limit(LIMIT);
    for body in [&long, &message("short", false)] {
        let key = if *body == long { key } else { "" };
        let answer = ask_with(server.address, "POST", &path, key, body).unwrap();
        assert!(answer.starts_with("HTTP/1.1 507 "), "{answer}");
        assert!(answer.contains("x-error-code: disk_full\r\n"), "{answer}");
        assert!(answer.contains("retry-after: 10\r\n"), "{answer}");
        assert!(answer.contains("(file size limit reached)"), "{answer}");
    }
    let ready = server.get("/ready").unwrap();
    assert!(ready.starts_with("HTTP/1.1 503 "), "{ready}");
    let reason = format!("conversation {id} takes no more events: file size limit reached");
    assert!(ready.contains(&reason), "{ready}");
    // Reads go on.
    let count = server.get(&format!("{path}/count")).unwrap();
    assert!(count.ends_with("\r\n\r\n0"), "{count}");

    server.limit("--fsize=unlimited:unlimited");
    wait_until("it is ready again", || {
        let ready = server.get("/ready").unwrap();
        ready.starts_with("HTTP/1.1 200 ")
    });
    for _ in 0..2 {
        assert_eq!(post(server.address, &path, key, &long).0, 200);
    }
    let log = folder
        .path()
        .join(format!("workspace/conversations/{id}/events.jsonl"));
    assert_eq!(
        effects(&log),
        (1, 0),
        "sent again with its key, it is there once"
    );
}
