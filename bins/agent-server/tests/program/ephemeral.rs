//! A server that leaves nothing behind.

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
};

use serde_json::json;

use crate::support::{Running, agent_server, ask, converse, parts, start_error, wait_until};

/// A server in `folder`, whose temporary files go to `tmp` in it.
fn ephemeral(folder: &Path) -> Command {
    let temporary = folder.join("tmp");
    fs::create_dir_all(&temporary).unwrap();
    let mut command = agent_server(folder);
    command
        .args(["--host", "127.0.0.1", "--port", "0"])
        .env("OH_EPHEMERAL", "true")
        .env("TMPDIR", temporary);
    command
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

fn body(server: &Running, path: &str) -> serde_json::Value {
    let answer = server.get(path).unwrap();
    let (status, body) = parts(&answer).unwrap();
    assert_eq!(status, 200, "{answer}");
    serde_json::from_str(&body).unwrap()
}

fn status(server: &Running, id: &str) -> String {
    let info = body(server, &format!("/conversations/{id}"));
    info["execution_status"].as_str().unwrap().to_owned()
}

fn folder_of_server(temporary: &Path) -> PathBuf {
    let found = names(temporary);
    let folder = found.iter().find(|name| name.starts_with("agent-server-"));
    temporary.join(folder.unwrap())
}

/// A conversation with a secret, in the default workspace, that writes a file there.
fn run(server: &Running) -> String {
    let script = "$ echo made by the agent > made.txt";
    let request = json!({
        "agent": {
            "llm": {"model": "scripted", "api_key": "sk-hush"},
            "tools": [{"name": "terminal"}],
        },
        "initial_message": script,
    });
    let answer = server.post("/conversations", &request.to_string());
    let (status_code, made) = parts(&answer).unwrap();
    assert_eq!(status_code, 201, "{answer}");
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    let id = made["id"].as_str().unwrap().to_owned();
    wait_until("the run is over", || status(server, &id) == "finished");
    id
}

#[test]
fn an_ephemeral_server_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let temporary = folder.path().join("tmp");
    let mut first = Running::start(&mut ephemeral(folder.path()));
    first.wait_for("ephemeral: conversations are in memory and gone at the end");
    first.wait_for("which is removed at the end");
    assert_eq!(body(&first, "/server_info")["ephemeral"], true);
    let id = run(&first);
    let events = body(&first, &format!("/conversations/{id}/events/search"));
    assert!(events.to_string().contains("made by the agent"));
    assert_eq!(
        body(&first, "/conversations/search")["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );

    // Everything that was written is in temporary folders, and no log of a conversation is among it.
    assert_eq!(names(folder.path()), ["tmp"]);
    let kept = folder_of_server(&temporary);
    let mode = fs::metadata(&kept).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let made = fs::read_to_string(kept.join("project/made.txt")).unwrap();
    assert_eq!(made, "made by the agent\n");
    let found = Command::new("grep")
        .args(["-rl", "scripted"])
        .arg(&temporary)
        .output();
    assert_eq!(String::from_utf8(found.unwrap().stdout).unwrap(), "");
    assert!(!kept.join("secret.key").exists());

    // The files of its tools go with a conversation.
    let tools = kept.join("conversations").join(&id);
    wait_until("its tools have a folder", || tools.is_dir());
    let deleted = ask(first.address, "DELETE", &format!("/conversations/{id}"), "").unwrap();
    assert_eq!(parts(&deleted).unwrap().0, 200, "{deleted}");
    wait_until("the folder is gone", || !tools.exists());
    run(&first);

    first.signal("TERM");
    assert_eq!(first.wait().code(), Some(0), "{}", first.output());
    assert_eq!(names(folder.path()), ["tmp"]);
    assert_eq!(names(&temporary), [""; 0]);

    let mut again = ephemeral(folder.path());
    again.env_remove("OH_EPHEMERAL").arg("--ephemeral");
    let second = Running::start(&mut again);
    assert_eq!(body(&second, "/conversations/search")["items"], json!([]));
    let gone = second.get(&format!("/conversations/{id}")).unwrap();
    assert_eq!(parts(&gone).unwrap().0, 404);
}

#[test]
fn a_workspace_that_is_named_stays() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("own");
    let named = folder.path().join("named");
    fs::create_dir(&named).unwrap();
    let mut server = Running::start(ephemeral(folder.path()).env("OH_WORKSPACE_PATH", &own));
    server.wait_for(&format!("agents work in {}, which stays", own.display()));
    run(&server);
    let id = converse(server.address, &named, "$ touch there.txt");
    wait_until("the run is over", || status(&server, &id) == "finished");
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0), "{}", server.output());
    assert!(own.join("made.txt").exists() && named.join("there.txt").exists());
    assert_eq!(names(&folder.path().join("tmp")), [""; 0]);
}

/// Takes requests, and answers each with 200: what was sent, together.
fn receiver() -> (String, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let received = Arc::new(Mutex::new(String::new()));
    let all = Arc::clone(&received);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut bytes = [0; 64 << 10];
            while let Ok(count) = stream.read(&mut bytes)
                && count > 0
            {
                let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
                // A body ends with the object or the list that it is.
                let is_whole = text.ends_with(['}', ']']);
                all.lock().unwrap().push_str(&text);
                if is_whole {
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                    stream.write_all(answer).unwrap();
                }
            }
        }
    });
    (url, received)
}

#[test]
fn webhooks_are_delivered_from_memory() {
    let folder = tempfile::tempdir().unwrap();
    let (url, received) = receiver();
    let mut command = ephemeral(folder.path());
    let mut server = Running::start(command.env("OH_WEBHOOKS_0_WEBHOOK_URL", url));
    let id = run(&server);
    let has = |text: &str| received.lock().unwrap().contains(text);
    wait_until("its events are delivered", || has("made by the agent"));
    let deleted = ask(
        server.address,
        "DELETE",
        &format!("/conversations/{id}"),
        "",
    );
    assert_eq!(parts(&deleted.unwrap()).unwrap().0, 200);
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0), "{}", server.output());
    assert_eq!(names(folder.path()), ["tmp"]);
    assert_eq!(names(&folder.path().join("tmp")), [""; 0]);
}

#[test]
fn what_a_killed_server_left_is_removed_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let temporary = folder.path().join("tmp");
    let mut killed = Running::start(&mut ephemeral(folder.path()));
    let left = folder_of_server(&temporary);
    killed.signal("KILL");
    killed.wait();
    let mut living = Running::start(&mut ephemeral(folder.path()));
    living.wait_for("removing what an ephemeral server that was killed left in");
    assert!(!left.exists());
    let kept = folder_of_server(&temporary);
    let _beside = Running::start(&mut ephemeral(folder.path()));
    assert!(kept.exists());
}

#[test]
fn a_temporary_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = start_error(ephemeral(folder.path()).env("TMPDIR", "/nowhere"));
    let text = "error: the temporary folder of an ephemeral server cannot be made in /nowhere: ";
    assert!(
        error.starts_with(text) && error.contains("TMPDIR"),
        "{error}"
    );
}

#[test]
fn an_ephemeral_server_cannot_be_reloaded() {
    let folder = tempfile::tempdir().unwrap();
    let error = start_error(ephemeral(folder.path()).arg("--reload"));
    assert!(
        error.contains("leave out `--reload`, or `--ephemeral`"),
        "{error}"
    );
}
