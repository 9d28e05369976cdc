//! Conversations of the reference server, brought into a store.
//!
//! | module | holds |
//! |---|---|
//! | `folder` | the reference's files, and which of them are events |
//! | `line` | an event's file into a line of a log |
//! | `settings` | its two settings files into metadata |
//! | `transfer` | the lines into a log |
//!
//! One conversation is one folder, named by its id in hexadecimal:
//!
//! - `base_state.json`: agent, workspace, status and all else that the conversation has now;
//! - `meta.json`: what it was created with, its title and times;
//! - `events/event-NNNNN-ID.json`: one event a file, numbered from 0.

mod folder;
mod line;
mod settings;
mod transfer;

use std::{
    io,
    path::{Path, PathBuf},
};

use core_model::{ConversationId, StoreError, Workspace};
use serde_json::Value;
use thiserror::Error;

pub use folder::find;
pub use transfer::Outcome;

use crate::{FsStore, error::blocking};
use folder::EventFile;
use settings::Settings;

/// Why a conversation could not be imported.
#[derive(Debug, Error)]
pub enum ImportError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{}: no conversation of the reference server: {reason}", path.display())]
    NotOne { path: PathBuf, reason: String },
    #[error("the conversation's secrets cannot be sealed: {0}")]
    Seal(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How an import treats secrets, and what takes the place of what is missing.
pub struct Treatment<'a> {
    /// Opens a value that the reference server encrypted; none when it cannot.
    pub open: &'a dyn Fn(&str) -> Option<String>,
    /// Seals the secrets of agent settings, or of a map of secrets, in place.
    pub seal: &'a dyn Fn(&mut Value) -> Result<(), String>,
    /// The agent of a conversation whose own cannot be read.
    pub agent: Value,
    /// The model that every agent gets instead of its own, as an `llm` object.
    pub llm: Option<Value>,
    /// The workspace of a conversation whose own cannot be read.
    pub workspace: Workspace,
}

/// A conversation of the reference server as it lies on the disk, its settings translated.
pub struct Foreign {
    folder: PathBuf,
    files: Vec<EventFile>,
    settings: Settings,
    notices: Vec<String>,
}

impl Foreign {
    /// Reads all but the events, which are only listed. Blocks.
    ///
    /// # Errors
    /// [`ImportError::NotOne`] when the folder holds no conversation or none with an id.
    pub fn open(folder: &Path, treatment: &Treatment<'_>) -> Result<Self, ImportError> {
        let mut notices = Vec::new();
        let files = folder::event_files(folder, &mut notices)?;
        let settings = settings::read(folder, treatment, &mut notices)?;
        folder::warn_of_owner(folder, &mut notices);
        Ok(Self {
            folder: folder.to_owned(),
            files,
            settings,
            notices,
        })
    }

    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The conversation's id, the same as before.
    #[must_use]
    pub fn id(&self) -> ConversationId {
        self.settings.metadata.id
    }

    #[must_use]
    pub fn title(&self) -> Option<&str> {
        self.settings.metadata.title.as_deref()
    }

    /// How many files of events there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.files.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// What a person should know of it, in words.
    #[must_use]
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// Does all that [`Self::import`] does, but for writing. `progress` is told how many files of
    /// events have been read.
    ///
    /// # Errors
    /// When a file cannot be read at all.
    pub async fn check(self, progress: impl Fn(usize) + Send) -> Result<Outcome, ImportError> {
        transfer::check(self, progress).await
    }

    /// Makes the conversation in `store`, under its own id, with each event as a line of the log in
    /// the order of the file numbers: its JSON as it is, but for spaces between the parts. Values,
    /// unknown kinds and unknown fields stay byte for byte. A file that is no event is left out and
    /// named in the outcome. What only the settings know, such as a HEAD that was moved, follows as
    /// state updates.
    ///
    /// A conversation that exists stays as it is, unless it is an import that was cut short: that one
    /// goes on where it stopped.
    ///
    /// # Errors
    /// [`StoreError::Exists`]; or when files cannot be read or written. An import that failed half
    /// way goes on when it is called again.
    ///
    /// # Cancel safety
    /// A dropped call leaves the same as one that failed.
    pub async fn import(
        self,
        store: &FsStore,
        progress: impl Fn(usize) + Send,
    ) -> Result<Outcome, ImportError> {
        transfer::import(self, store, progress).await
    }
}

/// Runs file work of an import where it may block.
async fn off_thread<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> Result<T, ImportError> + Send + 'static,
) -> Result<T, ImportError> {
    blocking(path, move || Ok(work())).await?
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> ImportError {
    move |source| ImportError::Io {
        path: path.to_owned(),
        source,
    }
}
