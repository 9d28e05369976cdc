use std::fs;

use serde_json::Value;

use crate::support::{Running, agent_server, converse, wait_until};

const LOCAL: [&str; 4] = ["--host", "127.0.0.1", "--port", "0"];

#[test]
fn a_server_killed_in_the_middle_of_a_turn_comes_back_mended() {
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().join("project");
    let mut server = Running::start(agent_server(folder.path()).args(LOCAL));
    let script = "$ echo $$ > shell; sleep 600\n$ touch after";
    let id = converse(server.address, &project, script);
    wait_until("the command runs", || project.join("shell").exists());
    server.signal("KILL");
    server.wait();
    let log = folder
        .path()
        .join(format!("workspace/conversations/{id}/events.jsonl"));
    let before = fs::read_to_string(&log).unwrap();

    // The folder lock went with its process.
    let server = Running::start(agent_server(folder.path()).args(LOCAL));
    let details = server.get(&format!("/conversations/{id}")).unwrap();
    assert!(
        details.contains(r#""execution_status":"paused""#),
        "{details}"
    );
    let after = fs::read_to_string(&log).unwrap();
    let added = after
        .strip_prefix(&before)
        .expect("what was acknowledged is there");
    let added: Vec<Value> = added
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(added[0]["kind"], "AgentErrorEvent");
    assert_eq!(added[1]["value"], "paused");
    assert_eq!(added.len(), 2, "{added:?}");

    // The shell of the killed server went with its terminal.
    let shell = fs::read_to_string(project.join("shell")).unwrap();
    let shell = format!("/proc/{}", shell.trim());
    wait_until("the shell is gone", || !fs::exists(&shell).unwrap());

    assert!(
        server
            .post(&format!("/conversations/{id}/run"), "")
            .contains("200 OK")
    );
    wait_until("the run goes on", || project.join("after").exists());
}
