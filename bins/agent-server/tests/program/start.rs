//! Start-up errors that say what to do, and stopping.

use std::{fs, net::TcpListener};

use crate::support::{Running, agent_server, converse, output, start_error, wait_until};

#[test]
fn help_and_version_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let (success, help, _) = output(agent_server(folder.path()).arg("--help"));
    assert!(success);
    for word in [
        "--host",
        "--port",
        "--reload",
        "--config",
        "--log-format",
        "demo",
        "serve",
    ] {
        assert!(help.contains(word), "no {word} in {help}");
    }
    assert!(!help.contains("--supervised"));
    let (_, version, _) = output(agent_server(folder.path()).arg("--version"));
    assert_eq!(
        version.trim(),
        format!("agent-server {}", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn a_port_in_use_names_the_flag() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let error =
        start_error(agent_server(folder.path()).args(["--host", "127.0.0.1", "--port", &port]));
    assert!(
        error.contains(&format!(
            "127.0.0.1:{port}: the port is in use; choose another one with --port"
        )),
        "{error}"
    );
}

#[test]
fn a_host_that_is_none_names_the_flag() {
    let folder = tempfile::tempdir().unwrap();
    let error = start_error(agent_server(folder.path()).args(["--host", "no.such.host.invalid"]));
    assert!(
        error.contains("no.such.host.invalid:8000") && error.contains("--host"),
        "{error}"
    );
}

/// Folders below a file and in `/proc` can be made by nobody, not even by root.
#[test]
fn a_folder_that_cannot_be_written_is_named_with_the_user() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let error = start_error(
        agent_server(folder.path())
            .args(["--host", "127.0.0.1", "--port", "0"])
            .env("OH_CONVERSATIONS_PATH", "file/conversations"),
    );
    assert!(
        error.contains("/file is a file, and a folder is needed"),
        "{error}"
    );
    let error = start_error(
        agent_server(folder.path())
            .args(["--host", "127.0.0.1", "--port", "0"])
            .env("OH_CONVERSATIONS_PATH", "/proc/conversations"),
    );
    let user = agent_server::start_error::user_name();
    assert!(error.contains("no write permission"), "{error}");
    assert!(
        error.contains("/proc/conversations") && error.contains(&user),
        "{error}"
    );

    // The folder of the default file is made, to be watched; a link to nowhere stops that.
    std::os::unix::fs::symlink("nowhere/at/all", folder.path().join("workspace")).unwrap();
    let error = start_error(agent_server(folder.path()).args([
        "--reload",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
    ]));
    assert!(
        error.contains("no write permission") && error.contains(&user),
        "{error}"
    );
    let (success, shown, _) =
        output(agent_server(folder.path()).args(["demo", "--keep", "file/kept"]));
    assert!(!success);
    assert!(
        shown.contains("/file is a file, and a folder is needed"),
        "{shown}"
    );
}

#[test]
fn a_damaged_secret_key_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("workspace")).unwrap();
    fs::write(folder.path().join("workspace/secret.key"), "short").unwrap();
    let error =
        start_error(agent_server(folder.path()).args(["--host", "127.0.0.1", "--port", "0"]));
    assert!(
        error.contains("secret.key: expected 64 hexadecimal digits"),
        "{error}"
    );
}

#[test]
fn a_workspace_in_use_names_the_other_server_and_sigterm_frees_it() {
    let folder = tempfile::tempdir().unwrap();
    let local = ["--host", "127.0.0.1", "--port", "0"];
    let mut first = Running::start(agent_server(folder.path()).args(local));
    let error = start_error(agent_server(folder.path()).args(local));
    assert!(error.contains(&first.pid().to_string()), "{error}");
    assert!(error.contains("in use by another server"), "{error}");

    first.signal("TERM");
    assert_eq!(first.wait().code(), Some(0), "{}", first.output());
    assert!(first.output().contains("stopped"));

    let mut second = Running::start(agent_server(folder.path()).args(local));
    assert!(second.get("/health").unwrap().starts_with("HTTP/1.1 200"));
    second.signal("INT");
    assert_eq!(second.wait().code(), Some(0), "{}", second.output());
}

#[test]
fn the_log_says_what_holds_and_warns_of_an_open_door() {
    let folder = tempfile::tempdir().unwrap();
    let mut open = Running::start(
        agent_server(folder.path())
            .args(["--host", "0.0.0.0", "--port", "0", "--log-format", "json"])
            .env("OH_MAX_CONCURRENT_RUNS", "3"),
    );
    open.wait_for("ANYONE WHO REACHES");
    open.wait_for("configuration from environment OH_MAX_CONCURRENT_RUNS: max_concurrent_runs");
    open.wait_for("/docs");
    let log = open.output();
    for line in log.lines() {
        assert!(
            serde_json::from_str::<serde_json::Value>(line).is_ok(),
            "{line}"
        );
    }
    // The key comes with the first secret.
    assert_eq!(open.count("made a key that seals secrets"), 0);
    let secret = r#"{"agent": {"llm": {"model": "scripted", "api_key": "sk-hush"}}}"#;
    assert!(open.post("/conversations", secret).contains("201 Created"));
    open.wait_for("made a key that seals secrets");
    assert!(!open.output().contains("sk-hush"));
    drop(open);

    let mut closed = Running::start(
        agent_server(folder.path())
            .args(["--host", "0.0.0.0", "--port", "0"])
            .env("SESSION_API_KEY", "hush"),
    );
    closed.wait_for("/docs");
    assert_eq!(closed.count("ANYONE WHO REACHES"), 0);
    assert!(!closed.output().contains("hush"), "{}", closed.output());
}

#[test]
fn a_stop_in_the_middle_of_a_turn_is_clean_and_the_turn_is_paused() {
    let folder = tempfile::tempdir().unwrap();
    let local = ["--host", "127.0.0.1", "--port", "0"];
    let mut server = Running::start(agent_server(folder.path()).args(local));
    let project = folder.path().join("project");
    let id = converse(server.address, &project, "$ touch begun; sleep 600");
    wait_until("the command runs", || project.join("begun").exists());
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0), "{}", server.output());

    let server = Running::start(agent_server(folder.path()).args(local));
    let details = server.get(&format!("/conversations/{id}")).unwrap();
    assert!(
        details.contains(r#""execution_status":"paused""#),
        "{details}"
    );
}

#[test]
fn one_server_at_a_time_has_the_records_of_webhooks() {
    let folder = tempfile::tempdir().unwrap();
    let server = |name: &str| {
        let mut command = agent_server(folder.path());
        command
            .args(["--host", "127.0.0.1", "--port", "0"])
            .env("OH_CONVERSATIONS_PATH", format!("shared/{name}"));
        command
    };
    let (variable, nobody) = ("OH_WEBHOOKS_0_WEBHOOK_URL", "http://127.0.0.1:9/");
    let _first = Running::start(server("first").env(variable, nobody));
    let error = start_error(server("second").env(variable, nobody));
    assert!(
        error.contains("shared/webhooks is in use by another server (process "),
        "{error}"
    );
    // One without webhooks leaves them alone.
    Running::start(&mut server("third"));
}
