//! Conversations and their event logs on the local file system: the ports `Catalog`, `Claims`, `Feed`,
//! `Receipts` and `DeliveryRecords` of [`core_model`] for a server, and plain blocking code for tools.
//!
//! | to | use |
//! |---|---|
//! | read beside a server, without lock or runtime | [`conversations`], [`FileReader`] |
//! | follow beside a server | [`FileReader::follow`] |
//! | append while no server runs | [`FsStore::open`], [`FsStore::open_log_blocking`], [`FsLog::append_blocking`] |
//! | own a folder, as a server does | [`FsStore`], [`FsLog`], [`FsLog::follow`] |
//! | check and repair | [`verify()`], [`repair()`] |
//!
//! ```
#![doc = include_str!("example.txt")]
//! for conversation in store_fs::conversations(&root)? {
//!     for record in store_fs::FileReader::open(&conversation.folder)? {
//!         let record = record?;
//!         println!("{} {} {}", conversation.id, record.seq, record.head.kind);
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Modules
//!
//! | module | holds |
//! |---|---|
//! | `fs_store`, `store` | [`FsStore`]: make, list, open and delete conversations |
//! | `ports` | the store as its callers know it |
//! | `catalog/` | the list of all conversations, and the feed of what happens in them |
//! | `claims` | the one writer of a conversation, and who it is |
//! | `folder_scan`, `start_scan`, `check`, `listing`, `at_rest`, `stored_row` | the list against the folder, and each conversation on it |
//! | `staging` | a conversation that is made with a log, until it is published |
//! | `deletion` | deleting a conversation, at once or into the outbox |
//! | `keep_deliveries`, `deliveries/` | the records of followers, and the outbox |
//! | `spending` | what conversations have spent, and may spend |
//! | `receipts` | requests that must not be carried out twice |
//! | `append_file` | a file that grows at its end only |
//! | `group_sync` | one sync for many |
//! | `log` | [`FsLog`]: append, page, find |
//! | `open_log`, `queue`, `closed`, `extent` | one log in memory, what waits to be written to it, and why it takes no more |
//! | `append`, `committer` | batches, the threads that write and sync them, and what follows a failure |
//! | `restore` | when a poisoned log takes events again |
//! | `pages` | reads by way of the index |
//! | `large` | large lines, in memory once for all that read them |
//! | `index`, `entry`, `ids` | `events.idx`, one line of it, and where ids stand |
//! | `scan` | lines into entries |
//! | `recovery`, `rebuild` | opening a log: index, torn tail, damage; an index rebuilt later |
//! | `follow` | [`Follow`]: replay, then live |
//! | `stored`, `reader/` | [`conversations`], [`FileReader`] and [`FileFollower`]: without a store |
//! | `health`, `notices` | which logs take no events, and what was found |
//! | `flusher`, `durability`, `durable` | [`Durability`], and the background sync of one level |
//! | `verify`, `repair` | [`verify()`] and [`repair()`] a stored conversation |
//! | `meta` | small files replaced atomically |
//! | `lock` | one process a folder |
//! | `block_on` | waiting for an answer without a runtime |
//! | `disk` | the file system, so that tests can put another one under all this |
//! | `layout` | names of files and folders |
//! | `error` | [`AppendError`], [`OpenError`], [`ReadError`] |
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
//! - `events.idx`: for each line its place, checksum and head; rebuilt when it is missing or does
//!   not fit.
//! - `events.jsonl.torn-TIME`: an unfinished last line that a crash left, found at that time; only
//!   made when one was found, never read again.
//!
//! Names that start with a dot belong to the store: `.lock`, `.feed`, `.catalog`, `.infos`,
//! `.closed`, `.receipts`, `.spending`, and folders being made or removed.

#![warn(missing_docs)]

mod append;
mod append_file;
mod at_rest;
mod block_on;
mod catalog;
mod check;
mod claims;
mod closed;
mod committer;
mod deletion;
mod deliveries;
mod disk;
mod durability;
mod durable;
mod entry;
mod error;
mod extent;
#[cfg(test)]
mod faults;
mod flusher;
mod folder_scan;
mod follow;
mod fs_store;

mod group_sync;
mod health;
mod ids;
mod index;
mod keep_deliveries;
mod large;
mod layout;
mod listing;
mod lock;
mod log;
mod meta;
mod notices;
mod open_log;
mod pages;
mod ports;
mod queue;
mod reader;
mod rebuild;
mod receipts;
mod recovery;
pub mod regular_file;
mod repair;
mod restore;
mod scan;
mod spending;
mod staging;
mod start_scan;
mod store;
mod stored;
mod stored_row;
mod verify;

pub use durability::{Durability, Options};
pub use error::{AppendError, OpenError, ReadError};
pub use follow::Follow;
pub use fs_store::FsStore;
pub use log::FsLog;
pub use reader::{FileFollower, FileReader};
pub use repair::{Repair, RepairError, repair};
pub use stored::{StoredConversation, conversations};
pub use verify::{Damage, IndexState, Report, TornBytes, verify};

/// The snippets of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
