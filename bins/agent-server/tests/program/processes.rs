//! What agents' processes see of the server, and that they end with it, however it ends.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::json;

use crate::{
    config::{read, refused},
    support::{Running, agent_server, ask_with, converse, wait_until},
};

const LOCAL: [&str; 4] = ["--host", "127.0.0.1", "--port", "0"];
const SESSION_KEY: &str = "hush-session";

/// Asks an agent for its environment and that of the process that started its shell.
fn look_around(server: &Running, project: &Path) -> (String, String) {
    let script = "$ env > own; cat /proc/$PPID/environ > parents; touch looked";
    let body = json!({"workspace": {"working_dir": project}, "initial_message": script});
    let key = format!("X-Session-API-Key: {SESSION_KEY}\r\n");
    let answer = ask_with(
        server.address,
        "POST",
        "/conversations",
        &key,
        &body.to_string(),
    );
    assert!(answer.unwrap().starts_with("HTTP/1.1 201"));
    wait_until("the agent looked", || project.join("looked").exists());
    let text = |name: &str| {
        fs::read(project.join(name)).map(|it| String::from_utf8_lossy(&it).into_owned())
    };
    (text("own").unwrap(), text("parents").unwrap())
}

fn with_secrets(command: &mut Command, config: &Path) {
    let file = json!({
        "tool_environment": ["ADDED", "MANY_*"],
        "webhooks": [{
            "webhook_url": "http://127.0.0.1:9/",
            "headers": {"Authorization": "Bearer ${HOOK}"},
            "secret": "${MANY_SECRETS}"
        }]
    });
    fs::write(config, file.to_string()).unwrap();
    command.args(LOCAL).arg("--config").arg(config).envs([
        ("SESSION_API_KEY", SESSION_KEY),
        ("OH_SESSION_API_KEYS_0", "hush-more"),
        ("OH_SECRET_KEY", "hush-seal"),
        ("LLM_API_KEY", "hush-model"),
        ("HOOK", "hush-hook"),
        (
            "MANY_SECRETS",
            "whsec_aHVzaC1ob29rLXNlY3JldC1pcy1sb25nLWVub3VnaA==",
        ),
        ("UNKNOWN", "hush-unknown"),
        ("GITHUB_TOKEN", "hush-github"),
        ("https_proxy", "http://user:hush-proxy@127.0.0.1:9"),
        ("RUST_LOG", "info,hush=warn"),
        ("ADDED", "passed"),
        ("MANY_THINGS", "passed"),
        ("LC_TIME", "C"),
    ]);
}

fn assert_hidden(own: &str, parents: &str) {
    for shown in [own, parents] {
        assert!(!shown.contains("hush"), "{shown}");
        assert!(!shown.contains("aHVzaC"), "{shown}");
        assert!(shown.contains("PATH="), "{shown}");
        assert!(shown.contains("ADDED=passed"), "{shown}");
    }
    for passed in ["MANY_THINGS=passed", "LC_TIME=C", "TERM=dumb"] {
        assert!(own.lines().any(|line| line == passed), "{passed}: {own}");
    }
}

#[test]
fn an_agent_sees_none_of_the_servers_keys() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = agent_server(folder.path());
    with_secrets(&mut command, &folder.path().join("config.json"));
    let server = Running::start(&mut command);
    let (own, parents) = look_around(&server, &folder.path().join("project"));
    assert_hidden(&own, &parents);
    // the server itself still has what it needs: the filter of its log was read after that
    assert!(
        server.output().contains("listening on"),
        "{}",
        server.output()
    );
}

#[test]
fn an_agent_of_a_supervised_server_sees_no_keys_either() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = agent_server(folder.path());
    command.arg("--reload");
    let config = folder.path().join("config.json");
    with_secrets(&mut command, &config);
    let mut supervisor = Running::start(&mut command);
    // the second server gets its keys from the supervisor, too
    let text = fs::read_to_string(&config).unwrap();
    let changed = text.replacen('{', r#"{"mailbox_size": 99,"#, 1);
    let new = folder.path().join("new");
    fs::write(&new, changed).unwrap();
    fs::rename(new, &config).unwrap();
    supervisor.wait_for_nth("documentation at", 2);
    let (own, parents) = look_around(&supervisor, &folder.path().join("project"));
    assert_hidden(&own, &parents);
    let supervisors = fs::read(format!("/proc/{}/environ", supervisor.pid())).unwrap();
    let supervisors = String::from_utf8_lossy(&supervisors);
    assert!(!supervisors.contains("hush"), "{supervisors}");
}

#[test]
fn names_for_tools_are_checked() {
    let loaded = read(
        Some(json!({"tool_environment": ["A", "B_*"]})),
        &[("OH_TOOL_ENVIRONMENT", "C, GITHUB_TOKEN")],
    )
    .unwrap();
    assert_eq!(loaded.settings.tool_environment, ["C", "GITHUB_TOKEN"]);
    let webhooks = json!([{"webhook_url": "http://h/", "headers": {"X": "${TOKEN}"}}]);
    for (name, expected) in [
        ("A B", "a variable's name, with `*` at most at its end"),
        ("OH_SECRET_KEY", "no setting of the server itself"),
        ("BASH_ENV", "no variable that steers bash"),
        ("TOKEN", "no variable that `webhooks` names"),
    ] {
        let file = json!({"tool_environment": ["X", name], "webhooks": webhooks});
        let error = refused(Some(file), &[("TOKEN", "t")]);
        let place = format!("at `tool_environment[1]`: expected {expected}");
        assert!(error.contains(&place), "{error}");
    }
}

