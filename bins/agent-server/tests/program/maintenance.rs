//! The commands that work on the conversations folder, run as a user would.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::support::{Running, agent_server, converse, output, start_error, wait_until};

const HEX: &str = "2f34c5cd31d64dcfacdfcf89c5641e99";
const ID: &str = "2f34c5cd-31d6-4dcf-acdf-cf89c5641e99";
const LOCAL: [&str; 4] = ["--host", "127.0.0.1", "--port", "0"];

/// What the reference server encrypted with the key `my-secret-key`, and what it was.
const TOKEN: &str = "gAAAAABrA6sPs5DX6p1aXMn6TuXw6Z_DtCZ5a2ZnC7HyGCA_Thz0DKxGrDGNzgCLIMZAYSQd-tPWgqs8NVvR-DPdYz7xUWKgWA==";
const SECRET: &str = "sk-key-1";

/// A conversation of the reference server, recorded from it, in a folder that it shares with this
/// one.
fn recorded(folder: &Path) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../crates/transcript/tests/transcript/fixtures/reference")
        .join(HEX);
    let to = folder.join("workspace/conversations").join(HEX);
    fs::create_dir_all(to.join("events")).unwrap();
    for part in ["", "events"] {
        for entry in fs::read_dir(from.join(part)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                fs::copy(entry.path(), to.join(part).join(entry.file_name())).unwrap();
            }
        }
    }
    to
}

fn change(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

fn body(answer: &str) -> Value {
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}"))
}

fn run(folder: &Path, arguments: &[&str]) -> (bool, String, String) {
    output(agent_server(folder).args(arguments))
}

#[test]
fn an_imported_conversation_is_listed_read_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let theirs = recorded(folder.path());
    let project = folder.path().join("project");
    fs::create_dir(&project).unwrap();
    change(&theirs.join("base_state.json"), |state| {
        state["workspace"]["working_dir"] = project.display().to_string().into();
    });
    let before = tree(&theirs);

    let import = ["import", "--model-from-config", "workspace/conversations"];
    let (success, said, warned) = run(folder.path(), &[&import[..], &["--dry-run"]].concat());
    assert!(success, "{said}{warned}");
    assert!(
        said.contains(&format!("would import  {ID}  32 events  Say hello")),
        "{said}"
    );
    assert!(
        !folder
            .path()
            .join("workspace/conversations")
            .join(ID)
            .exists()
    );

    let (success, said, warned) = run(folder.path(), &import);
    assert!(success, "{said}{warned}");
    assert!(
        said.contains(&format!("imported  {ID}  32 events  Say hello")),
        "{said}"
    );
    assert!(
        said.contains("secret `TOKEN` cannot be read and is left out"),
        "{said}"
    );
    assert!(
        said.contains("1 conversation with 32 events imported\n"),
        "{said}"
    );
    assert_eq!(tree(&theirs), before, "the original stays as it was");

    let server = Running::start(agent_server(folder.path()).args(LOCAL));
    let list = body(&server.get("/api/conversations/search").unwrap());
    assert_eq!(list["items"][0]["id"], ID);
    assert_eq!(list["items"][0]["title"], "Say hello");
    assert_eq!(list["items"][0]["execution_status"], "idle");
    assert_eq!(list["items"][0]["tags"], json!({"team": "blue"}));
    let events = |server: &Running| {
        let page = format!("/api/conversations/{ID}/events/search?limit=100");
        body(&server.get(&page).unwrap())["items"]
            .as_array()
            .unwrap()
            .clone()
    };
    let recorded: Vec<Value> = files(&theirs.join("events"))
        .iter()
        .map(|file| serde_json::from_slice(&fs::read(file).unwrap()).unwrap())
        .collect();
    assert_eq!(events(&server), recorded);

    let message = json!({
        "role": "user",
        "content": [{"type": "text", "text": "```json\n[{\"say\": \"I am still here.\"}]\n```"}],
        "run": true,
    });
    let answer = server.post(
        &format!("/api/conversations/{ID}/events"),
        &message.to_string(),
    );
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    wait_until("the agent answers", || {
        events(&server).iter().any(|event| {
            event["source"] == "agent" && event.to_string().contains("I am still here.")
        })
    });
    assert_eq!(events(&server)[..32], recorded);
}

#[test]
fn an_import_while_a_server_runs_names_it_and_a_second_import_skips() {
    let folder = tempfile::tempdir().unwrap();
    let theirs = recorded(folder.path());
    let theirs = theirs.to_str().unwrap();
    let mut server = Running::start(agent_server(folder.path()).args(LOCAL));
    let error = start_error(agent_server(folder.path()).args(["import", theirs]));
    assert!(
        error.contains(&format!("process {}", server.pid())),
        "{error}"
    );
    assert!(error.contains("stop it first"), "{error}");
    let (success, said, _) = run(folder.path(), &["import", "--dry-run", theirs]);
    assert!(success && said.contains("would import"), "{said}");
    server.signal("TERM");
    server.wait();

    assert!(run(folder.path(), &["import", theirs]).0);
    for arguments in [&["import", theirs][..], &["import", theirs, "--dry-run"]] {
        let (success, said, _) = run(folder.path(), arguments);
        assert!(!success, "{said}");
        assert!(
            said.contains(&format!("skipped  {ID}  exists already")),
            "{said}"
        );
    }
}

