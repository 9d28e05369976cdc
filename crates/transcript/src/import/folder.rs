use std::{
    fs, io,
    path::{Path, PathBuf},
};

use core_model::{ConversationId, UtcTime};
use serde_json::Value;

use super::{
    error::{ImportError, io_at},
    file,
};

pub(super) const BASE_STATE: &str = "base_state.json";
pub(super) const META: &str = "meta.json";

const EVENTS: &str = "events";
const LEASE: &str = "owner_lease.json";

/// A file of `events/`: its number, and the event's id by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EventFile {
    pub(super) number: u64,
    pub(super) id: String,
    pub(super) path: PathBuf,
}

impl EventFile {
    /// What notices call it.
    pub(super) fn name(&self) -> String {
        format!("event-{:05}-{}.json", self.number, self.id)
    }
}

/// The conversations at `path`: that folder itself, or the ones in it, sorted by name.
///
/// # Errors
/// [`ImportError::NotAConversation`] when there is none.
///
/// ```
#[doc = include_str!("example.txt")]
/// use transcript::import::find;
///
/// assert_eq!(find(scratch.path())?, [theirs.clone()]);
/// assert_eq!(find(&theirs)?, [theirs]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn find(path: &Path) -> Result<Vec<PathBuf>, ImportError> {
    if is_conversation(path) {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(io_at(path))? {
        let entry = entry.map_err(io_at(path))?.path();
        if is_conversation(&entry) {
            found.push(entry);
        }
    }
    if found.is_empty() {
        return Err(ImportError::NotAConversation {
            path: path.to_owned(),
            reason: format!("expected {BASE_STATE} in it, or folders that have one"),
        });
    }
    found.sort();
    Ok(found)
}

/// The folder's events by number.
pub(super) fn event_files(
    folder: &Path,
    notices: &mut Vec<String>,
) -> Result<Vec<EventFile>, ImportError> {
    let events = folder.join(EVENTS);
    let entries = match fs::read_dir(&events) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            notices.push("there is no folder `events`".to_owned());
            return Ok(Vec::new());
        }
        Err(error) => return Err(io_at(&events)(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(io_at(&events))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        match parse_name(&name) {
            Some((number, id)) => files.push(EventFile {
                number,
                id: id.to_owned(),
                path: entry.path(),
            }),
            // The reference's own markers.
            None if name.starts_with('.') => {}
            None => notices.push(format!(
                "`events/{name}` is not an event's file and is skipped"
            )),
        }
    }
    files.sort_by(|a, b| (a.number, &a.id).cmp(&(b.number, &b.id)));
    warn_of_gaps(&files, notices);
    Ok(files)
}

/// The reference renews a lease while it runs; what it writes from now on will be missing.
pub(super) fn warn_of_owner(folder: &Path, notices: &mut Vec<String>) {
    let Ok(lease) = file::read(&folder.join(LEASE)) else {
        return;
    };
    let lease: Value = serde_json::from_slice(&lease).unwrap_or_default();
    let expires_at = lease["expires_at"].as_f64().unwrap_or(0.0);
    if expires_at > UtcTime::now().0.timestamp_micros() as f64 / 1e6 {
        let pid = &lease["owner_pid"];
        let host = lease["owner_host"].as_str().unwrap_or("an unnamed host");
        notices.push(format!(
            "the reference server (process {pid} on {host}) may still be writing; stop it, or what \
             it writes from now on is not imported"
        ));
    }
}

fn is_conversation(folder: &Path) -> bool {
    let named_by_id = || {
        folder
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.parse::<ConversationId>().is_ok())
    };
    folder.join(BASE_STATE).is_file()
        || folder.join(META).is_file()
        // Even one that lost both still has its events.
        || (folder.join(EVENTS).is_dir() && named_by_id())
}

/// `event-00017-ID.json`: the number has five digits or more.
fn parse_name(name: &str) -> Option<(u64, &str)> {
    let rest = name.strip_prefix("event-")?.strip_suffix(".json")?;
    let (digits, id) = rest.split_once('-')?;
    let is_number = digits.len() >= 5 && digits.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && !id.is_empty()).then(|| digits.parse().ok().map(|number| (number, id)))?
}

fn warn_of_gaps(files: &[EventFile], notices: &mut Vec<String>) {
    let mut expected = 0;
    for file in files {
        let number = file.number;
        if number > expected {
            notices.push(match number - expected {
                1 => format!("event {expected} is missing"),
                _ => format!("events {expected} to {} are missing", number - 1),
            });
        } else if number < expected {
            notices.push(format!("there is more than one event {number}"));
        }
        expected = number + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_events_are_recognised() {
        assert_eq!(parse_name("event-00017-ab-c.json"), Some((17, "ab-c")));
        assert_eq!(parse_name("event-123456-x.json"), Some((123_456, "x")));
        for other in [
            "event-0017-x.json",
            "event-00017.json",
            "event-00017-.json",
            "event-+0017-x.json",
            "event-00017-x.json.tmp",
            ".eventlog.lock",
        ] {
            assert_eq!(parse_name(other), None, "{other}");
        }
    }

    #[test]
    fn gaps_and_doubles_are_named() {
        let file = |number| EventFile {
            number,
            id: "x".to_owned(),
            path: PathBuf::new(),
        };
        let mut notices = Vec::new();
        warn_of_gaps(&[0, 2, 2, 6].map(file), &mut notices);
        assert_eq!(
            notices,
            [
                "event 1 is missing",
                "there is more than one event 2",
                "events 3 to 5 are missing"
            ]
        );
    }
}
