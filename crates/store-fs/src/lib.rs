//! Conversations and their event logs on the local file system: the ports `Catalog` and `EventLog`
//! of [`core_model`], and a synchronous reader for tools.
//!
//! | module | holds |
//! |---|---|
//! | `store` | [`FsStore`]: make, list, open and delete conversations |
//! | `log` | [`FsLog`]: append, page, find |
//! | `journal` | one durable write a batch, and what follows a failed one |
//! | `flusher` | the background sync of [`Durability::Interval`] |
//! | `index` | what memory keeps of each event |
//! | `head` | an event's head, read without parsing the rest |
//! | `recovery` | opening a log: cut the torn tail, skip damage |
//! | `reader` | [`LogReader`]: a log line by line, without a runtime |
//! | `meta` | small files replaced atomically |
//! | `lock` | one process a folder |
//! | `layout` | names of files and folders |
//! | `error` | [`OpenError`], [`ReadError`] |
//!
//! # File format
//!
//! One folder a conversation, named by its dashed id:
//!
//! - `metadata.json`: one JSON object ([`core_model::Metadata`]), replaced atomically. Its `format`
//!   is the version of the whole folder; a folder with a newer one is left alone.
//! - `events.jsonl`: one event a line, UTF-8 JSON ended by one line feed, append only. The line
//!   number, from 0, is the event's `seq`. Each line is an object with at least the strings `id`,
//!   `kind`, `source` and `timestamp` at its top level.
//! - `events.jsonl.torn-OFFSET`: an unfinished last line that a crash left at that offset; only
//!   made when one was found, never read again.
//!
//! Names that start with a dot belong to the store: `.lock`, and folders being made or removed.

mod error;
pub mod export;
mod flusher;
mod head;
pub mod import;
mod index;
mod interim;
mod journal;
mod layout;
mod lock;
mod log;
mod meta;
mod reader;
mod recovery;
mod store;

pub use error::{OpenError, ReadError};
pub use journal::Durability;
pub use log::FsLog;
pub use reader::LogReader;
pub use store::{FsStore, Options};
