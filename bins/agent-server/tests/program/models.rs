//! `agent-server models` says what is known of models, and whether one works.

use serde_json::json;
use test_support::model_server::{ModelServer, Reply};

use crate::support::{agent_server, output};

#[test]
fn known_models_are_listed_by_a_part_of_their_name() {
    let folder = tempfile::tempdir().unwrap();
    let (success, shown, _) =
        output(agent_server(folder.path()).args(["models", "anthropic/claude-opus-4-5"]));
    assert!(success);
    let line = shown
        .lines()
        .find(|line| line.starts_with("anthropic/claude-opus-4-5 "))
        .unwrap();
    let cells: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(
        cells[1..6],
        ["200k", "5.00", "25.00", "0.50", "6.25"],
        "{line}"
    );
    assert!(
        line.ends_with("tools, images, reasoning (low, medium, high)"),
        "{line}"
    );

    let (success, shown, errors) =
        output(agent_server(folder.path()).args(["models", "nobody-knows"]));
    assert!(!success && shown.is_empty());
    assert!(errors.contains("nobody-knows"), "{errors}");
}

#[test]
fn a_model_that_calls_the_tool_works() {
    let folder = tempfile::tempdir().unwrap();
    let server = ModelServer::start([Reply::call("add", json!({"a": 19, "b": 23}))]);
    let (success, shown, errors) = check(&folder, &server.base_url);
    assert!(success, "{shown}\n{errors}");
    for text in [
        "address    works",
        "key        works",
        "reply      works",
        "tool call  works  add",
    ] {
        assert!(shown.contains(text), "no `{text}` in\n{shown}");
    }
    assert!(shown.contains("price      -"), "{shown}");
    assert!(!shown.contains("hush"), "{shown}");
    assert_eq!(server.requests().len(), 1);
    assert_eq!(server.violations(), Vec::<String>::new());
}

#[test]
fn what_does_not_work_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let server = ModelServer::start([Reply::text("42")]);
    let (success, shown, _) = check(&folder, &server.base_url);
    assert!(!success);
    assert!(shown.contains("reply      works"), "{shown}");
    assert!(
        shown.contains("tool call  FAILS  it answered with text, \"42\""),
        "{shown}"
    );

    // Nobody listens there.
    let (success, shown, _) = check(&folder, "http://127.0.0.1:9/v1");
    assert!(!success);
    assert!(shown.contains("address    FAILS"), "{shown}");
    assert!(!shown.contains("hush"), "{shown}");

    let (success, shown, _) =
        output(agent_server(folder.path()).args(["models", "--check", "nobody/knows"]));
    assert!(!success);
    assert!(shown.contains("settings   FAILS"), "{shown}");
}

#[test]
fn a_key_is_only_called_accepted_when_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let server = ModelServer::start([Reply::Error(404, "no such model".to_owned())]);
    let (success, shown, _) = check(&folder, &server.base_url);
    assert!(!success);
    assert!(!shown.contains("key "), "{shown}");
    assert!(shown.contains("reply      FAILS"), "{shown}");

    let (_, shown, _) = output(agent_server(folder.path()).args(["models", "--check", "scripted"]));
    assert!(
        shown.contains("key        works  none is needed"),
        "{shown}"
    );
}

fn check(folder: &tempfile::TempDir, address: &str) -> (bool, String, String) {
    output(
        agent_server(folder.path())
            .args(["models", "--check", "openai/fake"])
            .env("LLM_API_KEY", "hush")
            .env("LLM_BASE_URL", address),
    )
}
