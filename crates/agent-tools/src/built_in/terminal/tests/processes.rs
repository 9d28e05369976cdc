//! Whom signals reach, and what is left when a conversation ends.
//!
//! Tests that interrupt run once more in a process group of their own, so that a signal that goes astray
//! ends them and not whoever runs them.

use std::os::unix::process::CommandExt;

use workspace::Policy;

use super::*;

/// Set in the process group of a test's own.
const APART: &str = "AGENT_TOOLS_TEST_APART";

/// Runs `body` in a process and process group of its own.
fn apart<F: Future<Output = ()>>(test: &str, body: impl FnOnce() -> F) {
    if std::env::var_os(APART).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        return runtime.block_on(body());
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--nocapture",
            &format!("built_in::terminal::tests::processes::{test}"),
        ])
        .env(APART, "1")
        .process_group(0)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && told.contains("1 passed"),
        "{}: {told}\n{errors}",
        output.status
    );
}

fn bench(processes: &Processes) -> Bench {
    let mut bench = Bench::new();
    bench.workspace = Workspace::new(bench.workspace.folder(), processes.clone());
    bench
}

fn without_control_groups() -> Processes {
    let policy = Policy {
        control_groups: false,
        ..Policy::default()
    };
    Processes::new(&policy, None)
}

/// With control groups, where this machine has them, and without.
fn kinds() -> [Processes; 2] {
    [Processes::default(), without_control_groups()]
}

/// Runs a command and interrupts it after `delay`.
async fn interrupt_after(bench: &Bench, command: &str, delay: Duration) {
    let signals = CallSignals::default();
    let (result, ()) = tokio::join!(
        bench.try_call(json!({ "command": command }), &signals),
        async {
            tokio::time::sleep(delay).await;
            signals.cancel.cancel();
        }
    );
    assert!(
        matches!(result, Ok(_) | Err(ToolError::Cancelled)),
        "{result:?}"
    );
}

fn has_python() -> bool {
    let found = std::process::Command::new("python3").arg("-V").output();
    if found.is_err() {
        eprintln!("skipped: no python3");
    }
    found.is_ok()
}

#[test]
fn interrupting_shells_that_end_reaches_nobody_else() {
    apart(
        "interrupting_shells_that_end_reaches_nobody_else",
        || async {
            let commands = ["exit 3", "kill -9 $$", "set -e; false", "exec true"];
            let attacks = commands.map(|command| {
                tokio::spawn(async move {
                    let bench = Bench::new();
                    for round in 0..16 {
                        let delay = Duration::from_millis(round * 2);
                        interrupt_after(&bench, command, delay).await;
                    }
                    // the next command finds a shell, perhaps only after it was told that the last ended
                    let end = bench.call(json!({"command": "echo alive"})).await;
                    assert!(text(&end).contains("alive"), "{command}: {end:?}");
                })
            });
            for attack in attacks {
                attack.await.unwrap();
            }
        },
    );
}

