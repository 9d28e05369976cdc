//! Conversations and their event logs on the local file system: the ports `Catalog` and `EventLog`
//! of [`core_model`], and a synchronous reader for tools.
//!
//! | module | holds |
//! |---|---|
//! | `store` | [`FsStore`]: make, list, open and delete conversations |
//! | `ports` | the store as its callers know it |
//! | `catalog/` | the list of all conversations, and the feed of what happens in them |
//! | `check`, `listing` | the list against the folder, and each conversation on it |
//! | `receipts` | requests that must not be carried out twice |
//! | `group_sync` | one sync for many |
//! | `log` | [`FsLog`]: append, page, find |
//! | `writer`, `committer` | batches, the threads that write and sync them, and what follows a failure |
//! | `pages` | reads by way of the index |
//! | `index`, `entry`, `ids` | `events.idx`, one line of it, and where ids stand |
//! | `scan`, `head` | lines into entries; an event's head, read without keeping the rest |
//! | `recovery` | opening a log: index, torn tail, damage |
//! | `follow` | [`Follow`]: replay, then live |
//! | `reader` | [`LogReader`]: a log line by line, without a runtime |
//! | [`export`] | a log as its lines, or as a transcript |
//! | [`import`] | conversations of the reference server |
//! | `health` | which logs take no events, and what was found |
//! | `flusher`, `durability` | [`Durability`], and the background sync of one level |
//! | `verify`, `repair` | [`verify()`] and [`repair()`] a stored conversation |
//! | `meta` | small files replaced atomically |
//! | `lock` | one process a folder |
//! | `disk` | the file system, so that tests can put another one under all this |
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
//! Names that start with a dot belong to the store: `.lock`, `.feed`, `.catalog`, `.infos`, `.closed`,
//! `.receipts.jsonl`, and folders being made or removed.

mod catalog;
mod check;
mod committer;
mod disk;
mod durability;
mod entry;
mod error;
pub mod export;
mod flusher;
mod follow;
mod group_sync;
mod head;
mod health;
mod ids;
pub mod import;
mod index;
mod layout;
mod listing;
mod lock;
mod log;
mod meta;
mod pages;
mod ports;
mod reader;
mod receipts;
mod recovery;
mod repair;
mod scan;
mod store;
mod verify;
mod writer;

pub use durability::Durability;
pub use error::{OpenError, ReadError};
pub use follow::Follow;
pub use log::FsLog;
pub use reader::LogReader;
pub use repair::{Repair, RepairError, repair};
pub use store::{FsStore, Options};
pub use verify::{Damage, IndexState, Report, TornBytes, verify};
