//! A limit on the size of files (`ulimit -f`) makes writes fail; it ends nothing.

use std::{
    fs::{self, File},
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};

use crate::support::{HANG, Running, agent_server, ask_with, command, converse, get, wait_until};

const LOCAL: [&str; 4] = ["--host", "127.0.0.1", "--port", "0"];

/// Runs a command of the program to its end, with no file longer than nothing.
fn limited(folder: &Path, arguments: &[&str]) -> Output {
    let hang = format!("{}s", HANG.as_secs());
    command("timeout".as_ref(), folder)
        .args([
            "-s",
            "KILL",
            &hang,
            "sh",
            "-c",
            r#"ulimit -f 0; exec "$0" "$@""#,
        ])
        .arg(env!("CARGO_BIN_EXE_agent-server"))
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn every_command_ends_by_itself_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(agent_server(folder.path()).args(LOCAL));
    let project = folder.path().join("project");
    let id = converse(server.address, &project, "$ echo done > done");
    wait_until("the command ran", || project.join("done").exists());
    drop(server);
    let conversation = folder.path().join("workspace/conversations").join(&id);
    fs::remove_file(conversation.join("events.idx")).unwrap();
    let theirs = folder
        .path()
        .join("theirs/2f34c5cd31d64dcfacdfcf89c5641e99");
    fs::create_dir_all(theirs.join("events")).unwrap();
    let state = json!({"id": "2f34c5cd-31d6-4dcf-acdf-cf89c5641e99"});
    fs::write(theirs.join("base_state.json"), state.to_string()).unwrap();

    for (arguments, says) in [
        (&["config", "--check"][..], ""),
        (&["verify"], ""),
        (&["export", &id], ""),
        (
            &["export", &id, "--output", "exported.md"],
            "File too large",
        ),
        (&["repair", "--apply"], "File too large"),
        (&["import", "theirs"], "File too large"),
        (&["demo", "--keep", "demo"], "File too large"),
    ] {
        let Output {
            status,
            stdout,
            stderr,
        } = limited(folder.path(), arguments);
        let said = [stdout, stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(status.code().is_some(), "{arguments:?} {status}: {said}");
        assert!(said.contains(says), "{arguments:?} {status}: {said}");
    }
}

#[test]
fn a_server_that_can_write_nothing_says_507_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("server.log");
    let mut server = agent_server(folder.path())
        .args(LOCAL)
        .stdout(File::create(&log).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let said = || fs::read_to_string(&log).unwrap();
    wait_until("it listens", || said().contains("documentation at http://"));
    let said_before = said();
    let (_, address) = said_before.split_once("listening on http://").unwrap();
    let address = address.lines().next().unwrap().parse().unwrap();
    let limit = |limit: &str| {
        let set = Command::new("prlimit")
            .args(["--pid", &server.id().to_string(), limit])
            .status();
        assert!(set.unwrap().success());
    };
    let create = |headers: &str, api_key: Value| {
        let body = json!({
            "agent": {"llm": {"model": "scripted", "api_key": api_key}},
            "workspace": {"working_dir": folder.path().join("project")},
        });
        ask_with(
            address,
            "POST",
            "/conversations",
            headers,
            &body.to_string(),
        )
        .unwrap()
    };

    limit("--fsize=1:unlimited");
    for (headers, api_key) in [
        ("", Value::Null),
        // Needs `secret.key`.
        ("", "sk-hush".into()),
        // Needs `.receipts`.
        ("idempotency-key: one\r\n", Value::Null),
    ] {
        let answer = create(headers, api_key);
        assert!(answer.starts_with("HTTP/1.1 507 "), "{answer}");
        assert!(answer.contains("x-error-code: disk_full\r\n"), "{answer}");
    }
    for _ in 0..100 {
        assert!(
            get(address, "/health")
                .unwrap()
                .starts_with("HTTP/1.1 200 ")
        );
    }
    assert_eq!(said(), said_before, "nothing can be written");

    // The metadata finds room, the first message does not: nothing stays that would take the same request
    // for done.
    limit("--fsize=8192:unlimited");
    let chosen = "11111111-2222-4333-8444-555555555555";
    let with_message = json!({
        "conversation_id": chosen,
        "agent": {"llm": {"model": "scripted"}},
        "workspace": {"working_dir": folder.path().join("project")},
        "initial_message": "x".repeat(16 << 10),
    });
    let first = || {
        let body = with_message.to_string();
        ask_with(address, "POST", "/conversations", "", &body).unwrap()
    };
    let answer = first();
    assert!(answer.starts_with("HTTP/1.1 507 "), "{answer}");
    let stored = || get(address, &format!("/conversations/{chosen}")).unwrap();
    assert!(stored().starts_with("HTTP/1.1 404 "), "{}", stored());

    limit("--fsize=unlimited:unlimited");
    wait_until("the first message is taken", || {
        first().starts_with("HTTP/1.1 201 ")
    });
    let found = get(
        address,
        &format!("/conversations/{chosen}/events/search?limit=10"),
    )
    .unwrap();
    assert!(found.contains("xxxxxxxxxx"), "{found:.500}");
    for (headers, api_key) in [
        ("", "sk-hush".into()),
        ("idempotency-key: one\r\n", Value::Null),
    ] {
        let answer = create(headers, api_key);
        assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    }
    wait_until("it is ready", || {
        get(address, "/ready").unwrap().starts_with("HTTP/1.1 200 ")
    });
    wait_until("the log says what it lacks", || {
        said().contains("log lines were dropped")
    });
    let id = server.id().to_string();
    assert!(Command::new("kill").arg(&id).status().unwrap().success());
    assert_eq!(server.wait().unwrap().code(), Some(0));
    assert!(said().contains("INFO agent_server::serve: stopped\n"));
}

/// The server handles the signal. What agents start ends by it, as it does in any terminal: also where
/// whatever started the server ignores it.
#[test]
fn what_agents_start_has_the_signals_own_effect() {
    let folder = tempfile::tempdir().unwrap();
    let mut ignoring = command("sh".as_ref(), folder.path());
    ignoring
        .args(["-c", r#"trap "" XFSZ; exec "$0" "$@""#])
        .arg(env!("CARGO_BIN_EXE_agent-server"))
        .args(LOCAL);
    let server = Running::start(&mut ignoring);
    let project = folder.path().join("project");
    // The shell's 128 and the signal's 25; a program that ignores it says "File too large".
    let script = "$ (ulimit -f 1; head -c 100000 /dev/zero > big); echo status $? > status";
    converse(server.address, &project, script);
    let status = || fs::read_to_string(project.join("status")).unwrap_or_default();
    wait_until("it ran", || status().ends_with('\n'));
    assert_eq!(status(), "status 153\n");
}

#[test]
fn output_that_cannot_be_saved_is_shown_as_far_as_it_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(agent_server(folder.path()).args(LOCAL));
    let project = folder.path().join("project");
    server.limit("--fsize=1000000:unlimited");
    let id = converse(server.address, &project, "$ seq 300000\n$ touch after");
    wait_until("the next command ran", || project.join("after").exists());
    let events = server
        .get(&format!("/conversations/{id}/events/search?limit=100"))
        .unwrap();
    assert!(
        events.contains("could not be saved: File too large"),
        "{events}"
    );
    assert!(events.contains("299999"), "the end is shown");
}
