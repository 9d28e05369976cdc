use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use core_model::ConversationId;
use uuid::Uuid;

/// The newest version of a conversation folder that this build understands; see the crate's page.
pub(crate) const FORMAT: u32 = core_model::Metadata::FORMAT;

pub(crate) const METADATA: &str = "metadata.json";
pub(crate) const EVENTS: &str = "events.jsonl";
pub(crate) const INDEX: &str = "events.idx";
/// An index that is being made.
pub(crate) const INDEX_MAKING: &str = ".events.idx.tmp";

const LOCK: &str = ".lock";
const MAKING: &str = ".tmp-";
const REMOVING: &str = ".deleted-";

pub(crate) fn lock_file(root: &Path) -> PathBuf {
    root.join(LOCK)
}

pub(crate) fn folder(root: &Path, id: ConversationId) -> PathBuf {
    root.join(id.to_string())
}

/// Where a conversation is put together before it appears under its own name.
pub(crate) fn making(root: &Path, id: ConversationId) -> PathBuf {
    root.join(format!("{MAKING}{id}-{}", Uuid::new_v4()))
}

/// Where a removed conversation waits for its files to go.
pub(crate) fn removing(root: &Path, id: ConversationId) -> PathBuf {
    root.join(format!("{REMOVING}{id}-{}", Uuid::new_v4()))
}

/// A file whose only purpose is to be made and removed.
pub(crate) fn probe(root: &Path) -> PathBuf {
    root.join(format!("{MAKING}probe-{}", Uuid::new_v4()))
}

/// Whether a crash left this entry of the conversations folder half made or half removed.
pub(crate) fn is_leftover(name: &str) -> bool {
    name.starts_with(MAKING) || name.starts_with(REMOVING)
}

/// The conversation that an entry of the conversations folder is; other names are not ours.
pub(crate) fn conversation(name: &str) -> Option<ConversationId> {
    let id: ConversationId = name.parse().ok()?;
    (id.to_string() == name).then_some(id)
}

/// Where to put an unfinished line found at this time; `attempt` tells apart finds at the same time.
pub(crate) fn torn(folder: &Path, time: DateTime<Utc>, attempt: u32) -> PathBuf {
    let time = time.format("%Y%m%dT%H%M%S%.6fZ");
    let again = match attempt {
        0 => String::new(),
        attempt => format!(".{attempt}"),
    };
    folder.join(format!("{EVENTS}.torn-{time}{again}"))
}
