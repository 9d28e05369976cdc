mod others;

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::PathBuf,
};

use core_model::Content;
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;
use workspace::Workspace;

use super::*;
use crate::{CallSignals, ToolEnvironment, built_in::descriptor::BuiltIn, parse_call};

struct Bench {
    folder: TempDir,
    editor: BuiltIn<FileEditor>,
    workspace: Workspace,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(folder.path(), Default::default());
        let environment = ToolEnvironment {
            workspace: workspace.clone(),
            ..ToolEnvironment::default()
        };
        Self {
            folder,
            editor: DESCRIPTOR.with(FileEditor::default(), &environment),
            workspace,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn with(name: &str, content: impl AsRef<[u8]>) -> Self {
        let bench = Self::new();
        fs::write(bench.path(name), content).unwrap();
        bench
    }

    fn content(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Calls `command` on `name` in the bench's folder, as a model would.
    async fn call(&self, command: &str, name: &str, mut arguments: Value) -> Value {
        arguments["command"] = command.into();
        arguments["path"] = self.path(name).to_str().unwrap().into();
        self.call_exactly(arguments).await
    }

    async fn call_exactly(&self, arguments: Value) -> Value {
        let call = parse_call(&self.editor, &arguments.to_string(), "").unwrap();
        let call = ToolCall {
            action: &call.action,
            workspace: &self.workspace,
            signals: &CallSignals::default(),
        };
        json!(self.editor.tool.run(call).await.unwrap())
    }

    /// What the model reads after a call that must fail.
    async fn refused(&self, command: &str, name: &str, arguments: Value) -> String {
        let observation = self.call(command, name, arguments).await;
        assert_eq!(observation["is_error"], true, "{observation}");
        text(&observation)
    }
}

fn text(observation: &Value) -> String {
    observation["content"][0]["text"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn an_edit_from_creation_to_undo() {
    let bench = Bench::new();
    let path = bench.path("a.txt").to_str().unwrap().to_owned();
    let header = format!("Here's the result of running `cat -n` on {path}:\n");
    let edited = format!(
        "{path} was edited. Here's the result of running `cat -n` on the lines around the change:\n"
    );
    let part = |text: String| json!([{"type": "text", "cache_prompt": false, "text": text}]);

    let arguments = json!({"file_text": "one\ntwo\nthree\n"});
    assert_eq!(
        serde_json::to_string(&bench.call("create", "a.txt", arguments).await).unwrap(),
        serde_json::to_string(&json!({
            "content": [Content::text(format!("File created: {path}"))],
            "is_error": false,
            "command": "create",
            "path": path,
            "prev_exist": false,
            "new_content": "one\ntwo\nthree\n",
            "kind": "FileEditorObservation",
        }))
        .unwrap()
    );
    assert_eq!(
        bench.call("view", "a.txt", json!({})).await,
        json!({
            "content": part(format!("{header}     1\tone\n     2\ttwo\n     3\tthree\n")),
            "is_error": false,
            "command": "view",
            "path": path,
            "prev_exist": true,
            "kind": "FileEditorObservation",
        })
    );
    let arguments = json!({"old_str": "two", "new_str": "TWO"});
    assert_eq!(
        bench.call("str_replace", "a.txt", arguments).await,
        json!({
            "content": part(format!("{edited}     1\tone\n     2\tTWO\n     3\tthree\n")),
            "is_error": false,
            "command": "str_replace",
            "path": path,
            "prev_exist": true,
            "old_content": "one\ntwo\nthree\n",
            "new_content": "one\nTWO\nthree\n",
            "kind": "FileEditorObservation",
        })
    );
    let arguments = json!({"insert_line": 1, "new_str": "inserted"});
    let inserted = bench.call("insert", "a.txt", arguments).await;
    assert_eq!(inserted["new_content"], "one\ninserted\nTWO\nthree\n");
    assert_eq!(bench.content("a.txt"), "one\ninserted\nTWO\nthree\n");
    assert_eq!(
        bench.call("undo_edit", "a.txt", json!({})).await,
        json!({
            "content": part(format!(
                "The last edit is undone. {header}     1\tone\n     2\tTWO\n     3\tthree\n"
            )),
            "is_error": false,
            "command": "undo_edit",
            "path": path,
            "prev_exist": true,
            "old_content": "one\ninserted\nTWO\nthree\n",
            "new_content": "one\nTWO\nthree\n",
            "kind": "FileEditorObservation",
        })
    );
    bench.call("undo_edit", "a.txt", json!({})).await;
    assert_eq!(bench.content("a.txt"), "one\ntwo\nthree\n");
    let none = bench.refused("undo_edit", "a.txt", json!({})).await;
    assert!(none.contains("no edit"), "{none}");
    assert!(bench.path("a.txt").exists());
}

#[tokio::test]
async fn a_failure_has_no_path() {
    let bench = Bench::new();
    let path = bench.path("none").to_str().unwrap().to_owned();
    let observation = bench.call("view", "none", json!({})).await;
    assert_eq!(
        observation,
        json!({
            "content": [Content::text(format!(
                "{path} does not exist. Check the path, for instance by viewing its folder."
            ))],
            "is_error": true,
            "command": "view",
            "prev_exist": true,
            "kind": "FileEditorObservation",
        })
    );
    for command in ["str_replace", "insert", "undo_edit"] {
        let arguments = json!({"old_str": "a", "new_str": "b", "insert_line": 0});
        let reason = bench.refused(command, "none/x", arguments).await;
        assert!(reason.contains("does not exist"), "{reason}");
    }
}

#[tokio::test]
async fn relative_paths_are_answered_with_the_absolute_one() {
    let bench = Bench::new();
    let observation = bench
        .call_exactly(json!({"command": "view", "path": "./src/a.rs"}))
        .await;
    let suggestion = format!("Did you mean {}?", bench.path("src/a.rs").display());
    assert!(text(&observation).contains(&suggestion), "{observation}");
    assert_eq!(observation["is_error"], true);
}

#[tokio::test]
async fn create_overwrites_nothing_and_makes_no_folder() {
    let bench = Bench::with("a", "old");
    let arguments = json!({"file_text": "new"});
    let reason = bench.refused("create", "a", arguments.clone()).await;
    assert!(reason.contains("exists already"), "{reason}");
    symlink("/nowhere/at/all", bench.path("dangling")).unwrap();
    let reason = bench.refused("create", "dangling", arguments.clone()).await;
    assert!(reason.contains("exists already"), "{reason}");
    let reason = bench.refused("create", "no/b", arguments.clone()).await;
    assert!(reason.contains("does not exist"), "{reason}");
    let reason = bench.refused("create", "new/", arguments).await;
    assert!(reason.contains("cannot be created"), "{reason}");
    assert_eq!(bench.content("a"), "old");
    assert!(!bench.path("no").exists());
}

#[tokio::test]
async fn create_makes_a_workspace_that_is_gone_again_and_says_so() {
    let bench = Bench::new();
    fs::remove_dir(bench.folder.path()).unwrap();
    let arguments = json!({"file_text": "new"});
    let reason = bench.refused("create", "no/b", arguments.clone()).await;
    assert!(reason.contains("does not exist"), "{reason}");
    let created = bench.call("create", "b", arguments).await;
    let said = created["content"][0]["text"].as_str().unwrap();
    assert!(said.contains("made again"), "{said}");
    assert!(said.contains("File created: "), "{said}");
    assert_eq!(bench.content("b"), "new");
}

#[tokio::test]
async fn each_command_says_what_it_needs() {
    let bench = Bench::with("a", "x\n");
    for (command, name, missing) in [
        ("create", "b", "file_text"),
        ("str_replace", "a", "old_str"),
        ("insert", "a", "insert_line"),
    ] {
        let reason = bench.refused(command, name, json!({"new_str": "y"})).await;
        assert_eq!(reason, format!("`{command}` needs `{missing}`."));
    }
    let reason = bench
        .refused("insert", "a", json!({"insert_line": 1}))
        .await;
    assert_eq!(reason, "`insert` needs `new_str`.");
    bench
        .call("str_replace", "a", json!({"old_str": "x"}))
        .await;
    assert_eq!(bench.content("a"), "\n");
}

#[tokio::test]
async fn a_refused_edit_changes_nothing() {
    let bench = Bench::with("a", "x\ny\nx\n");
    let several = bench
        .refused("str_replace", "a", json!({"old_str": "x", "new_str": "z"}))
        .await;
    assert!(several.contains("lines 1, 3"), "{several}");
    let missing = json!({"old_str": "q", "new_str": "z"});
    bench.refused("str_replace", "a", missing).await;
    let beyond = json!({"insert_line": 4, "new_str": "z"});
    let reason = bench.refused("insert", "a", beyond).await;
    assert!(reason.contains("from 0 to 3"), "{reason}");
    bench
        .refused("view", "a", json!({"view_range": [9, 10]}))
        .await;
    assert_eq!(bench.content("a"), "x\ny\nx\n");
    bench.refused("undo_edit", "a", json!({})).await;
}

#[tokio::test]
async fn what_is_no_text_is_refused_and_kept() {
    let edit = json!({"old_str": "a", "new_str": "b"});
    for (content, reason) in [
        (&b"a\0b"[..], "binary"),
        (b"caf\xe9 a", "not UTF-8"),
        (&vec![b'a'; (10 << 20) + 1], "over the limit of 10 MB"),
    ] {
        let bench = Bench::with("f", content);
        for command in ["view", "str_replace"] {
            let given = bench.refused(command, "f", edit.clone()).await;
            assert!(given.contains(reason), "{given}");
        }
        assert!(fs::read(bench.path("f")).unwrap() == content);
    }
    let bench = Bench::new();
    let reason = bench.refused("str_replace", "", edit.clone()).await;
    assert!(reason.contains("is a folder"), "{reason}");
    let observation = bench.call_exactly(json!({"path": "/dev/zero"})).await;
    assert!(
        text(&observation).contains("not a regular file"),
        "{observation}"
    );
    let large = json!({"file_text": "a".repeat((10 << 20) + 1)});
    let reason = bench.refused("create", "large", large).await;
    assert!(reason.contains("over the limit"), "{reason}");
}

#[tokio::test]
async fn a_folder_is_shown_two_levels_deep() {
    let bench = Bench::new();
    fs::create_dir_all(bench.path("b/c/deep")).unwrap();
    fs::create_dir(bench.path(".git")).unwrap();
    fs::write(bench.path("a.txt"), "").unwrap();
    fs::write(bench.path("b/x"), "").unwrap();
    fs::write(bench.path("b/.hidden"), "").unwrap();
    symlink(bench.path("b"), bench.path("link")).unwrap();
    let root = bench.folder.path().display().to_string();
    let observation = bench.call_exactly(json!({"path": root})).await;
    assert_eq!(
        text(&observation),
        format!(
            "Files and folders in {root}, two levels deep, without hidden items:\n\
             {root}/a.txt\n{root}/b/\n{root}/b/c/\n{root}/b/x\n{root}/link/\n"
        )
    );
    let reason = bench
        .refused("view", "b", json!({"view_range": [1, 2]}))
        .await;
    assert!(reason.contains("leave out `view_range`"), "{reason}");
    for number in 0..2_000 {
        fs::write(bench.path(&format!("b/c/{number:0100}")), "").unwrap();
    }
    let long = text(&bench.call("view", "b/c", json!({})).await);
    assert!(long.contains("more items are not shown"));
    assert!(long.chars().count() < 17_000);
}

#[tokio::test]
async fn an_edit_keeps_mode_and_symbolic_link() {
    let bench = Bench::with("run.sh", "echo a\n");
    fs::set_permissions(bench.path("run.sh"), fs::Permissions::from_mode(0o750)).unwrap();
    symlink("run.sh", bench.path("link")).unwrap();
    let edit = json!({"old_str": "a", "new_str": "b"});
    bench.call("str_replace", "link", edit).await;
    assert_eq!(bench.content("run.sh"), "echo b\n");
    let mode = |name| {
        fs::symlink_metadata(bench.path(name))
            .unwrap()
            .permissions()
    };
    assert_eq!(mode("run.sh").mode() & 0o7777, 0o750);
    assert!(bench.path("link").is_symlink());
    // Both names are one file with one history.
    bench.call("undo_edit", "run.sh", json!({})).await;
    assert_eq!(bench.content("link"), "echo a\n");
}

#[tokio::test]
async fn a_file_made_anew_has_no_history() {
    let bench = Bench::with("a", "1\n");
    let edit = json!({"old_str": "1", "new_str": "2"});
    bench.call("str_replace", "a", edit).await;
    fs::remove_file(bench.path("a")).unwrap();
    bench
        .call("create", "a", json!({"file_text": "new\n"}))
        .await;
    bench.refused("undo_edit", "a", json!({})).await;
    assert_eq!(bench.content("a"), "new\n");
}

#[tokio::test]
async fn parallel_edits_all_arrive() {
    let bench = Arc::new(Bench::with("a", "start\n"));
    let edits = (0..20).map(|number| {
        let bench = Arc::clone(&bench);
        tokio::spawn(async move {
            let line = json!({"insert_line": 1, "new_str": format!("line {number}")});
            bench.call("insert", "a", line).await
        })
    });
    for edit in edits.collect::<Vec<_>>() {
        assert_eq!(edit.await.unwrap()["is_error"], false);
    }
    assert_eq!(bench.content("a").lines().count(), 21);
}

#[tokio::test]
async fn a_cancelled_call_says_so() {
    let bench = Bench::with("a", "x\n");
    let arguments = json!({"path": bench.path("a")}).to_string();
    let call = parse_call(&bench.editor, &arguments, "").unwrap();
    let held = bench.editor.tool.editor.lock().unwrap();
    let signals = CallSignals::default();
    signals.cancel.cancel();
    let runtime = tokio::runtime::Handle::current();
    let call = ToolCall {
        action: &call.action,
        workspace: &bench.workspace,
        signals: &signals,
    };
    let outcome = std::thread::scope(|scope| {
        let work = scope.spawn(|| runtime.block_on(bench.editor.tool.run(call)));
        work.join().unwrap()
    });
    assert!(matches!(outcome, Err(ToolError::Cancelled)), "{outcome:?}");
    drop(held);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a file holds and whatever is edited, undoing every edit restores its bytes.
    #[test]
    fn undo_restores_every_byte(
        content in "([a-cé ]{0,3}(\n|\r\n|\r)?){0,12}",
        edits in prop::collection::vec((0..14_u64, "[a-c\n]{0,4}", "[x-z\r\n]{0,4}"), 1..10),
    ) {
        let bench = Bench::with("f", &content);
        let mut editor = bench.editor.tool.editor.lock().unwrap();
        let mut run = |arguments: Value| editor.run(&bench.workspace, serde_json::from_value(arguments).unwrap());
        let path = bench.path("f");
        let mut contents = vec![content];
        for (line, old, new) in edits {
            for arguments in [
                json!({"command": "insert", "path": path, "insert_line": line, "new_str": new}),
                json!({"command": "str_replace", "path": path, "old_str": old, "new_str": new}),
            ] {
                let before = contents.last().unwrap().clone();
                match run(arguments) {
                    Ok(_) => contents.push(bench.content("f")),
                    Err(_) => prop_assert_eq!(bench.content("f"), before),
                }
            }
        }
        contents.pop();
        for expected in contents.iter().rev().take(10) {
            run(json!({"command": "undo_edit", "path": path})).unwrap_or_else(|reason| panic!("{reason}"));
            prop_assert_eq!(&bench.content("f"), expected);
        }
    }
}

#[tokio::test]
async fn what_only_looks_like_a_file_does_not_hang_or_fill_memory() {
    let bench = Bench::new();
    nix::unistd::mkfifo(&bench.path("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    symlink("/dev/zero", bench.path("zero")).unwrap();
    symlink("loop", bench.path("loop")).unwrap();
    for name in ["pipe", "zero", "loop"] {
        bench.refused("view", name, json!({})).await;
        let edit = json!({"insert_line": 0, "new_str": "x"});
        bench.refused("insert", name, edit).await;
        let create = json!({"file_text": "x"});
        bench.refused("create", name, create).await;
    }
    // says that it is empty, and has gigabytes
    let pages = "/proc/self/pagemap";
    if std::path::Path::new(pages).exists() {
        let observation = bench
            .call_exactly(json!({"command": "view", "path": pages}))
            .await;
        let text = observation["content"][0]["text"].as_str().unwrap();
        assert!(text.contains("over the limit"), "{text}");
    }
}

#[tokio::test]
async fn a_home_folder_is_no_part_of_the_workspace() {
    let bench = Bench::new();
    let observation = bench
        .call_exactly(json!({"command": "view", "path": "~/notes.txt"}))
        .await;
    let text = observation["content"][0]["text"].as_str().unwrap();
    assert!(
        text.contains("`~`") && !text.contains("Did you mean"),
        "{text}"
    );
}
