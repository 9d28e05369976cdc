use std::fs;

use serde_json::{Value, json};

use crate::support::{Running, agent_server, ask, ask_with, converse, parts, wait_until};

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
    assert_eq!(added[0]["key"], "run_cut_off");
    assert_eq!(added[1]["kind"], "AgentErrorEvent");
    assert_eq!(added[2]["value"], "paused");
    assert_eq!(added.len(), 3, "{added:?}");

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

#[test]
fn what_was_spent_outlives_a_kill_and_one_request_raises_the_limit_for_all() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.json");
    let budgets = json!({
        "session_api_key": "operators", "named_api_keys": {"ci": "robots"},
        "budgets": {"server": {"max_model_calls": 2, "period": "month"},
                    "keys": {"ci": {"max_model_calls": 1}}},
    });
    fs::write(&config, budgets.to_string()).unwrap();
    let start = || {
        let mut program = agent_server(folder.path());
        Running::start(program.args(LOCAL).arg("--config").arg(&config))
    };
    let call = |server: &Running, key: &str, method: &str, path: &str, body: Value| {
        let headers = format!("Authorization: Bearer {key}\r\n");
        let answer = ask_with(server.address, method, path, &headers, &body.to_string());
        let (status, body) = parts(&answer.unwrap()).unwrap();
        let body: Value = serde_json::from_str(&body).unwrap();
        (status, body)
    };
    let new = |script: &str| {
        let project = folder.path().join("project");
        json!({"workspace": {"working_dir": project}, "initial_message": script})
    };
    let is = |server: &Running, id: &str, expected: &str| {
        let (_, info) = call(
            server,
            "robots",
            "GET",
            &format!("/conversations/{id}"),
            json!({}),
        );
        info["execution_status"] == expected
    };
    let mut server = start();
    let (_, info) = call(
        &server,
        "robots",
        "POST",
        "/conversations",
        new("$ true\n$ true"),
    );
    let first = info["id"].as_str().unwrap();
    wait_until("the key's budget pauses it", || {
        is(&server, first, "paused")
    });
    let (_, info) = call(
        &server,
        "operators",
        "POST",
        "/conversations",
        new("$ true\n$ true"),
    );
    let second = info["id"].as_str().unwrap();
    wait_until("the server's budget pauses it", || {
        is(&server, second, "paused")
    });
    server.signal("KILL");
    server.wait();

    let server = start();
    let (_, used) = call(&server, "robots", "GET", "/api/budgets", json!({}));
    assert_eq!(used["server"]["spent"]["model_calls"], 2, "{used}");
    assert_eq!(used["keys"]["ci"]["spent"]["model_calls"], 1, "{used}");
    let (_, info) = call(
        &server,
        "operators",
        "POST",
        "/conversations",
        new("$ touch third"),
    );
    let third = info["id"].as_str().unwrap();
    wait_until("it pauses before it begins", || {
        is(&server, third, "paused")
    });
    let asked = format!("/conversations/{third}/ask_agent");
    let (status, refused) = call(
        &server,
        "robots",
        "POST",
        &asked,
        json!({"question": "why?"}),
    );
    assert_eq!(status, 402, "{refused}");

    let raised = json!({"server": {"max_model_calls": 100}, "run": true});
    let (status, refused) = call(&server, "robots", "PUT", "/api/budgets", raised.clone());
    assert_eq!(status, 403, "{refused}");
    let unknown = json!({"keys": {"nobody": {"max_tokens": 1}}});
    let (status, refused) = call(&server, "operators", "PUT", "/api/budgets", unknown);
    assert_eq!(status, 422, "{refused}");
    let (status, used) = call(&server, "operators", "PUT", "/api/budgets", raised);
    assert_eq!((status, &used["resumed"]), (200, &json!(3)), "{used}");
    for id in [first, second, third] {
        wait_until("it goes on", || is(&server, id, "finished"));
    }
    let (_, used) = call(&server, "operators", "DELETE", "/api/budgets", json!({}));
    assert_eq!(used["source"], "configuration", "{used}");
    assert_eq!(
        ask(server.address, "GET", "/budgets", "")
            .unwrap()
            .get(9..12),
        Some("401")
    );
}
