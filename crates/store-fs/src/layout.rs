use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use core_model::{ConversationId, ConversationKey, UtcTime};
use uuid::Uuid;

/// The newest version of a conversation folder that this build understands; see the crate's page.
pub(crate) const FORMAT: u32 = core_model::Metadata::FORMAT;

pub(crate) const METADATA: &str = "metadata.json";
/// Bytes of metadata that are read; more is damage.
pub(crate) const MAX_METADATA_BYTES: u64 = 256 << 20;
pub(crate) const EVENTS: &str = "events.jsonl";
pub(crate) const INDEX: &str = "events.idx";
/// An index that is being made.
pub(crate) const INDEX_MAKING: &str = ".events.idx.tmp";

const LOCK: &str = ".lock";
const MAKING: &str = ".tmp-";
const REMOVING: &str = ".deleted-";

/// The records of a follower, in its folder.
pub(crate) const CURSORS: &str = "cursors.jsonl";
const OUTBOX: &str = "outbox";
const COPYING: &str = ".copying-";
const DISCARDED: &str = ".discarded-";
/// The longest name of a follower.
const FOLLOWER: usize = 64;

pub(crate) fn lock_file(root: &Path) -> PathBuf {
    root.join(LOCK)
}

/// What happens in all conversations, in one order.
pub(crate) fn feed_file(root: &Path) -> PathBuf {
    root.join(".feed")
}

pub(crate) fn feed_making(root: &Path) -> PathBuf {
    root.join(".feed.tmp")
}

/// All rows of the list at some position of the feed.
pub(crate) fn catalog_file(root: &Path) -> PathBuf {
    root.join(".catalog")
}

/// What lists show of conversations at rest; rows lead into it.
pub(crate) fn infos_file(root: &Path) -> PathBuf {
    root.join(".infos")
}

pub(crate) fn infos_making(root: &Path) -> PathBuf {
    root.join(".infos.tmp")
}

/// There when no change came after the last ones that the feed and the catalog have.
pub(crate) fn closed_file(root: &Path) -> PathBuf {
    root.join(".closed")
}

/// Requests that came with an `Idempotency-Key`, and what they were answered.
pub(crate) fn receipts(root: &Path) -> PathBuf {
    root.join(".receipts")
}

/// What conversations have spent, by API key and day, and what people allow them to.
pub(crate) fn spending_file(root: &Path) -> PathBuf {
    root.join(".spending")
}

pub(crate) fn folder(root: &Path, id: ConversationId) -> PathBuf {
    root.join(id.to_string())
}

/// Where a conversation is put together before it appears under its own name. `run` tells the stores
/// of this process and of earlier ones apart.
pub(crate) fn making(root: &Path, run: Uuid) -> PathBuf {
    root.join(format!("{MAKING}{}-{}", run.simple(), Uuid::new_v4()))
}

/// Where a removed conversation waits for its files to go.
pub(crate) fn removing(root: &Path, run: Uuid) -> PathBuf {
    root.join(format!("{REMOVING}{}-{}", run.simple(), Uuid::new_v4()))
}

/// A file whose only purpose is to be made and removed.
pub(crate) fn probe(root: &Path) -> PathBuf {
    root.join(format!("{MAKING}probe-{}", Uuid::new_v4()))
}

/// Whether an earlier store left this entry of the conversations folder half made or half removed.
pub(crate) fn is_leftover(name: &str, run: Uuid) -> bool {
    let of = |prefix| name.strip_prefix(prefix);
    let rest = of(MAKING).or_else(|| of(REMOVING));
    rest.is_some_and(|rest| !rest.starts_with(&run.simple().to_string()))
}

/// The conversation that an entry of the conversations folder is; other names are not ours.
pub(crate) fn conversation(name: &str) -> Option<ConversationId> {
    let id: ConversationId = name.parse().ok()?;
    (id.to_string() == name).then_some(id)
}

/// Where deleted conversations wait for followers, in the folder of these.
pub(crate) fn outbox(folder: &Path) -> PathBuf {
    folder.join(OUTBOX)
}

/// Whether a follower can be named, and have a folder, like this.
pub(crate) fn is_follower(name: &str) -> bool {
    let fits = (1..=FOLLOWER).contains(&name.len()) && name != OUTBOX;
    fits && name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Where a deleted conversation waits.
pub(crate) fn deleted_conversation(outbox: &Path, conversation: ConversationKey) -> PathBuf {
    let ConversationKey { id, created_at } = conversation;
    outbox.join(format!("{id}.{}", created_at.0.timestamp_micros()))
}

/// The deleted conversation that an entry of the outbox is; other names are not ours.
pub(crate) fn conversation_key(name: &str) -> Option<ConversationKey> {
    let (id, micros) = name.split_once('.')?;
    let number: i64 = micros.parse().ok()?;
    (number.to_string() == micros).then_some(ConversationKey {
        id: conversation(id)?,
        created_at: UtcTime(DateTime::from_timestamp_micros(number)?),
    })
}

/// Where a conversation is copied to before it appears in the outbox.
pub(crate) fn copying(outbox: &Path) -> PathBuf {
    outbox.join(format!("{COPYING}{}", Uuid::new_v4()))
}

/// Where what was in the outbox waits for its files to go.
pub(crate) fn discarded(outbox: &Path) -> PathBuf {
    outbox.join(format!("{DISCARDED}{}", Uuid::new_v4()))
}

/// Whether this entry of the outbox is half copied or half removed.
pub(crate) fn is_half(name: &str) -> bool {
    name.starts_with(COPYING) || name.starts_with(DISCARDED)
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