#[test]
fn secrets_come_along_with_their_key_and_are_never_stored_plain() {
    let folder = tempfile::tempdir().unwrap();
    let theirs = recorded(folder.path());
    change(&theirs.join("base_state.json"), |state| {
        state["agent"]["llm"]["api_key"] = TOKEN.into();
        state["secret_registry"]["secret_sources"]["TOKEN"]["value"] = TOKEN.into();
    });
    let ours = folder
        .path()
        .join("workspace/conversations")
        .join(ID)
        .join("metadata.json");
    // The reference takes the session API key when it has no secret key.
    for variable in ["OH_SECRET_KEY", "SESSION_API_KEY"] {
        let import = ["import", theirs.to_str().unwrap()];
        let (success, said, warned) = output(
            agent_server(folder.path())
                .args(import)
                .env(variable, "my-secret-key"),
        );
        assert!(success, "{said}{warned}");
        assert!(!said.contains("secret"), "{said}");
        let metadata: Value = serde_json::from_slice(&fs::read(&ours).unwrap()).unwrap();
        for sealed in [
            &metadata["agent"]["llm"]["api_key"],
            &metadata["agent"]["llm"]["extra_headers"]["X-Auth"],
            &metadata["secrets"]["TOKEN"]["value"],
        ] {
            let sealed = sealed.as_str().unwrap_or_else(|| panic!("{metadata}"));
            assert!(sealed.starts_with("sealed:v1:"), "{sealed}");
        }
        for plain in [SECRET, TOKEN, "header-secret"] {
            assert!(!metadata.to_string().contains(plain), "{metadata}");
            assert!(
                !said.contains(plain) && !warned.contains(plain),
                "{said}{warned}"
            );
        }
        fs::remove_dir_all(ours.parent().unwrap()).unwrap();
    }
    // Sealed with a key that was made for it, as no other was configured.
    assert!(folder.path().join("workspace/secret.key").exists());
}

#[test]
fn what_cannot_be_imported_is_named_and_the_rest_is_imported() {
    let folder = tempfile::tempdir().unwrap();
    let theirs = recorded(folder.path());
    fs::write(&files(&theirs.join("events"))[7], "half").unwrap();
    let nameless = theirs.parent().unwrap().join("backup");
    fs::create_dir(&nameless).unwrap();
    fs::write(nameless.join("base_state.json"), "{}").unwrap();
    let (success, said, _) = run(folder.path(), &["import", "workspace/conversations"]);
    assert!(!success, "{said}");
    assert!(said.contains("left out: event-00007-"), "{said}");
    assert!(
        said.contains("not imported  ") && said.contains("backup"),
        "{said}"
    );
    assert!(
        said.ends_with("1 conversation with 31 events imported, 1 not imported, 1 file left out\n"),
        "{said}"
    );
    let error = start_error(agent_server(folder.path()).args(["import", "nowhere"]));
    assert!(error.contains("nowhere"), "{error}");
}

#[test]
fn an_export_beside_a_live_server_is_the_log_and_reads_well() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(agent_server(folder.path()).args(LOCAL));
    let project = folder.path().join("project");
    let id = converse(server.address, &project, "$ echo made-by-the-agent; exit 3");
    wait_until("the run ends", || {
        let details = server.get(&format!("/conversations/{id}")).unwrap();
        body(&details)["execution_status"] == "finished"
    });
    let log = folder
        .path()
        .join("workspace/conversations")
        .join(&id)
        .join("events.jsonl");
    let hex = id.replace('-', "");
    for name in [&id, &hex, &hex[..6]] {
        let (success, said, warned) = run(folder.path(), &["export", name, "--format", "jsonl"]);
        assert!(success, "{warned}");
        assert_eq!(said, fs::read_to_string(&log).unwrap());
        assert_eq!(warned, "");
    }
    let (_, markdown, _) = run(folder.path(), &["export", &id, "--format", "markdown"]);
    for text in [
        "## User",
        "## Agent calls terminal",
        "made-by-the-agent",
        "Status: finished",
    ] {
        assert!(markdown.contains(text), "no {text} in {markdown}");
    }

    let page = folder.path().join("page.html");
    fs::write(&page, "an older one").unwrap();
    let to_page = [
        "export",
        &id,
        "--format",
        "html",
        "--output",
        page.to_str().unwrap(),
    ];
    let (success, said, told) = run(folder.path(), &to_page);
    assert!(success && said.is_empty(), "{said}{told}");
    assert!(told.contains("events written to "), "{told}");
    let html = fs::read_to_string(&page).unwrap();
    assert!(html.starts_with("<!doctype html>") && html.ends_with("</html>\n"));
    assert!(html.contains("made-by-the-agent"));
    // A device is written to, not replaced.
    assert!(run(folder.path(), &["export", &id, "--output", "/dev/null"]).0);
    assert!(!Path::new("/dev/null").is_file());
}

