//! What the system allows the server comes to an end: size of files, readers of its output.

use std::{fs, os::unix::fs::OpenOptionsExt, process::Command, time::Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::arena::{Arena, PATIENCE, status};

/// In blocks of 512 or 1,024 bytes, as the shell counts them.
const LARGEST_FILE: u64 = 512;

/// Writes beyond a limit on file sizes: 507, and the server goes on.
pub(crate) fn file_size(arena: &Arena) -> Result<String> {
    let mut victim = arena.start(&format!("ulimit -S -f {LARGEST_FILE}"))?;
    let mut api = victim.api();
    let id = api.create()?;
    let target = victim.target();
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
    victim
        .lives()
        .context("after a log had reached the limit")?;
    Ok(format!("{taken} messages of 64 KiB taken, then 507"))
}

/// Nobody reads the server's output: it goes on answering, and stops when told to.
pub(crate) fn unread_log(arena: &Arena) -> Result<String> {
    const REQUESTS: usize = 3_000;
    let folder = arena.folder()?;
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
    let victim = arena.start_over(folder, "exec > output 2>&1")?;
    let target = victim.target();
    let begin = Instant::now();
    for _ in 0..REQUESTS {
        let code = status(&target, "GET", "/server_info", "")?;
        if code != 200 {
            bail!("/server_info was answered {code}");
        }
        if begin.elapsed() > PATIENCE {
            bail!("{REQUESTS} requests took over {} s", PATIENCE.as_secs());
        }
    }
    victim
        .leaves_nothing()
        .context("SIGTERM with nobody reading the output")?;
    drop(held);
    Ok(format!("{REQUESTS} requests answered, SIGTERM obeyed"))
}
