//! Limits of the system: the size of files, readers of the server's output.

use std::{fs, os::unix::fs::OpenOptionsExt, process::Command, time::Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::launcher::{Launcher, TIMEOUT, status};

/// In blocks of 512 or 1,024 bytes, as the shell counts them.
const LARGEST_FILE: u64 = 512;

/// Writes beyond a limit on file sizes: 507, and the server continues.
pub(crate) fn file_size(launcher: &Launcher) -> Result<String> {
    let mut server = launcher.start(&format!("ulimit -S -f {LARGEST_FILE}"))?;
    let mut api = server.api();
    let id = api.create()?;
    let target = server.target();
    let text = "x".repeat(64 << 10);
    let body = json!({"role": "user", "content": [{"type": "text", "text": text}]}).to_string();
    let mut taken = 0;
    let refusal = loop {
        let code = status(&target, "POST", &target.events(&id), &body)?;
        if code >= 300 {
            break code;
        }
        taken += 1;
        if taken > 1_000 {
            bail!("the limit on file sizes has no effect");
        }
    };
    if refusal != 507 {
        bail!("a write beyond the limit was answered {refusal}, not 507");
    }
    // the limit is for each file: another conversation has room
    server
        .check_works()
        .context("after a log had reached the limit")?;
    Ok(format!("{taken} messages of 64 KiB taken, then 507"))
}

/// Nobody reads the server's output: it continues to answer, and stops on SIGTERM.
pub(crate) fn unread_log(launcher: &Launcher) -> Result<String> {
    const REQUESTS: usize = 3_000;
    let folder = launcher.folder()?;
    let pipe = folder.path().join("output");
    let made = Command::new("mkfifo")
        .arg(&pipe)
        .status()
        .context("mkfifo")?;
    if !made.success() {
        bail!("mkfifo: {made}");
    }
    // Held open for reading and writing, so that nobody waits for the other end; never read.
    const NONBLOCK: i32 = 0o4000;
    let held = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(NONBLOCK)
        .open(&pipe)?;
    let server = launcher.start_in(folder, "exec > output 2>&1")?;
    let target = server.target();
    let begin = Instant::now();
    for _ in 0..REQUESTS {
        let code = status(&target, "GET", "/server_info", "")?;
        if code != 200 {
            bail!("/server_info was answered {code}");
        }
        if begin.elapsed() > TIMEOUT {
            bail!("{REQUESTS} requests took over {} s", TIMEOUT.as_secs());
        }
    }
    server
        .check_no_process_left()
        .context("SIGTERM with nobody reading the output")?;
    drop(held);
    Ok(format!("{REQUESTS} requests answered, SIGTERM obeyed"))
}