/// Processes that take no hangup, in all the ways to get away from a shell. The last one has nothing that
/// tells whose it is but its control group.
const STUBBORN: [(&str, &str); 4] = [
    (
        "job",
        "(trap '' HUP; echo $BASHPID > job; for i in $(seq 100); do sleep 1; done) &",
    ),
    (
        "daemon",
        "setsid -f sh -c 'trap \"\" HUP; echo $$ > daemon; for i in $(seq 100); do sleep 1; done'",
    ),
    ("plain", "sleep 1000 & echo $! > plain"),
    (
        "unmarked",
        "setsid -f env -i sh -c 'trap \"\" HUP; echo $$ > unmarked; for i in $(seq 100); do sleep 1; done'",
    ),
];

/// Has an agent start those, with a shell that takes no hangup; their ids.
fn start_stubborn(server: &Running, project: &Path) -> Vec<(String, PathBuf)> {
    let commands = STUBBORN.map(|(_, command)| command).join("\n");
    let shell = "trap '' HUP; echo $$ > shell; for i in $(seq 100); do sleep 1; done";
    let script = project.with_extension("sh");
    fs::write(&script, format!("{commands}\n{shell}\n")).unwrap();
    let message = format!("$ . {}", script.display());
    converse(server.address, project, &message);
    let names = STUBBORN.iter().map(|(name, _)| *name).chain(["shell"]);
    names
        .map(|name| {
            let file = project.join(name);
            let pid = || {
                fs::read_to_string(&file)
                    .ok()
                    .filter(|text| text.ends_with('\n'))
            };
            wait_until(name, || pid().is_some());
            let process = PathBuf::from(format!("/proc/{}", pid().unwrap().trim()));
            (name.to_owned(), process)
        })
        .collect()
}

fn has_ended(process: &Path) -> bool {
    fs::read_to_string(process.join("stat")).map_or(true, |stat| stat.contains(") Z "))
}

/// Whether its control group says whose it is.
fn is_grouped(process: &Path) -> bool {
    let groups = fs::read_to_string(process.join("cgroup")).unwrap_or_default();
    groups.contains("agent-terminal-")
}

#[test]
fn what_a_killed_server_left_is_ended_by_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let other_folder = tempfile::tempdir().unwrap();
    let mut other = Running::start(agent_server(other_folder.path()).args(LOCAL));
    let others = start_stubborn(&other, &other_folder.path().join("project"));

    let mut server = Running::start(agent_server(folder.path()).args(LOCAL));
    let mut left = start_stubborn(&server, &folder.path().join("project"));
    left.retain(|(name, process)| name != "unmarked" || is_grouped(process));
    server.signal("KILL");
    server.wait();
    let next = Running::start(agent_server(folder.path()).args(LOCAL));
    for (name, process) in &left {
        wait_until(name, || has_ended(process));
    }
    // nothing of a server that lives
    assert!(next.get("/health").unwrap().starts_with("HTTP/1.1 200"));
    assert!(others.iter().all(|(_, process)| !has_ended(process)));
    other.signal("TERM");
    other.wait();
}

#[test]
fn all_that_agents_started_ends_with_the_server() {
    for signal in ["HUP", "TERM", "INT"] {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Running::start(agent_server(folder.path()).args(LOCAL));
        let left = start_stubborn(&server, &folder.path().join("project"));
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(0), "{}", server.output());
        for (name, process) in &left {
            assert!(has_ended(process), "{name} survives {signal}");
        }
    }
}

#[test]
fn a_server_started_to_outlive_its_terminal_does() {
    let folder = tempfile::tempdir().unwrap();
    let program = agent_server(folder.path());
    let mut shell = crate::support::command("sh".as_ref(), folder.path());
    shell
        .args(["-c", "trap '' HUP; exec \"$0\" \"$@\""])
        .arg(program.get_program())
        .args(LOCAL);
    let mut server = Running::start(&mut shell);
    server.signal("HUP");
    assert!(server.get("/health").unwrap().starts_with("HTTP/1.1 200"));
    server.signal("TERM");
    server.wait_for("SIGTERM: stopping");
    assert_eq!(server.count("SIGHUP"), 0);
}

/// Eight agents whose shells end as they are interrupted, by way of the API.
#[test]
fn interrupting_shells_that_end_leaves_the_server_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = agent_server(folder.path());
    // what goes astray meets the server and not these tests
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let server = Running::start(command.args(LOCAL));
    std::thread::scope(|scope| {
        for agent in 0..8_u64 {
            let (server, folder) = (&server, folder.path());
            scope.spawn(move || {
                let script = ["$ exit 3", "$ kill -9 $$", "$ set -e; false"];
                let script = script[usize::try_from(agent).unwrap() % 3];
                let id = converse(server.address, &folder.join(agent.to_string()), script);
                let interrupt = format!("/conversations/{id}/interrupt");
                let event = json!({
                    "role": "user", "content": [{"type": "text", "text": script}], "run": true
                });
                for round in 0..10 {
                    std::thread::sleep(std::time::Duration::from_millis(3 * round));
                    server.post(&interrupt, "");
                    server.post(&format!("/conversations/{id}/events"), &event.to_string());
                }
                server.post(&interrupt, "");
            });
        }
    });
    assert!(server.get("/health").unwrap().starts_with("HTTP/1.1 200"));
}
