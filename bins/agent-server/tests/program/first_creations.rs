//! The first requests to a fresh server come at once.

use std::{fs, path::Path, sync::Arc, thread};

use agent_runtime::Vault;
use agent_server::{config::Settings, secret_key};
use serde_json::{Value, json};

use crate::support::{Running, agent_server, ask, parts};

const LOCAL: [&str; 4] = ["--host", "127.0.0.1", "--port", "0"];
const CREATIONS: usize = 64;
/// How many fresh folders; `FRESH_STARTS=1000` takes its time.
const STARTS: usize = 6;

#[test]
fn all_first_creations_succeed_and_their_secrets_open_after_a_restart() {
    let starts = std::env::var("FRESH_STARTS").map_or(STARTS, |count| count.parse().unwrap());
    for start in 0..starts {
        let folder = tempfile::tempdir().unwrap();
        let server = Running::start(agent_server(folder.path()).args(LOCAL));
        let made = create_at_once(&[&server], folder.path());
        stop(server);
        let server = Running::start(agent_server(folder.path()).args(LOCAL));
        for (id, _) in &made {
            let info = server.get(&format!("/conversations/{id}")).unwrap();
            assert!(info.starts_with("HTTP/1.1 200 "), "start {start}: {info}");
        }
        stop(server);
        let conversations = folder.path().join("workspace/conversations");
        check_secrets(&made, &[&conversations], start);
    }
}

/// Two servers, each with conversations of its own, may have their secret key in one folder.
#[test]
fn two_servers_that_share_a_key_make_one() {
    for start in 0..STARTS {
        let folder = tempfile::tempdir().unwrap();
        let serve = |conversations: &str| {
            let mut command = agent_server(folder.path());
            command
                .args(LOCAL)
                .env("OH_CONVERSATIONS_PATH", conversations);
            Running::start(&mut command)
        };
        let servers = ["workspace/one", "workspace/two"].map(serve);
        let [one, two] = &servers;
        let made = create_at_once(&[one, two], folder.path());
        servers.into_iter().for_each(stop);
        let roots = ["one", "two"].map(|name| folder.path().join("workspace").join(name));
        check_secrets(&made, &[&roots[0], &roots[1]], start);
    }
}

/// The id of each conversation, and its secret.
fn create_at_once(servers: &[&Running], folder: &Path) -> Vec<(String, String)> {
    let project = folder.join("project");
    let create = |number: usize| {
        let address = servers[number % servers.len()].address;
        let secret = format!("sesame-{number}");
        let body = json!({
            "agent": {"llm": {"model": "scripted", "api_key": secret}},
            "workspace": {"working_dir": project},
        });
        let answer = ask(address, "POST", "/conversations", &body.to_string()).unwrap();
        let (status, body) = parts(&answer).unwrap_or_else(|| panic!("{answer}"));
        assert_eq!(status, 201, "{answer}");
        let info: Value = serde_json::from_str(&body).unwrap();
        (info["id"].as_str().unwrap().to_owned(), secret)
    };
    let made = thread::scope(|scope| {
        let creating: Vec<_> = (0..CREATIONS)
            .map(|number| scope.spawn(move || create(number)))
            .collect();
        creating
            .into_iter()
            .map(|made| made.join().unwrap())
            .collect()
    });
    for server in servers {
        assert_eq!(server.count("WARN agent_runtime"), 0, "{}", server.output());
    }
    assert!(project.join(".git/HEAD").exists() && !project.join(".git/config.lock").exists());
    made
}

fn stop(mut server: Running) {
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0), "{}", server.output());
}

fn check_secrets(made: &[(String, String)], conversations: &[&Path], start: usize) {
    let root = conversations[0].parent().unwrap();
    let settings = Settings {
        conversations_path: conversations[0].to_owned(),
        ..Settings::default()
    };
    let (key, _) = secret_key::source(&settings).unwrap();
    let vault = Vault::new(Arc::clone(&key));
    for (id, secret) in made {
        let stored = conversations
            .iter()
            .find_map(|folder| fs::read(folder.join(id).join("metadata.json")).ok());
        let mut metadata: Value = serde_json::from_slice(&stored.unwrap()).unwrap();
        let agent = &mut metadata["agent"];
        assert_ne!(agent["llm"]["api_key"], secret.as_str(), "it is sealed");
        vault.open_all(agent);
        assert_eq!(agent["llm"]["api_key"], secret.as_str(), "start {start}");
    }
    let names = fs::read_dir(root).unwrap();
    let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    names.retain(|name| name.to_string_lossy().contains("key"));
    assert_eq!(names, ["secret.key"], "nothing else is left of the making");
}
