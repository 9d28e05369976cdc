//! The tool against a real bash. Waits have limits only so that a failure does not hang.

mod processes;

use std::{fs, path::Path, time::Duration};

use core_model::{Content, Observation};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use workspace::{ProcessInfo, Processes, ScratchFolder, ToolFiles, Workspace};

use super::{
    DESCRIPTOR, Terminal, TerminalSettings,
    log::model_text,
    session::{SCRATCH_FILE, SCRATCH_PREFIX},
};
use crate::{CallSignals, ToolCall, ToolError, built_in::descriptor::Execute};

const HANG_GUARD: Duration = Duration::from_secs(60);

struct Bench {
    terminal: Terminal,
    workspace: Workspace,
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self::with(TerminalSettings::default())
    }

    fn with(settings: TerminalSettings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let working_dir = folder.path().join("project");
        fs::create_dir(&working_dir).unwrap();
        let files = ToolFiles::new(folder.path().join("conversation"));
        Self {
            terminal: Terminal::new(files, false, settings),
            workspace: Workspace::new(working_dir, Processes::default()),
            folder,
        }
    }

    async fn call(&self, arguments: Value) -> Observation {
        self.try_call(arguments, &CallSignals::default())
            .await
            .unwrap()
    }

    async fn try_call(
        &self,
        arguments: Value,
        signals: &CallSignals,
    ) -> Result<Observation, ToolError> {
        let Value::Object(arguments) = arguments else {
            panic!("no object");
        };
        let call = ToolCall {
            action: &(DESCRIPTOR.action)(arguments)?,
            workspace: &self.workspace,
            signals,
        };
        tokio::time::timeout(HANG_GUARD, self.terminal.run(call))
            .await
            .expect("the terminal hangs")
    }

    /// The output of a command that ends with exit code 0.
    async fn output(&self, command: &str) -> String {
        let observation = self.call(json!({ "command": command })).await;
        assert_eq!(observation.fields["exit_code"], 0, "{observation:?}");
        assert!(!observation.is_error, "{observation:?}");
        text(&observation)
    }

    /// Makes a call and reads on, while its command runs, until the output has `end`.
    async fn read_until(&self, mut arguments: Value, end: &str) -> String {
        let mut output = String::new();
        let written = async {
            while !output.contains(end) {
                arguments["timeout"] = json!(0.2);
                let observation = self.call(arguments.clone()).await;
                assert_eq!(observation.fields["timeout"], true, "{observation:?}");
                assert_eq!(observation.fields["exit_code"], -1, "{observation:?}");
                output.push_str(&text(&observation));
                arguments = json!({"command": ""});
            }
        };
        tokio::time::timeout(HANG_GUARD, written)
            .await
            .expect("the output never came");
        output
    }

    /// Closes the terminal, and checks that this ends the processes whose ids are in these files.
    async fn close_ends(&self, files: &[&str]) {
        let mut pids = Vec::new();
        for name in files {
            pids.push(self.file(name).await);
        }
        assert!(pids.iter().all(|pid| is_alive(pid)), "{pids:?}");
        self.terminal.close().await;
        for pid in &pids {
            assert_gone(pid).await;
        }
    }

    /// Waits for a file that a command writes.
    async fn file(&self, name: &str) -> String {
        let path = self.folder.path().join("project").join(name);
        let written = async {
            loop {
                match fs::read_to_string(&path) {
                    Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
                    _ => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        };
        tokio::time::timeout(HANG_GUARD, written)
            .await
            .expect("the file never came")
    }
}

fn text(observation: &Observation) -> String {
    let [content] = observation.content.as_slice() else {
        panic!("{observation:?}");
    };
    content.as_text().unwrap().to_owned()
}

fn metadata<'a>(observation: &'a Observation, name: &str) -> &'a Value {
    &observation.fields["metadata"][name]
}

fn is_alive(pid: &str) -> bool {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => !stat.contains(") Z "),
        Err(_) => false,
    }
}