#[test]
fn an_export_names_damage_and_passes_none_of_it_on() {
    let folder = tempfile::tempdir().unwrap();
    let theirs = recorded(folder.path());
    assert!(run(folder.path(), &["import", theirs.to_str().unwrap()]).0);
    let log = folder
        .path()
        .join("workspace/conversations")
        .join(ID)
        .join("events.jsonl");
    let text = fs::read_to_string(&log).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines[4] = "{\"id\": \"damaged";
    fs::write(&log, lines.join("\n") + "\n{\"unfinished").unwrap();
    let (success, said, warned) = run(folder.path(), &["export", "2f34c5", "--format", "jsonl"]);
    assert!(!success);
    lines.remove(4);
    assert_eq!(said, lines.join("\n") + "\n");
    assert!(warned.contains("line 5 at byte"), "{warned}");
    assert!(warned.contains("unfinished"), "{warned}");
    let (success, said, _) = run(folder.path(), &["export", "2f34c5"]);
    assert!(!success);
    assert!(said.contains("Event 4 is damaged and left out"), "{said}");
}

#[test]
fn an_id_that_names_no_one_conversation_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let theirs = recorded(folder.path());
    assert!(run(folder.path(), &["import", theirs.to_str().unwrap()]).0);
    for (id, reason) in [
        ("2f34c", "6 or more digits"),
        ("not-an-id", "not a conversation id"),
        ("123456", "no conversation in "),
    ] {
        let error = start_error(agent_server(folder.path()).args(["export", id]));
        assert!(error.contains(reason), "{error}");
    }
    // The folder is the one that the configuration names.
    let elsewhere = start_error(
        agent_server(folder.path())
            .args(["export", "2f34c5"])
            .env("OH_CONVERSATIONS_PATH", "elsewhere"),
    );
    assert!(elsewhere.contains("elsewhere"), "{elsewhere}");
    fs::write(
        folder.path().join("mine.json"),
        json!({"conversations_path": "workspace/conversations"}).to_string(),
    )
    .unwrap();
    for arguments in [
        ["export", "2f34c5", "--config", "mine.json"],
        ["--config", "mine.json", "export", "2f34c5"],
    ] {
        let (success, _, error) = run(folder.path(), &arguments);
        assert!(success, "{error}");
    }
}

#[test]
fn the_commands_explain_themselves() {
    let folder = tempfile::tempdir().unwrap();
    for (command, words) in [
        (
            "export",
            &[
                "--format", "jsonl", "markdown", "html", "--output", "damaged",
            ][..],
        ),
        (
            "import",
            &[
                "--dry-run",
                "--model-from-config",
                "OH_SECRET_KEY",
                "base_state.json",
            ],
        ),
    ] {
        let (success, help, _) = run(folder.path(), &[command, "--help"]);
        assert!(success);
        for word in words {
            assert!(help.contains(word), "no {word} in {help}");
        }
    }
}

/// The files in a folder, sorted by name, without those that start with a dot.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.file_name().unwrap().to_str().unwrap().starts_with('.'))
        .collect();
    files.sort();
    files
}

/// A folder's files and their contents.
fn tree(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for path in files(folder) {
        if path.is_dir() {
            found.extend(tree(&path));
        } else {
            let content = fs::read(&path).unwrap();
            found.push((path, content));
        }
    }
    found
}

#[test]
fn a_check_finds_damage_and_a_repair_tells_before_it_does() {
    let folder = tempfile::tempdir().unwrap();
    recorded(folder.path());
    let project = folder.path().join("project");
    fs::create_dir(&project).unwrap();
    let import = ["import", "--model-from-config", "workspace/conversations"];
    run(folder.path(), &import);
    let (success, said, _) = run(folder.path(), &["verify"]);
    assert!(success, "{said}");
    assert!(
        said.contains(ID) && said.contains("1 conversation, all fine"),
        "{said}"
    );

    let log = folder
        .path()
        .join("workspace/conversations")
        .join(ID)
        .join("events.jsonl");
    let mut bytes = fs::read(&log).unwrap();
    bytes.extend_from_slice(b"{\"torn");
    fs::write(&log, &bytes).unwrap();
    let (success, said, _) = run(folder.path(), &["verify", "--json", &ID[..8]]);
    assert!(!success);
    let report: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(report["conversations"][0]["torn"]["bytes"], 6, "{report}");
    let (success, said, _) = run(folder.path(), &["repair"]);
    assert!(
        !success && said.contains("would move the unfinished last line"),
        "{said}"
    );
    assert_eq!(fs::read(&log).unwrap(), bytes);
    let (success, said, _) = run(folder.path(), &["repair", "--apply", ID]);
    assert!(success, "{said}");
    assert!(run(folder.path(), &["verify"]).0);
    let (success, said, _) = run(folder.path(), &["repair"]);
    assert!(success && said.contains("nothing to repair"), "{said}");
}
