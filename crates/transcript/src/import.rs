//! Conversations of the reference server, brought into a store.
//!
//! | module | holds |
//! |---|---|
//! | `conversation` | [`ReferenceConversation`]: open, check, import |
//! | `folder` | the reference's files, and which of them are events |
//! | `file` | reads a file of the folder, and nothing that is not one |
//! | `line` | an event's file into a line of a log |
//! | `settings` | its two settings files into metadata |
//! | `reading` | the lines of a conversation in their order, and the state they lead to |
//! | `writing` | the lines into a log |
//! | `tool_files` | what tools keep beside the log |
//!
//! One conversation is one folder, named by its id in hexadecimal:
//!
//! - `base_state.json`: agent, workspace, status and all else that the conversation has now;
//! - `meta.json`: what it was created with, its title and times;
//! - `events/event-NNNNN-ID.json`: one event a file, numbered from 0.
//!
//! The folder is not ours: links in it are not followed, and files beyond [`MAX_FILE_BYTES`] are not read.

mod conversation;
mod error;
mod file;
mod folder;
mod line;
mod options;
mod reading;
mod settings;
mod tool_files;
mod writing;

pub use conversation::ReferenceConversation;
pub use error::ImportError;
pub use file::MAX_FILE_BYTES;
pub use folder::find;
pub use options::ImportOptions;
pub use reading::Outcome;
