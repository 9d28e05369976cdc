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
//!
//! The folder is another's: links in it are not followed, and files beyond [`MAX_FILE_BYTES`] not read.

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

/// A larger file of theirs is left out, and said so.
pub const MAX_FILE_BYTES: u64 = 256 << 20;

/// Why a conversation could not be imported.
///
/// ```
#[doc = include_str!("import/example.txt")]
/// use store_fs::import::{Foreign, ImportError};
///
/// let empty = tempfile::tempdir()?;
/// let refused = Foreign::open(empty.path(), &treatment);
/// assert!(matches!(refused, Err(ImportError::NotOne { .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Error)]
pub enum ImportError {
    /// Something of theirs cannot be read, or copied.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// There is no conversation in the folder.
    #[error("{}: no conversation of the reference server: {reason}", path.display())]
    NotOne {
        /// The folder.
        path: PathBuf,
        /// What it lacks, in words.
        reason: String,
    },
    /// [`Treatment::seal`] failed, and this is what it said.
    #[error("the conversation's secrets cannot be sealed: {0}")]
    Seal(String),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How an import treats secrets, and what takes the place of what is missing.
///
/// ```
/// use core_model::{Workspace, WorkspaceKind};
/// use serde_json::json;
/// use store_fs::import::Treatment;
///
/// let treatment = Treatment {
///     open: &|_sealed| None,        // their key is not known
///     seal: &|_settings| Ok(()),    // nothing is worth sealing
///     agent: json!({"kind": "Agent"}),
///     llm: Some(json!({"model": "openai/gpt-4.1"})),
///     workspace: Workspace {
///         working_dir: "workspace/project".to_owned(),
///         kind: WorkspaceKind::LocalWorkspace,
///     },
/// };
/// ```
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
///
/// ```
#[doc = include_str!("import/example.txt")]
/// use store_fs::{FsStore, Options, import::Foreign};
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let foreign = Foreign::open(&theirs, &treatment)?;
/// assert_eq!((foreign.title(), foreign.len()), (Some("A greeting"), 1));
/// let id = foreign.id();
///
/// let store = FsStore::open(&scratch.path().join("ours"), Options::default())?;
/// let outcome = foreign.import(&store, |files| println!("{files} files")).await?;
/// assert_eq!((outcome.id, outcome.events), (id, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    ///
    /// ```
    #[doc = include_str!("import/example.txt")]
    /// let foreign = store_fs::import::Foreign::open(&theirs, &treatment)?;
    /// assert_eq!(foreign.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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

    /// Where it lies.
    ///
    /// ```
    #[doc = include_str!("import/example.txt")]
    /// let foreign = store_fs::import::Foreign::open(&theirs, &treatment)?;
    /// assert_eq!(foreign.folder(), theirs);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The conversation's id, the same as before.
    ///
    /// ```
    #[doc = include_str!("import/example.txt")]
    /// let foreign = store_fs::import::Foreign::open(&theirs, &treatment)?;
    /// assert_eq!(foreign.id().hex(), "2f34c5cd31d64dcfacdfcf89c5641e99");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn id(&self) -> ConversationId {
        self.settings.metadata.id
    }

    /// Its title, if it was given one.
    ///
    /// ```
    #[doc = include_str!("import/example.txt")]
    /// let foreign = store_fs::import::Foreign::open(&theirs, &treatment)?;
    /// assert_eq!(foreign.title(), Some("A greeting"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        self.settings.metadata.title.as_deref()
    }

    /// How many files of events there are.
    ///
    /// ```
    #[doc = include_str!("import/example.txt")]
    /// let foreign = store_fs::import::Foreign::open(&theirs, &treatment)?;
    /// assert_eq!(foreign.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is no file of an event.
    ///
    /// ```
    #[doc = include_str!("import/example.txt")]
    /// let foreign = store_fs::import::Foreign::open(&theirs, &treatment)?;
    /// assert!(!foreign.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// What a person should know of it, in words.
    ///
    /// ```
    #[doc = include_str!("import/example.txt")]
    /// std::fs::remove_file(theirs.join("meta.json"))?;
    /// let foreign = store_fs::import::Foreign::open(&theirs, &treatment)?;
    /// assert!(foreign.notices().iter().any(|notice| notice.contains("meta.json")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// Does all that [`Self::import`] does, but for writing. `progress` is told how many files of
    /// events have been read.
    ///
    /// # Errors
    /// When a file cannot be read at all.
    ///
    /// ```
    #[doc = include_str!("import/example.txt")]
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let foreign = store_fs::import::Foreign::open(&theirs, &treatment)?;
    /// let outcome = foreign.check(|_files| {}).await?;
    /// assert_eq!((outcome.events, outcome.left_out), (1, vec![]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    ///
    /// ```
    #[doc = include_str!("import/example.txt")]
    /// use core_model::StoreError;
    /// use store_fs::{FsStore, Options, import::{Foreign, ImportError}};
    ///
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let store = FsStore::open(&scratch.path().join("ours"), Options::default())?;
    /// Foreign::open(&theirs, &treatment)?.import(&store, |_files| {}).await?;
    /// let again = Foreign::open(&theirs, &treatment)?.import(&store, |_files| {}).await;
    /// assert!(matches!(again, Err(ImportError::Store(StoreError::Exists(_)))));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