async fn assert_gone(pid: &str) {
    let gone = async {
        while is_alive(pid) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(HANG_GUARD, gone)
        .await
        .unwrap_or_else(|_| panic!("{pid} survives"));
}

#[tokio::test]
async fn directory_variables_and_status_stay_from_call_to_call() {
    let bench = Bench::new();
    assert_eq!(
        bench
            .output("export A=1; B='two words'; f() { echo f$1; }; mkdir 'a b'; cd 'a b'")
            .await,
        ""
    );
    assert_eq!(bench.output("echo $A-$B; f 3").await, "1-two words\nf3");
    let observation = bench.call(json!({"command": "(exit 42)"})).await;
    assert_eq!(observation.fields["exit_code"], 42);
    assert_eq!(metadata(&observation, "exit_code"), 42);
    let cwd = metadata(&observation, "working_dir").as_str().unwrap();
    assert!(cwd.ends_with("/project/a b"), "{cwd}");
    assert_eq!(bench.output("echo $?").await, "42");
    assert_eq!(bench.output("pwd").await, cwd);
    let observation = bench.call(json!({"command": "no-such-program"})).await;
    assert_eq!(observation.fields["exit_code"], 127);
    assert!(text(&observation).contains("no-such-program: command not found"));
}

#[tokio::test]
async fn scripts_of_many_lines_run_as_one() {
    let bench = Bench::new();
    let script = "cat <<'X'\nhi $HOME\n'quote\nX\nif true; then\n  echo yes\nfi\n\nfor i in 1 2; do\n\techo $i\ndone\nfalse";
    let observation = bench.call(json!({ "command": script })).await;
    assert_eq!(text(&observation), "hi $HOME\n'quote\nyes\n1\n2");
    assert_eq!(observation.fields["exit_code"], 1);
    assert_eq!(bench.output("echo a # comment").await, "a");
    assert_eq!(bench.output("echo a \\\n b !x `echo c`").await, "a b !x c");
}

#[tokio::test]
async fn an_unfinished_script_is_a_syntax_error() {
    let bench = Bench::new();
    for command in ["echo \"open", "if true; then", "(", "echo )"] {
        let observation = bench.call(json!({ "command": command })).await;
        assert_eq!(observation.fields["exit_code"], 2, "{observation:?}");
        let text = text(&observation);
        assert!(text.starts_with("bash: "), "{text}");
        assert!(!text.contains("__terminal"), "{text}");
    }
    assert_eq!(bench.output("echo alive").await, "alive");
}

#[tokio::test]
async fn a_command_may_be_longer_than_a_terminal_line() {
    let bench = Bench::new();
    let long = "x".repeat(20_000);
    assert_eq!(bench.output(&format!("echo {long}")).await, long);
}

#[tokio::test]
async fn shell_options_do_not_break_the_terminal() {
    let bench = Bench::new();
    assert!(bench.output("set -x; echo traced").await.contains("traced"));
    let traced = bench.output("echo again").await;
    assert!(traced.ends_with("+ echo again\nagain"), "{traced}");
    assert!(!traced.contains("__terminal_prompt"), "{traced}");
    bench.output("set +x; set -u -f").await;
    assert_eq!(bench.output("echo *").await, "*");
    bench
        .output("PS1='(venv) $ '; PS2='more '; PROMPT_COMMAND='echo noise'; set -e")
        .await;
    assert_eq!(bench.output("echo plain").await, "plain");
    assert_eq!(bench.output("exec 2> err.log; echo out").await, "out");
    assert_eq!(bench.output("echo still").await, "still");
}

#[tokio::test]
async fn a_program_is_driven_through_its_input() {
    let bench = Bench::new();
    let program = "while read -r -p 'say: ' line; do echo \"got <$line>\"; done; echo over";
    let started = json!({ "command": program });
    assert_eq!(bench.read_until(started, "say:").await, "say:");
    let line = json!({"command": "one two", "is_input": true});
    let answer = bench.read_until(line, "say:").await;
    assert!(answer.starts_with("got <one two>"), "{answer}");
    let enter = json!({"command": "\n", "is_input": true});
    let answer = bench.read_until(enter, "say:").await;
    assert!(answer.starts_with("got <>"), "{answer}");
    let end = bench
        .call(json!({"command": "C-d", "is_input": true}))
        .await;
    assert_eq!(text(&end), "over");
    assert_eq!(end.fields["exit_code"], 0);
    assert_eq!(end.fields["timeout"], false);
}

#[tokio::test]
async fn python_is_driven_through_its_input() {
    if std::process::Command::new("python3")
        .arg("--version")
        .output()
        .is_err()
    {
        eprintln!("skipped: no python3");
        return;
    }
    let bench = Bench::new();
    bench.read_until(json!({"command": "python3"}), ">>>").await;
    let line = json!({"command": "print('-'.join(['forty', 'two']))", "is_input": true});
    bench.read_until(line, "forty-two").await;
    let end = bench
        .call(json!({"command": "exit(5)", "is_input": true}))
        .await;
    assert_eq!(end.fields["exit_code"], 5, "{end:?}");
}

#[tokio::test]
async fn a_command_goes_on_after_a_timeout() {
    let bench = Bench::with(TerminalSettings {
        soft_timeout: Duration::from_secs(2),
        ..TerminalSettings::default()
    });
    let command = "echo start; read -r -t 50 < <(while [ ! -e go ]; do sleep 0.05; done; echo); echo end; (exit 9)";
    let first = bench.call(json!({ "command": command })).await;
    assert_eq!(text(&first), "start");
    assert_eq!(first.fields["exit_code"], -1);
    assert_eq!(first.fields["timeout"], true);
    assert!(!first.is_error);
    let suffix = metadata(&first, "suffix").as_str().unwrap();
    assert!(
        suffix.contains("empty command") && suffix.contains("C-c"),
        "{suffix}"
    );

    let other = bench.call(json!({"command": "touch wrong"})).await;
    assert!(other.is_error);
    assert!(text(&other).contains("echo start"), "{other:?}");
    assert!(!bench.folder.path().join("project/wrong").exists());

    let waiting = bench.call(json!({"command": "", "timeout": 0.1})).await;
    assert_eq!(
        (text(&waiting), &waiting.fields["timeout"]),
        (String::new(), &json!(true))
    );

    fs::write(bench.folder.path().join("project/go"), "").unwrap();
    let last = bench.call(json!({"command": "", "timeout": 50})).await;
    assert_eq!(text(&last), "end");
    assert_eq!(last.fields["exit_code"], 9);
    assert_eq!(bench.output("echo next").await, "next");
}

#[tokio::test]
async fn control_c_ends_a_command_and_nothing_more() {
    let bench = Bench::new();
    bench.output("X=kept").await;
    let command = "echo a; sleep 1000; echo never";
    bench.read_until(json!({ "command": command }), "a").await;
    let end = bench
        .call(json!({"command": "C-c", "is_input": true}))
        .await;
    assert_eq!(end.fields["exit_code"], 130);
    assert_eq!(text(&end), "");
    assert_eq!(bench.output("echo $X").await, "kept");
}

#[tokio::test]
async fn a_command_that_ended_unseen_still_reports() {
    let bench = Bench::new();
    let command = "until [ -e go ]; do sleep 0.05; done; echo late; echo x > done; (exit 4)";
    let mut seen = String::new();
    for next in [
        json!({"command": ""}),
        json!({"command": "y", "is_input": true}),
    ] {
        bench
            .call(json!({"command": command, "timeout": 0.1}))
            .await;
        fs::write(bench.folder.path().join("project/go"), "").unwrap();
        bench.file("done").await;
        let end = bench.call(next).await;
        assert_eq!(end.fields["exit_code"], 4, "{end:?}");
        assert_eq!(text(&end), "late");
        bench.output("rm go done").await;
    }
    bench
        .call(json!({"command": command, "timeout": 0.1}))
        .await;
    fs::write(bench.folder.path().join("project/go"), "").unwrap();
    bench.file("done").await;
    // the prompt follows the file within moments
    let mut next = bench.call(json!({"command": "echo next"})).await;
    while next.is_error {
        seen.push_str(&text(&next));
        next = bench.call(json!({"command": "echo next"})).await;
    }
    assert_eq!(text(&next), "next");
    let prefix = metadata(&next, "prefix").as_str().unwrap();
    assert!(prefix.contains("exit code 4"), "{prefix}");
    seen.push_str(prefix);
    assert_eq!(seen.matches("\nlate").count(), 1, "{seen}");
}

#[tokio::test]
async fn calls_that_need_a_running_command_are_refused() {
    let bench = Bench::new();
    let empty = bench.call(json!({"command": ""})).await;
    assert!(empty.is_error);
    assert_eq!(
        text(&empty),
        "No previous running command to retrieve logs from."
    );
    let input = bench
        .call(json!({"command": "C-c", "is_input": true}))
        .await;
    assert!(input.is_error);
    assert_eq!(
        text(&input),
        "No previous running command to interact with."
    );
    assert_eq!(input.fields.get("exit_code"), None);
}

#[tokio::test]
async fn exit_ends_the_shell_and_the_next_command_gets_a_new_one() {
    let bench = Bench::new();
    bench.output("X=lost; cd /").await;
    let exited = bench.call(json!({"command": "echo bye; exit 3"})).await;
    assert!(exited.is_error);
    assert_eq!(exited.fields["exit_code"], -1);
    assert_eq!(exited.fields["command"], "echo bye; exit 3");
    let said = text(&exited);
    assert!(
        said.starts_with("bye\n") && said.contains("exit status: 3"),
        "{said}"
    );
    assert!(
        bench
            .output("echo \"[$X]\"; pwd")
            .await
            .ends_with("/project")
    );
    let failed = bench
        .call(json!({"command": "set -e; false; echo never"}))
        .await;
    assert!(text(&failed).contains("exit status: 1"), "{failed:?}");
    assert_eq!(bench.output("echo \"[$X]\"").await, "[]");
}

#[tokio::test]
async fn reset_starts_a_new_shell() {
    let bench = Bench::new();
    bench.output("X=lost; cd /").await;
    bench
        .call(json!({"command": "sleep 1000 & echo $! > \"$OLDPWD/pid\"; cat", "timeout": 0.2}))
        .await;
    let pid = bench.file("pid").await;
    let reset = bench.call(json!({"command": "", "reset": true})).await;
    assert_eq!(reset.fields["command"], "[RESET]");
    assert_eq!(reset.fields["exit_code"], 0);
    assert_gone(&pid).await;
    assert_eq!(bench.output("echo \"[$X]\"").await, "[]");
    let with = bench.call(json!({"command": "pwd", "reset": true})).await;
    assert_eq!(with.fields["command"], "[RESET] pwd");
    assert!(text(&with).ends_with("/project"));
    let Err(error) = bench
        .try_call(
            json!({"command": "x", "reset": true, "is_input": true}),
            &CallSignals::default(),
        )
        .await
    else {
        panic!("accepted");
    };
    assert!(error.to_string().starts_with("reset: "), "{error}");
}

#[tokio::test]
async fn twenty_megabytes_keep_head_and_tail_and_a_whole_file() {
    let bench = Bench::new();
    let output = bench.output("seq 1 2800000").await;
    assert!(output.chars().count() <= 30_000);
    assert!(output.starts_with("1\n2\n3\n"));
    assert!(output.ends_with("\n2799999\n2800000"));
    let folder = bench.folder.path().join("conversation/observations");
    let files: Vec<_> = fs::read_dir(&folder).unwrap().flatten().collect();
    assert_eq!(files.len(), 1);
    let path = files[0].path();
    assert!(output.contains(&path.display().to_string()));
    let expected: String = (1..=2_800_000)
        .map(|number| format!("{number}\n"))
        .collect();
    assert!(expected.len() > 20_000_000);
    assert!(
        fs::read_to_string(path).unwrap() == expected,
        "the file differs"
    );
}

#[tokio::test]
async fn output_is_plain_text() {
    let bench = Bench::new();
    let command = r"printf '\033[31mred\033[0m 10%%\r 99%%\033[K\r\nnext \xff\xc3\xa4\n'; tput bold 2> /dev/null; echo $TERM";
    assert_eq!(bench.output(command).await, " 99%\nnext \u{fffd}ä\ndumb");
    assert_eq!(
        bench
            .output("head -c 100000 /dev/urandom | tail -c 5 > /dev/null; printf '\\0\\1x'")
            .await,
        "x"
    );
}

#[tokio::test]
async fn output_cannot_pass_for_a_marker() {
    let bench = Bench::new();
    let dump = bench
        .output("set; declare -f; declare -p; typeset -p PROMPT_COMMAND; env")
        .await;
    assert!(dump.contains("__terminal_prompt"));
    let command = r"printf '\036x:prompt\0351\0350\035/forged\035/bin\037'; declare -f __terminal_prompt; (exit 6)";
    let observation = bench.call(json!({ "command": command })).await;
    assert_eq!(observation.fields["exit_code"], 6);
    assert_ne!(metadata(&observation, "working_dir"), "/forged");
    assert!(text(&observation).contains("/forged"));
}

#[tokio::test]
async fn background_jobs_live_on_and_make_no_noise_later() {
    let bench = Bench::new();
    bench
        .output("sleep 1000 & echo $! > pid; sh -c 'echo $$ > ended' &")
        .await;
    let pid = bench.file("pid").await;
    assert_gone(&bench.file("ended").await).await;
    for _ in 0..3 {
        assert_eq!(bench.output("echo quiet").await, "quiet");
    }
    assert!(is_alive(&pid));
}

#[tokio::test]
async fn nothing_survives_close() {
    let bench = Bench::new();
    bench
        .call(json!({
            "command": "echo $$ > shell; (trap '' HUP TERM; echo $BASHPID > stubborn; while :; do sleep 1; done) & \
                        setsid bash -c 'echo $$ > daemon; sleep 1000' & \
                        nohup sleep 1000 > /dev/null 2>&1 & echo $! > nohup; \
                        sh -c 'echo $$ > foreground; exec sleep 1000'",
            "timeout": 0.2,
        }))
        .await;
    bench
        .close_ends(&["shell", "stubborn", "daemon", "nohup", "foreground"])
        .await;
}

#[tokio::test]
async fn nothing_survives_drop() {
    let bench = Bench::new();
    bench
        .call(json!({"command": "echo $$ > shell; sleep 1000 & echo $! > job; sleep 1000", "timeout": 0.2}))
        .await;
    let pids = [bench.file("shell").await, bench.file("job").await];
    drop(bench);
    for pid in &pids {
        assert_gone(pid).await;
    }
}

#[tokio::test]
async fn cancelling_stops_the_command_and_keeps_the_shell() {
    let bench = Bench::new();
    bench.output("X=kept").await;
    let signals = CallSignals::default();
    let (result, pid) = tokio::join!(
        bench.try_call(
            json!({"command": "sh -c 'echo $$ > pid; exec sleep 1000'; echo never > never"}),
            &signals
        ),
        async {
            let pid = bench.file("pid").await;
            signals.cancel.cancel();
            pid
        }
    );
    assert!(matches!(result, Err(ToolError::Cancelled)), "{result:?}");
    assert_gone(&pid).await;
    assert_eq!(bench.output("echo $X").await, "kept");
    assert!(!bench.folder.path().join("project/never").exists());
}

#[tokio::test]
async fn cancelling_kills_what_ignores_interrupts() {
    let bench = Bench::new();
    let signals = CallSignals::default();
    let command = "bash -c 'trap \"\" INT TERM HUP; echo $$ > pid; while :; do sleep 1; done'; while :; do sleep 1; done";
    let (result, pid) = tokio::join!(
        bench.try_call(json!({ "command": command }), &signals),
        async {
            let pid = bench.file("pid").await;
            signals.cancel.cancel();
            pid
        }
    );
    assert!(matches!(result, Err(ToolError::Cancelled)), "{result:?}");
    assert_gone(&pid).await;
    assert_eq!(bench.output("echo alive").await, "alive");
}

#[tokio::test]
async fn commands_are_not_left_in_files_or_the_environment() {
    let bench = Bench::new();
    let names = bench.output("compgen -e").await;
    assert!(!names.contains("__terminal"), "{names}");
    let folder = bench
        .output("declare -f __terminal_begin | grep -o \"/.*agent-terminal-[0-9a-f]*\"")
        .await;
    assert!(Path::new(&folder).is_dir(), "{folder}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    bench.terminal.close().await;
    assert!(!Path::new(&folder).exists());
}

/// Runs itself once more with secrets in the environment.
#[tokio::test]
async fn the_shell_inherits_no_secrets() {
    if std::env::var("PROBE_PLAIN").is_ok() {
        let bench = Bench::new();
        let shown = bench
            .output("env | grep -e PROBE -e LC_TIME | sort; echo $PAGER")
            .await;
        assert_eq!(shown, "LC_TIME=C\ncat");
        return;
    }
    let again = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "built_in::terminal::tests::the_shell_inherits_no_secrets",
        ])
        .env("PROBE_PLAIN", "unknown")
        .env("PROBE_API_KEY", "leaked")
        .env("GITHUB_TOKEN_PROBE", "leaked")
        .env("OH_PROBE", "leaked")
        .env("LC_TIME", "C")
        .env("PAGER", "less")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&again.stdout);
    assert!(
        again.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

#[tokio::test]
async fn a_shell_killed_from_outside_is_replaced() {
    let bench = Bench::new();
    bench
        .output("(sleep 0.2; kill -9 $$) > /dev/null 2>&1 & echo $$ > pid")
        .await;
    assert_gone(&bench.file("pid").await).await;
    let first = bench.call(json!({"command": "echo alive"})).await;
    if first.is_error {
        // the command went to the old terminal before that hung up
        assert!(text(&first).contains("SIGKILL"), "{first:?}");
        assert_eq!(bench.output("echo alive").await, "alive");
    } else {
        assert_eq!(text(&first), "alive");
        let prefix = metadata(&first, "prefix").as_str().unwrap();
        assert!(prefix.contains("new shell"), "{prefix}");
    }
}

#[tokio::test]
async fn a_workspace_that_is_gone_is_made_again_and_said() {
    let bench = Bench::new();
    let project = bench.folder.path().join("project");
    fs::remove_dir(&project).unwrap();
    let first = bench.call(json!({"command": "pwd; touch here"})).await;
    assert!(text(&first).ends_with("/project"), "{first:?}");
    assert!(project.join("here").exists());
    let said = metadata(&first, "prefix").as_str().unwrap();
    assert!(said.contains("made again"), "{said}");

    // while the shell is there
    fs::remove_dir_all(&project).unwrap();
    let second = bench.call(json!({"command": "pwd -P; touch here"})).await;
    assert!(text(&second).ends_with("/project"), "{second:?}");
    assert!(project.join("here").exists());
    let said = metadata(&second, "prefix").as_str().unwrap();
    assert!(said.contains("made again"), "{said}");

    fs::remove_dir_all(&project).unwrap();
    let reset = bench.call(json!({"command": "", "reset": true})).await;
    assert_eq!(reset.fields["exit_code"], 0, "{reset:?}");
    let third = bench.call(json!({"command": "pwd -P"})).await;
    assert!(text(&third).ends_with("/project"), "{third:?}");
    assert!(project.is_dir());
    let last = bench.call(json!({"command": "pwd -P"})).await;
    assert_eq!(metadata(&last, "prefix"), "");
}

#[tokio::test]
async fn a_shell_whose_folder_is_gone_goes_to_the_nearest_that_is_there() {
    let bench = Bench::new();
    let project = bench.folder.path().join("project");
    bench.output("mkdir -p \"it's a/b\"; cd \"it's a/b\"").await;
    bench.call(json!({"command": "(exit 7)"})).await;
    fs::remove_dir(project.join("it's a/b")).unwrap();
    let moved = bench.call(json!({"command": "echo $?; pwd -P"})).await;
    assert!(text(&moved).starts_with("7\n"), "{moved:?}");
    assert!(text(&moved).ends_with("/project/it's a"), "{moved:?}");
    let said = metadata(&moved, "prefix").as_str().unwrap();
    assert!(said.contains("/project/it's a/b"), "{said}");

    // removed and made by others meanwhile
    fs::remove_dir(project.join("it's a")).unwrap();
    fs::create_dir(project.join("it's a")).unwrap();
    let entered = bench.call(json!({"command": "touch x; pwd -P"})).await;
    assert!(text(&entered).ends_with("/project/it's a"), "{entered:?}");
    assert!(project.join("it's a/x").exists());

    // a folder that only has another name now is still there
    fs::rename(project.join("it's a"), project.join("c")).unwrap();
    let renamed = bench.call(json!({"command": "pwd -P"})).await;
    assert!(text(&renamed).ends_with("/project/c"), "{renamed:?}");
    assert_eq!(metadata(&renamed, "prefix"), "");
}

#[tokio::test]
async fn a_workspace_that_cannot_be_made_leaves_the_shell_the_nearest_folder() {
    let bench = Bench::new();
    let project = bench.folder.path().join("project");
    fs::remove_dir(&project).unwrap();
    fs::write(&project, "in the way").unwrap();
    let observation = bench.call(json!({"command": "pwd -P"})).await;
    let folder = bench.folder.path().canonicalize().unwrap();
    assert_eq!(text(&observation), folder.display().to_string());
    let said = metadata(&observation, "prefix").as_str().unwrap();
    assert!(said.contains("could not be made again"), "{said}");
    assert_eq!(fs::read_to_string(project).unwrap(), "in the way");
}

#[tokio::test]
async fn a_model_reads_output_directory_and_exit_code() {
    let bench = Bench::new();
    let observation = bench.call(json!({"command": "echo a; (exit 2)"})).await;
    let text = model_text(&observation).unwrap();
    assert!(
        text.starts_with(
            "a\n[The command completed with exit code 2.]\n[Current working directory: /"
        ),
        "{text}"
    );
    assert!(
        text.ends_with("[Command finished with exit code 2]"),
        "{text}"
    );
    assert_eq!(observation.content, [Content::text("a")]);
}

/// A shell that holds another's terminal keeps it from hanging up when its server dies.
#[tokio::test(flavor = "multi_thread")]
async fn shells_do_not_hold_the_terminals_of_others() {
    let calls = (0..12).map(|_| {
        tokio::spawn(async {
            let bench = Bench::new();
            let held = bench
                .output("readlink /proc/$$/fd/* | grep -c ptmx || true")
                .await;
            (bench, held)
        })
    });
    let calls: Vec<_> = calls.collect();
    let mut benches = Vec::new();
    for call in calls {
        let (bench, held) = call.await.unwrap();
        assert_eq!(held, "0");
        benches.push(bench);
    }
}

#[tokio::test]
async fn no_terminal_mode_outlives_its_command() {
    let bench = Bench::new();
    for modes in [
        "stty raw -echo",
        "stty inlcr",
        "stty sane; stty intr undef eof a",
    ] {
        bench.output(modes).await;
        assert_eq!(bench.output("echo ok").await, "ok", "{modes}");
    }
    bench
        .read_until(json!({"command": "echo a; sleep 1000"}), "a")
        .await;
    let end = bench
        .call(json!({"command": "C-c", "is_input": true, "timeout": 30}))
        .await;
    assert_eq!(end.fields["exit_code"], 130);
}

#[tokio::test]
async fn odd_folders_and_fixed_prompts_do_not_break_the_terminal() {
    let bench = Bench::new();
    bench
        .output("mkdir $'a\\x1fb\\x1dc'; cd $'a\\x1fb\\x1dc'")
        .await;
    assert_eq!(bench.output("cd ..; echo out").await, "out");
    bench.output("readonly PS0 PS1=mine PROMPT_COMMAND").await;
    assert_eq!(bench.output("echo fixed").await, "fixed");
    let status = bench.call(json!({"command": "(exit 7)"})).await;
    assert_eq!(status.fields["exit_code"], 7);
    assert_eq!(bench.output("echo $?").await, "7");
}

#[tokio::test]
async fn traps_see_the_command_and_little_else() {
    let bench = Bench::new();
    bench
        .output("trap 'echo E' ERR; trap 'echo D' DEBUG; set -T")
        .await;
    // once for the line, once for the `eval` that runs it
    assert_eq!(bench.output("echo hi").await, "D\nD\nhi");
    let failed = bench.call(json!({"command": "false"})).await;
    assert_eq!(text(&failed), "D\nD\nD\nE\nD\nE");
}

/// A shell would run what its last command left unread.
#[tokio::test]
async fn input_that_nobody_read_is_not_run_as_a_command() {
    let bench = Bench::new();
    bench
        .call(json!({"command": "until [ -e go ]; do sleep 0.05; done", "timeout": 0.1}))
        .await;
    for line in ["touch wrong", "cat"] {
        bench
            .call(json!({"command": line, "is_input": true, "timeout": 0.1}))
            .await;
    }
    fs::write(bench.folder.path().join("project/go"), "").unwrap();
    let end = bench.call(json!({"command": "", "timeout": 50})).await;
    assert_eq!(end.fields["exit_code"], 0, "{end:?}");
    assert_eq!(bench.output("ls").await, "go");
}

#[tokio::test]
async fn a_line_that_the_terminal_would_cut_is_not_typed() {
    let bench = Bench::new();
    bench
        .call(json!({"command": "read -r line; echo ${#line}", "timeout": 0.2}))
        .await;
    let long = json!({"command": "y".repeat(5000), "is_input": true});
    let refused = bench.call(long).await;
    assert!(refused.is_error, "{refused:?}");
    assert!(text(&refused).contains("4095"), "{refused:?}");
    let most = json!({"command": "y".repeat(4000), "is_input": true, "timeout": 50});
    assert_eq!(text(&bench.call(most).await), "4000");
}

#[tokio::test]
async fn a_shell_that_fails_keeps_its_last_words() {
    let bench = Bench::new();
    let killed = bench
        .call(json!({"command": "echo no exit; kill -9 $$"}))
        .await;
    assert!(text(&killed).starts_with("no exit\n"), "{killed:?}");
    let failed = bench.call(json!({"command": "set -e; false"})).await;
    assert!(text(&failed).contains("`set -e`"), "{failed:?}");
}

#[test]
fn what_a_killed_server_left_is_swept_and_what_lives_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let of_the_dead = folder.path().join("agent-terminal-dead");
    fs::create_dir(&of_the_dead).unwrap();
    fs::write(of_the_dead.join("command"), "secret").unwrap();
    fs::create_dir(folder.path().join("other")).unwrap();
    fs::write(folder.path().join("agent-terminal-file"), "").unwrap();
    let living = {
        let name = format!("{SCRATCH_PREFIX}living");
        ScratchFolder::create(folder.path(), &name, SCRATCH_FILE).unwrap()
    };
    living.write("echo").unwrap();

    ScratchFolder::sweep(folder.path(), SCRATCH_PREFIX);

    let mut left: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(
        left,
        ["agent-terminal-file", "agent-terminal-living", "other"]
    );
    drop(living);
    assert!(!folder.path().join("agent-terminal-living").exists());
}

