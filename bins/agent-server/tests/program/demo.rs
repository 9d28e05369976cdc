//! The demonstration does what the README says of it.

use std::fs;

use crate::support::{agent_server, output};

#[test]
fn the_demo_works_and_leaves_files_and_a_log() {
    let folder = tempfile::tempdir().unwrap();
    let (success, shown, errors) =
        output(agent_server(folder.path()).args(["demo", "--keep", "kept"]));
    assert!(success, "{shown}\n{errors}");
    for text in [
        "agent-server on http://127.0.0.1:",
        "$ ./test.sh",
        "✗ exit code 1",
        "ok: words are counted in any case",
        "wordcount.sh (",
        "events.jsonl",
        "✓ the agent finished its task",
    ] {
        assert!(shown.contains(text), "no `{text}` in\n{shown}");
    }
    assert!(!shown.contains('\x1b'), "colour without a terminal");
    let kept = folder.path().join("kept");
    assert!(kept.join("project/wordcount.sh").is_file());
    assert!(kept.join("server.log").is_file());
    let conversations = fs::read_dir(kept.join("conversations")).unwrap();
    let logs = conversations.filter(|entry| {
        let log = entry.as_ref().unwrap().path().join("events.jsonl");
        fs::read_to_string(log).is_ok_and(|log| log.lines().count() > 20)
    });
    assert_eq!(logs.count(), 1);
}

#[test]
fn a_task_needs_a_model_and_a_model_that_fails_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let (success, shown, _) = output(agent_server(folder.path()).args(["demo", "say hello"]));
    assert!(!success);
    assert!(shown.contains("set LLM_MODEL"), "{shown}");

    let (success, shown, _) = output(
        agent_server(folder.path())
            .args(["demo", "say hello", "--keep", "kept"])
            .env("LLM_MODEL", "openai/none")
            .env("LLM_API_KEY", "hush")
            .env("OH_LLM_NUM_RETRIES", "0")
            // Nobody listens there.
            .env("LLM_BASE_URL", "http://127.0.0.1:9/v1"),
    );
    assert!(!success);
    assert!(shown.contains("✗ the run ended as error"), "{shown}");
    assert!(!shown.contains("hush"), "{shown}");
}
