//! What was still running when a shell was ended between two commands, so that the agent can be told.

use std::{
    fs::{self, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use super::short;
use crate::EndedProcess;

/// In the conversation's folder until the next shell starts.
const FILE: &str = "ENDED_PROCESSES";
/// Processes that are named; of more, only how many there were.
const NAMED: usize = 10;

/// What is known of the living process `id`.
pub(super) fn describe(id: i32) -> Option<EndedProcess> {
    let read = |file| fs::read(format!("/proc/{id}/{file}")).ok();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
    let name = text(read("comm")?);
    let words = read("cmdline")?;
    let command = text(words).replace('\0', " ").trim().to_owned();
    Some(EndedProcess {
        id,
        command: if command.is_empty() {
            name.clone()
        } else {
            command
        },
        name,
    })
}

/// Keeps in `folder` what was ended.
pub(super) fn keep(folder: &Path, ended: &[EndedProcess]) {
    if ended.is_empty() {
        return;
    }
    if let Err(error) = write(&folder.join(FILE), &list(ended)) {
        tracing::warn!(%error, "the agent will not be told which of its processes were ended");
    }
}

/// What was kept in `folder`, as a note for the agent; it is told once.
pub(super) fn take_note(folder: &Path) -> String {
    let file = folder.join(FILE);
    match fs::read_to_string(&file) {
        Ok(list) => {
            fs::remove_file(&file).ok();
            format!(
                "[These were still running in the old shell and were ended with it: {list}. Start \
                 again what is still needed.]\n"
            )
        }
        Err(error) => {
            if error.kind() != ErrorKind::NotFound {
                tracing::warn!(%error, "the agent cannot be told which processes were ended");
            }
            String::new()
        }
    }
}

fn list(ended: &[EndedProcess]) -> String {
    let named = ended.iter().take(NAMED);
    let mut list: Vec<String> = named
        .map(|process| format!("`{}` (process {})", short(&process.command), process.id))
        .collect();
    if ended.len() > NAMED {
        list.push(format!("{} more", ended.len() - NAMED));
    }
    list.join(", ")
}

fn write(file: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(file)?
        .write_all(text.as_bytes())
}