/// Runs one of these tests in a process that was started with interrupts ignored, as scripts start
/// what they leave in the background.
#[tokio::test]
async fn interrupts_work_though_whoever_started_us_ignores_them() {
    let program = std::env::current_exe().unwrap();
    let test = "built_in::terminal::tests::control_c_ends_a_command_and_nothing_more";
    let run = tokio::process::Command::new("bash")
        .args(["-c", "trap '' INT QUIT HUP; exec \"$0\" --exact \"$1\""])
        .arg(program)
        .arg(test)
        .output();
    let output = tokio::time::timeout(HANG_GUARD * 2, run)
        .await
        .unwrap()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.contains("1 passed"),
        "{told}"
    );
}

#[tokio::test]
async fn a_new_shell_after_a_restart_says_that_it_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let files = ToolFiles::new(folder.path().join("conversation"));
    let bench = Bench {
        terminal: Terminal::new(files, true, TerminalSettings::default()),
        workspace: Workspace::new(folder.path(), Processes::default()),
        folder,
    };
    let first = bench.call(json!({"command": "true"})).await;
    let prefix = first.fields["metadata"]["prefix"].as_str().unwrap();
    assert!(prefix.contains("new shell"), "{prefix}");
    let second = bench.call(json!({"command": "true"})).await;
    assert_eq!(second.fields["metadata"]["prefix"], "");
}

