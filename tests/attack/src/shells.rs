//! Interrupts at the moment in which a shell ends.

use std::{
    thread::{self, sleep},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use harness::{Api, Target};

use crate::launcher::{AttackedServer, Launcher, run, wait_until_idle};

const CONVERSATIONS: u64 = 8;
/// An interrupt comes up to so long after its command.
const WINDOW_MICROS: u64 = 30_000;

/// Each ends the shell it runs in, or takes the terminal from it.
const COMMANDS: [&str; 5] = [
    "$ exit 3",
    "$ kill -9 $$",
    "$ set -e; false",
    "$ exec sleep 0.01",
    "$ exec python3 -c 'import fcntl, termios, time; fcntl.ioctl(open(\"/dev/tty\"), termios.TIOCNOTTY); time.sleep(30)'",
];

/// Runs each command `times` times over eight conversations, and interrupts it within 30 ms.
pub(crate) fn interrupts(launcher: &Launcher, times: u64) -> Result<String> {
    let mut server = launcher.start("")?;
    for command in COMMANDS {
        at_once(&server, command, times / CONVERSATIONS)
            .with_context(|| format!("interrupting `{command}`"))?;
        server
            .check_works()
            .with_context(|| format!("after interrupting `{command}`"))?;
    }
    server.check_no_process_left()?;
    let sent = times / CONVERSATIONS * CONVERSATIONS;
    Ok(format!(
        "{sent} interrupts of each of {} commands; no process left",
        COMMANDS.len()
    ))
}

fn at_once(server: &AttackedServer, command: &str, times: u64) -> Result<()> {
    let target = server.target();
    let threads: Vec<_> = (0..CONVERSATIONS)
        .map(|conversation| {
            let (target, command) = (target.clone(), command.to_owned());
            thread::spawn(move || one_conversation(&target, &command, conversation, times))
        })
        .collect();
    for thread in threads {
        match thread.join() {
            Ok(outcome) => outcome?,
            Err(_) => bail!("a client panicked"),
        }
    }
    Ok(())
}

fn one_conversation(target: &Target, command: &str, conversation: u64, times: u64) -> Result<()> {
    let mut api = Api::new(target);
    let id = run(&mut api, "$ true")?;
    wait_until_idle(&mut api, &id)?;
    let interrupt = format!("/conversations/{id}/interrupt");
    for round in 0..times {
        api.message(&id, command, true)?;
        // spread evenly over the window, each conversation in an order of its own
        let micros = (round * 7_919 + conversation * 3_571) % WINDOW_MICROS;
        sleep(Duration::from_micros(micros));
        api.json("POST", &interrupt, b"")?;
        wait_until_idle(&mut api, &id)?;
    }
    Ok(())
}