#[test]
fn interrupting_what_gave_up_its_terminal_reaches_nobody_else() {
    if !has_python() {
        return;
    }
    apart(
        "interrupting_what_gave_up_its_terminal_reaches_nobody_else",
        || async {
            let program = "import fcntl, os, sys, termios, time\n\
                       fcntl.ioctl(0, termios.TIOCNOTTY)\n\
                       print(os.getpid(), file=open('pid', 'w'), flush=True)\n\
                       time.sleep(1000)";
            // by the shell's child, by the shell itself, and by one that hears no interrupt
            for command in [
                format!("python3 -c \"{program}\""),
                format!("trap '' HUP; exec python3 -c \"{program}\""),
                format!("trap '' INT HUP; exec python3 -c \"{program}\""),
            ] {
                let bench = Bench::new();
                let signals = CallSignals::default();
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
        },
    );
}

/// Deleting a conversation whose shell has ended looks for processes by the shell's id.
#[test]
fn closing_after_the_shell_has_ended_reaches_nobody_else() {
    apart(
        "closing_after_the_shell_has_ended_reaches_nobody_else",
        || async {
            for processes in kinds() {
                for command in ["exit 3", "kill -9 $$"] {
                    let bench = bench(&processes);
                    bench
                    .output("sleep 1000 & echo $! > job; setsid -f sh -c 'echo $$ > daemon; sleep 1000'")
                    .await;
                    let left = [bench.file("job").await, bench.file("daemon").await];
                    // the daemon holds the terminal, and yet the end of the shell is seen
                    let ended = bench.call(json!({ "command": command })).await;
                    assert!(text(&ended).contains("The shell itself ended"), "{ended:?}");
                    bench.terminal.close().await;
                    for pid in &left {
                        assert_gone(pid).await;
                    }
                }
            }
        },
    );
}

#[tokio::test]
async fn daemons_without_a_mark_end_with_their_conversation() {
    for processes in kinds() {
        let bench = bench(&processes);
        bench
            .output(
                "setsid -f env -i sh -c 'echo $$ > unmarked; exec sleep 1000'
                 setsid -f sh -c 'echo $$ > marked; exec sleep 1000'
                 setsid -f env -i sh -c \"trap '' HUP TERM INT; echo \\$\\$ > stubborn
                     for i in \\$(seq 100); do sleep 1; done\"
                 (env -i setsid sh -c 'setsid -f sh -c \"echo \\$\\$ > far; exec sleep 1000\"')",
            )
            .await;
        bench
            .close_ends(&["unmarked", "marked", "stubborn", "far"])
            .await;
    }
}

#[tokio::test]
async fn processes_whose_names_are_no_text_end_too() {
    let bench = bench(&without_control_groups());
    bench
        .output(
            r#"cp "$(command -v sleep)" $'s\xffleep'; ./$'s\xffleep' 1000 & echo $! > pid; disown"#,
        )
        .await;
    let pid = bench.file("pid").await;
    bench.terminal.close().await;
    assert_gone(&pid).await;
}

#[tokio::test]
async fn what_forks_on_and_on_is_ended() {
    for processes in kinds() {
        let bench = bench(&processes);
        bench
            .output(
                "(trap '' HUP; echo $BASHPID > loop; for i in $(seq 20000); do sleep 0.3 & sleep 0.002; done) &
                 setsid -f env -i bash -c 'trap \"\" HUP; echo $$ > far
                     for i in $(seq 20000); do (sleep 0.3 &); done'",
            )
            .await;
        let pids = [bench.file("loop").await, bench.file("far").await];
        bench.terminal.close().await;
        for pid in &pids {
            assert_gone(pid).await;
        }
    }
}

/// The server's own part: what an ended shell leaves comes to it.
#[test]
fn a_program_that_adopts_ends_what_lost_its_shell() {
    apart("a_program_that_adopts_ends_what_lost_its_shell", || async {
        let processes = without_control_groups();
        processes.adopt_orphans().unwrap();
        tokio::spawn(processes.clone().watch_orphans());
        // a child of its own in its own session is no orphan
        let mut own = tokio::process::Command::new("sleep")
            .arg("1000")
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let [first, second] = [bench(&processes), bench(&processes)];
        let daemon = "setsid -f env -i sh -c 'echo $$ > daemon; sleep 1000'";
        for bench in [&first, &second] {
            bench.output(daemon).await;
        }
        let (lost, kept) = (first.file("daemon").await, second.file("daemon").await);
        first.call(json!({"command": "kill -9 $$"})).await;
        // not even a zombie is left
        let path = std::path::PathBuf::from(format!("/proc/{lost}"));
        let gone = async {
            while path.exists() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(HANG_GUARD, gone).await.unwrap();
        assert!(is_alive(&kept));
        assert_eq!(second.output("echo alive").await, "alive");
        assert!(own.try_wait().unwrap().is_none());
        second.terminal.close().await;
        assert_gone(&kept).await;
    });
}
