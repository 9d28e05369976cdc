//! What was still running when a shell was ended between two commands, for a note to the agent.

use workspace::{ProcessInfo, ToolFiles};

use super::observation::short;

/// Exists until the next shell starts.
const FILE: &str = "ENDED_PROCESSES";
/// Processes that are named; of more, only how many there were.
const NAMED: usize = 10;

/// Records what was ended.
pub(super) fn record(files: &ToolFiles, ended: &[ProcessInfo]) {
    if ended.is_empty() {
        return;
    }
    if let Err(error) = files.write_private(FILE, &list(ended)) {
        tracing::warn!(%error, "the agent will not be told which of its processes were ended");
    }
}

/// What was recorded, as a note for the agent. The record is removed.
pub(super) fn take_note(files: &ToolFiles) -> String {
    match files.take(FILE) {
        Ok(Some(list)) => format!(
            "[These were still running in the old shell and were ended with it: {list}. Start \
             again what is still needed.]\n"
        ),
        Ok(None) => String::new(),
        Err(error) => {
            tracing::warn!(%error, "the agent cannot be told which processes were ended");
            String::new()
        }
    }
}

fn list(ended: &[ProcessInfo]) -> String {
    let named = ended.iter().take(NAMED);
    let mut list: Vec<String> = named
        .map(|process| format!("`{}` (process {})", short(&process.command), process.id))
        .collect();
    if ended.len() > NAMED {
        list.push(format!("{} more", ended.len() - NAMED));
    }
    list.join(", ")
}