#[tokio::test]
async fn what_still_runs_keeps_the_tool_busy_and_is_named_when_it_is_ended() {
    let named = |ended: &[ProcessInfo]| -> Vec<String> {
        let mut commands: Vec<String> = ended.iter().map(|it| it.command.clone()).collect();
        commands.sort();
        commands
    };
    // A job, a daemon with a session of its own, a command in the foreground, a loop of the shell.
    for (command, left) in [
        ("true", vec![]),
        ("sleep 1001 > /dev/null &", vec!["sleep 1001"]),
        ("setsid -f sleep 1002 > /dev/null", vec!["sleep 1002"]),
        ("sleep 1003", vec!["sleep 1003"]),
        ("while :; do :; done", vec!["while :; do :; done"]),
    ] {
        let bench = Bench::new();
        fs::create_dir(bench.folder.path().join("conversation")).unwrap();
        assert!(!bench.terminal.is_busy());
        let call = json!({"command": command, "timeout": 0.3});
        bench.call(call).await;
        assert_eq!(bench.terminal.is_busy(), !left.is_empty(), "{command}");
        // what bash has just forked may not have become its program yet
        let started = async {
            while named(&bench.terminal.state.lock().await.running()) != left {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(HANG_GUARD, started).await.unwrap();
        let ended = bench.terminal.close().await;
        assert_eq!(named(&ended), left);
        assert!(ended.iter().all(|it| !it.name.contains("100")), "{ended:?}");
        assert!(!bench.terminal.is_busy());
        for process in ended {
            assert_gone(&process.id.to_string()).await;
        }

        // The next shell of the conversation says so, once.
        let files = ToolFiles::new(bench.folder.path().join("conversation"));
        let bench = Bench {
            terminal: Terminal::new(files, true, TerminalSettings::default()),
            ..bench
        };
        let prefix = |observation: Observation| {
            let prefix = observation.fields["metadata"]["prefix"].as_str();
            prefix.unwrap().to_owned()
        };
        let first = prefix(bench.call(json!({"command": "true"})).await);
        assert!(first.contains("The shell had ended"), "{first}");
        assert_eq!(first.contains("still running"), !left.is_empty(), "{first}");
        for command in left {
            assert!(first.contains(&format!("`{command}` (process ")), "{first}");
        }
        let second = prefix(bench.call(json!({"command": "true"})).await);
        assert_eq!(second, "");
        assert!(
            !bench
                .folder
                .path()
                .join("conversation/ENDED_PROCESSES")
                .exists()
        );
    }
}
const CUT: [&str; 20] = [
    r"\033]8;;file:///bin",
    r"\033]0;title",
    r"\033]9;4;1;50",
    r"\033]0;title\033",
    r"\033P1$r",
    r"\033Xsos",
    r"\033^pm",
    r"\033_apc",
    r"\033[",
    r"\033[38;5",
    r"\033",
    r"\033(",
    r"\303",
    r"\360\237",
    r"\033[?1049h\033[?2004h\033[?1h\033=",
    r"\033(0",
    r"\036",
    r"\036abc:prompt\035",
    r"text without a line end",
    r"\302\235title",
];

#[tokio::test]
async fn a_cut_sequence_blinds_no_later_command() {
    let bench = Bench::new();
    for cut in CUT {
        bench.output(&format!("printf '{cut}'")).await;
        assert_eq!(bench.output("echo hello").await, "hello", "{cut}");
        let failed = bench.call(json!({"command": "echo hello; (exit 3)"})).await;
        assert_eq!(failed.fields["exit_code"], 3, "{cut}");
        assert_eq!(text(&failed), "hello", "{cut}");
        // in the same command, from the next line on
        let both = bench
            .output(&format!("printf '{cut}\\n'; echo hello"))
            .await;
        assert!(
            both.ends_with("\nhello") || both == "hello",
            "{cut}: {both}"
        );
        // killed while it wrote
        bench
            .call(json!({"command": format!("sh -c \"printf '{cut}'; kill -9 \\$\\$\"")}))
            .await;
        assert_eq!(bench.output("echo hello").await, "hello", "{cut}");
    }
}

#[tokio::test]
async fn a_listing_with_links_may_be_cut_anywhere() {
    let bench = Bench::new();
    let listing = bench
        .output("ls --hyperlink=always / | head -c 100 | wc -c")
        .await;
    assert_eq!(listing, "100");
    for length in 1..=100 {
        let command = format!("ls --hyperlink=always / | head -c {length}");
        bench.output(&command).await;
        assert_eq!(bench.output("echo hello").await, "hello", "{command}");
    }
}

#[tokio::test]
async fn whatever_a_command_writes_the_next_one_is_seen() {
    let bench = Bench::new();
    let pieces = proptest::sample::select(vec![
        b"\x1b".to_vec(),
        b"[".to_vec(),
        b"]".to_vec(),
        b"P".to_vec(),
        b"\\".to_vec(),
        b"\x07".to_vec(),
        b"\x9b".to_vec(),
        b"\x9d".to_vec(),
        b"\xc2".to_vec(),
        b"8;;".to_vec(),
        b"\x1e".to_vec(),
        b"\x1d".to_vec(),
        b"\x1f".to_vec(),
        b"\r".to_vec(),
        b"\n".to_vec(),
        b"\x18".to_vec(),
        b"\0".to_vec(),
        b"prompt".to_vec(),
        b"?1h".to_vec(),
        b"2J".to_vec(),
    ]);
    let bytes = proptest::collection::vec(
        proptest::prop_oneof![
            pieces,
            proptest::collection::vec(proptest::num::u8::ANY, 1..4)
        ],
        0..12,
    );
    let mut runner = TestRunner::deterministic();
    let file = bench.folder.path().join("project/bytes");
    for _ in 0..150 {
        let bytes = bytes.new_tree(&mut runner).unwrap().current().concat();
        fs::write(&file, &bytes).unwrap();
        bench.output("cat bytes").await;
        let hello = bench.call(json!({"command": "echo hello; (exit 5)"})).await;
        assert_eq!(text(&hello), "hello", "{bytes:?}");
        assert_eq!(hello.fields["exit_code"], 5, "{bytes:?}");
    }
}

#[tokio::test]
async fn a_path_of_any_length_does_not_hide_the_prompt() {
    let bench = Bench::new();
    bench
        .output("OLD=$PATH; PATH=$PATH:$(printf '%0100000d' 0)")
        .await;
    assert_eq!(bench.output("PATH=$OLD; echo hello").await, "hello");
}

#[tokio::test]
async fn what_background_jobs_write_between_commands_comes_before_the_next_output() {
    let bench = Bench::new();
    bench
        .output(
            "( until [ -e go ]; do sleep 0.05; done; printf '\\033]0;cut'; echo; echo written; exit 3 ) & \
             echo $! > pid",
        )
        .await;
    let pid = bench.file("pid").await;
    fs::write(bench.folder.path().join("project/go"), "").unwrap();
    assert_gone(&pid).await;
    let next = bench.call(json!({"command": "echo next"})).await;
    assert_eq!(text(&next), "next");
    let prefix = metadata(&next, "prefix").as_str().unwrap();
    assert!(prefix.starts_with("[Output of background jobs"), "{prefix}");
    assert!(prefix.contains("\nwritten\n"), "{prefix}");
    assert!(prefix.contains("Exit 3"), "{prefix}");
    assert!(
        prefix.ends_with("\n[Output of this command:]\n"),
        "{prefix}"
    );
    assert!(!prefix.contains("__terminal"), "{prefix}");
    let last = bench.call(json!({"command": "echo last"})).await;
    assert_eq!(metadata(&last, "prefix"), "");
}

#[tokio::test]
async fn an_empty_command_shows_what_background_jobs_wrote() {
    let bench = Bench::new();
    bench
        .output("( until [ -e go ]; do sleep 0.05; done; echo written; echo x > done ) &")
        .await;
    fs::write(bench.folder.path().join("project/go"), "").unwrap();
    bench.file("done").await;
    let looked = async {
        loop {
            let empty = bench.call(json!({"command": ""})).await;
            let prefix = metadata(&empty, "prefix").as_str().unwrap().to_owned();
            if !prefix.is_empty() {
                return (prefix, text(&empty));
            }
        }
    };
    let (prefix, words) = tokio::time::timeout(HANG_GUARD, looked).await.unwrap();
    assert!(prefix.contains("written"), "{prefix}");
    assert_eq!(words, "No previous running command to retrieve logs from.");
}

#[tokio::test]
async fn what_background_jobs_write_is_bounded() {
    let bench = Bench::new();
    bench.output("seq 1 500000 & echo $! > pid").await;
    assert_gone(&bench.file("pid").await).await;
    let next = bench.call(json!({"command": "echo next"})).await;
    assert!(text(&next).ends_with("next"), "{next:?}");
    let all = model_text(&next).unwrap();
    assert!(all.len() < 60_000, "{}", all.len());
    assert!(all.contains("500000"), "{all}");
}

#[tokio::test]
async fn tracing_is_not_taken_for_the_output_of_background_jobs() {
    let bench = Bench::new();
    bench.output("set -xv").await;
    for _ in 0..3 {
        let traced = bench.call(json!({"command": "echo traced"})).await;
        assert_eq!(metadata(&traced, "prefix"), "", "{traced:?}");
    }
}

/// A program that reads keys one by one and shows their bytes.
const KEYS: &str = "stty raw -echo; printf ready; while :; do \
    key=$(dd bs=1 count=1 2> /dev/null | od -An -tx1); printf '<%s>' \"${key# }\"; done";

#[tokio::test]
async fn keys_are_sent_by_name_without_enter() {
    let bench = Bench::new();
    bench.read_until(json!({ "command": KEYS }), "ready").await;
    for (key, bytes) in [
        ("Up", "<1b><5b><41>"),
        ("DOWN", "<1b><5b><42>"),
        ("Right", "<1b><5b><43>"),
        ("Left", "<1b><5b><44>"),
        ("Home", "<1b><5b><48>"),
        ("End", "<1b><5b><46>"),
        ("Delete", "<1b><5b><33><7e>"),
        ("PageUp", "<1b><5b><35><7e>"),
        ("PGDN", "<1b><5b><36><7e>"),
        ("Tab", "<09>"),
        ("S-Tab", "<1b><5b><5a>"),
        ("Escape", "<1b>"),
        ("ESC", "<1b>"),
        ("Space", "<20>"),
        ("Enter", "<0d>"),
        ("Backspace", "<7f>"),
        ("F1", "<1b><4f><50>"),
        ("F12", "<1b><5b><32><34><7e>"),
        ("C-c", "<03>"),
        ("C-Left", "<1b><5b><31><3b><35><44>"),
        ("M-x", "<1b><78>"),
        ("Down Down Enter", "<1b><5b><42><1b><5b><42><0d>"),
        // words, with Enter
        ("end", "<65><6e><64><0d>"),
        ("End\n", "<45><6e><64><0d>"),
        ("y", "<79><0d>"),
        // words, without
        ("y\\c", "<79>"),
    ] {
        let typed = bench
            .read_until(json!({"command": key, "is_input": true}), bytes)
            .await;
        assert_eq!(typed, bytes, "{key:?}");
    }
}

#[tokio::test]
async fn arrow_keys_have_the_form_that_the_program_asked_for() {
    let bench = Bench::new();
    let command = format!("printf '\\033[?1h'; {KEYS}");
    bench
        .read_until(json!({ "command": command }), "ready")
        .await;
    for (key, bytes) in [
        ("Up", "<1b><4f><41>"),
        ("Home", "<1b><4f><48>"),
        ("C-Up", "<1b><5b><31><3b><35><41>"),
        ("Delete", "<1b><5b><33><7e>"),
    ] {
        let typed = bench
            .read_until(json!({"command": key, "is_input": true}), bytes)
            .await;
        assert_eq!(typed, bytes, "{key:?}");
    }
}

#[tokio::test]
async fn a_program_that_reads_lines_gets_a_key_with_the_line() {
    let bench = Bench::new();
    bench
        .read_until(
            json!({"command": "printf ready; read -r x; echo \"<$x>\""}),
            "ready",
        )
        .await;
    let space = bench
        .call(json!({"command": "Space", "is_input": true, "timeout": 0.1}))
        .await;
    assert_eq!(space.fields["timeout"], true, "{space:?}");
    let said = metadata(&space, "suffix").as_str().unwrap();
    assert!(said.contains("whole lines"), "{said}");
    let end = bench
        .call(json!({"command": "end", "is_input": true, "timeout": 30}))
        .await;
    assert_eq!(text(&end), "<end>");
}

#[tokio::test]
async fn no_call_waits_longer_than_the_longest_time() {
    let bench = Bench::with(TerminalSettings {
        max_foreground_timeout: Duration::from_millis(500),
        ..TerminalSettings::default()
    });
    let steady = "while :; do echo tick; sleep 0.05; done";
    for arguments in [
        json!({ "command": steady }),
        json!({"command": ""}),
        json!({"command": "", "timeout": 1000}),
        json!({"command": "x", "is_input": true}),
    ] {
        let answer = bench.call(arguments).await;
        assert!(text(&answer).contains("tick"), "{answer:?}");
        assert_eq!(answer.fields["timeout"], true);
        assert_eq!(answer.fields["exit_code"], -1);
        let said = metadata(&answer, "suffix").as_str().unwrap();
        assert!(said.contains("No call waits longer than 0.5 s"), "{said}");
        assert!(said.contains("empty command"), "{said}");
    }
    let short = bench.call(json!({"command": "", "timeout": 0.1})).await;
    let said = metadata(&short, "suffix").as_str().unwrap();
    assert!(said.contains("The timeout of 0.1 s is over"), "{said}");
    let mut end = bench
        .call(json!({"command": "C-c", "is_input": true}))
        .await;
    // On a busy machine that, too, takes longer than the longest time.
    while end.fields["exit_code"] == -1 {
        end = bench.call(json!({"command": ""})).await;
    }
    assert_eq!(end.fields["exit_code"], 130);
}

#[tokio::test]
async fn a_call_that_is_to_stop_waiting_leaves_its_command_running() {
    let bench = Bench::new();
    let signals = CallSignals::default();
    let command = "echo $$ > pid; until [ -e go ]; do sleep 0.05; done; echo end";
    let (answer, ()) = tokio::join!(
        bench.try_call(json!({ "command": command, "timeout": 1000 }), &signals),
        async {
            bench.file("pid").await;
            signals.stop_waiting.cancel();
        }
    );
    let answer = answer.unwrap();
    assert_eq!(answer.fields["timeout"], true);
    let said = metadata(&answer, "suffix").as_str().unwrap();
    assert!(
        said.contains("paused") && said.contains("empty command"),
        "{said}"
    );
    fs::write(bench.folder.path().join("project/go"), "").unwrap();
    let end = bench.call(json!({"command": "", "timeout": 50})).await;
    assert_eq!(text(&end), "end");
    assert_eq!(end.fields["exit_code"], 0);
}

#[tokio::test]
async fn a_line_that_is_cut_off_leaves_nothing_before_the_next_output() {
    let bench = Bench::new();
    for cut in ["echo \"unclosed", "echo a \\", "echo `", "[[ a", "echo $(("] {
        bench.call(json!({ "command": cut })).await;
        let next = bench.call(json!({"command": "echo ok"})).await;
        assert_eq!(text(&next), "ok", "{cut}");
        assert_eq!(metadata(&next, "prefix"), "", "{cut}");
    }
}

#[tokio::test]
async fn a_shell_that_an_interrupt_took_along_is_told_of() {
    let bench = Bench::new();
    bench.output("export A=1").await;
    let signals = CallSignals::default();
    let command = "echo $$ > pid; exec sleep 1000";
    let (answer, pid) = tokio::join!(
        bench.try_call(json!({ "command": command }), &signals),
        async {
            let pid = bench.file("pid").await;
            signals.cancel.cancel();
            pid
        }
    );
    assert!(matches!(answer, Err(ToolError::Cancelled)), "{answer:?}");
    assert_gone(&pid).await;
    for lost in [true, false] {
        let next = bench.call(json!({"command": "echo [$A]"})).await;
        assert_eq!(text(&next), "[]");
        let prefix = metadata(&next, "prefix").as_str().unwrap();
        assert_eq!(prefix.contains("The shell had ended"), lost, "{prefix}");
    }
}

#[tokio::test]
async fn what_a_shell_that_ended_had_started_ends_without_another_command() {
    let bench = Bench::new();
    let command = "setsid -f sh -c 'trap \"\" HUP; echo $$ > pid; exec sleep 1000'; \
        until [ -s pid ]; do sleep 0.01; done; exit 3";
    let ended = bench.call(json!({ "command": command })).await;
    assert!(text(&ended).contains("The shell itself ended"), "{ended:?}");
    assert_gone(&bench.file("pid").await).await;
}
