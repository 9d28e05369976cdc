//! Conversations of the reference server, brought into a store.
//!
//! | module | holds |
//! |---|---|
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

mod file;
mod folder;
mod line;
mod reading;
mod settings;
mod tool_files;
mod writing;

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

use core_model::{ConversationId, Store, StoreError, Workspace};
use serde_json::Value;
use thiserror::Error;

pub use folder::find;
pub use reading::Outcome;

use folder::EventFile;
use reading::Reading;
use settings::Settings;
use writing::Writing;

/// A larger file of the folder is left out, and the outcome says so.
pub const MAX_FILE_BYTES: u64 = 256 << 20;

/// Why a conversation could not be imported.
///
/// ```
#[doc = include_str!("import/example.txt")]
/// use transcript::import::{ReferenceConversation, ImportError};
///
/// let empty = tempfile::tempdir()?;
/// let refused = ReferenceConversation::open(empty.path(), &options);
/// assert!(matches!(refused, Err(ImportError::NotAConversation { .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Error)]
pub enum ImportError {
    /// A file or folder of the reference cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// There is no conversation in the folder.
    #[error("{}: not a conversation of the reference server: {reason}", path.display())]
    NotAConversation {
        /// The folder.
        path: PathBuf,
        /// What it lacks, in words.
        reason: String,
    },
    /// [`ImportOptions::seal`] failed; this is its reason.
    #[error("the conversation's secrets cannot be sealed: {0}")]
    Seal(String),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How an import handles secrets, and what replaces what is missing.
///
/// ```
/// use core_model::{Workspace, WorkspaceKind};
/// use serde_json::json;
/// use transcript::import::ImportOptions;
///
/// let options = ImportOptions {
///     open: &|_sealed| None,        // the reference's key is not known
///     seal: &|_settings| Ok(()),    // there is nothing to seal
///     agent: json!({"kind": "Agent"}),
///     llm: Some(json!({"model": "openai/gpt-4.1"})),
///     workspace: Workspace {
///         working_dir: "workspace/project".to_owned(),
///         kind: WorkspaceKind::LocalWorkspace,
///     },
/// };
/// ```
pub struct ImportOptions<'a> {
    /// Decrypts a value that the reference server encrypted; none when it cannot.
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

/// A conversation of the reference server in its folder, with its settings translated.
///
/// ```
#[doc = include_str!("import/example.txt")]
/// use store_fs::{FsStore, Options};
/// use transcript::import::ReferenceConversation;
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let reference = ReferenceConversation::open(&theirs, &options)?;
/// assert_eq!((reference.title(), reference.len()), (Some("A greeting"), 1));
/// let id = reference.id();
///
/// let store = FsStore::open(&scratch.path().join("ours"), Options::default())?;
/// let keep = |_name: &std::path::Path, _content: &mut dyn std::io::Read| Ok(());
/// let outcome = reference.import(&store, keep, |files| println!("{files} files")).await?;
/// assert_eq!((outcome.id, outcome.events), (id, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ReferenceConversation {
    folder: PathBuf,
    files: Vec<EventFile>,
    settings: Settings,
    notices: Vec<String>,
}

impl ReferenceConversation {
    /// Reads everything except the events, which are only listed. Blocks.
    ///
    /// # Errors
    /// [`ImportError::NotAConversation`] when the folder holds no conversation or none with an id.
    ///
    /// ```
    #[doc = include_str!("import/example.txt")]
    /// let reference = transcript::import::ReferenceConversation::open(&theirs, &options)?;
    /// assert_eq!(reference.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(folder: &Path, options: &ImportOptions<'_>) -> Result<Self, ImportError> {
        let mut notices = Vec::new();
        let files = folder::event_files(folder, &mut notices)?;
        let settings = settings::read(folder, options, &mut notices)?;
        folder::warn_of_owner(folder, &mut notices);
        Ok(Self {
            folder: folder.to_owned(),
            files,
            settings,
            notices,
        })
    }

    /// Its folder.
    ///
    /// ```
    #[doc = include_str!("import/example.txt")]
    /// let reference = transcript::import::ReferenceConversation::open(&theirs, &options)?;
    /// assert_eq!(reference.folder(), theirs);
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
    /// let reference = transcript::import::ReferenceConversation::open(&theirs, &options)?;
    /// assert_eq!(reference.id().hex(), "2f34c5cd31d64dcfacdfcf89c5641e99");
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
    /// let reference = transcript::import::ReferenceConversation::open(&theirs, &options)?;
    /// assert_eq!(reference.title(), Some("A greeting"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        self.settings.metadata.title.as_deref()
    }

    /// How many event files there are.
    ///
    /// ```
    #[doc = include_str!("import/example.txt")]
    /// let reference = transcript::import::ReferenceConversation::open(&theirs, &options)?;
    /// assert_eq!(reference.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is no event file.
    ///
    /// ```
    #[doc = include_str!("import/example.txt")]
    /// let reference = transcript::import::ReferenceConversation::open(&theirs, &options)?;
    /// assert!(!reference.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// What a person should know about it, in words.
    ///
    /// ```
    #[doc = include_str!("import/example.txt")]
    /// std::fs::remove_file(theirs.join("meta.json"))?;
    /// let reference = transcript::import::ReferenceConversation::open(&theirs, &options)?;
    /// assert!(reference.notices().iter().any(|notice| notice.contains("meta.json")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// Does all that [`Self::import`] does, except writing. `progress` gets the number of event files
    /// that have been read.
    ///
    /// # Errors
    /// When a file cannot be read at all.
    ///
    /// ```
    #[doc = include_str!("import/example.txt")]
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let reference = transcript::import::ReferenceConversation::open(&theirs, &options)?;
    /// let outcome = reference.check(|_files| {}).await?;
    /// assert_eq!((outcome.events, outcome.left_out), (1, vec![]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn check(self, progress: impl Fn(usize) + Send) -> Result<Outcome, ImportError> {
        let mut reading = Reading::new(self);
        while reading.batch().await?.is_some() {
            progress(reading.read);
        }
        let added = reading.rest()?.len() as u64;
        Ok(reading.outcome(added))
    }

    /// Creates the conversation in `store`, under its own id, with each event as a line of the log in
    /// the order of the file numbers: its JSON as it is, except for spaces between the parts. Values,
    /// unknown kinds and unknown fields stay byte for byte. A file that is not an event is left out and
    /// named in the outcome. What only the settings know, such as a HEAD that was moved, follows as
    /// state updates.
    ///
    /// `keep` stores what tools keep beside the log: it gets a name, relative to the folder where the
    /// conversation's tools may keep files, and the content, and replaces what an import that was cut
    /// short left there. It may block. What it refuses is a notice in the outcome.
    ///
    /// A conversation that exists stays as it is, unless it is an import that was cut short: that one
    /// continues where it stopped.
    ///
    /// # Errors
    /// [`StoreError::Exists`]; or when files cannot be read or the store cannot be written. An import
    /// that failed halfway continues when it is called again.
    ///
    /// # Cancel safety
    /// A dropped call leaves the same as one that failed.
    ///
    /// ```
    #[doc = include_str!("import/example.txt")]
    /// use core_model::StoreError;
    /// use store_fs::{FsStore, Options};
    /// use transcript::import::{ImportError, ReferenceConversation};
    ///
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let store = FsStore::open(&scratch.path().join("ours"), Options::default())?;
    /// let keep = |_name: &std::path::Path, _content: &mut dyn std::io::Read| Ok(());
    /// ReferenceConversation::open(&theirs, &options)?.import(&store, keep, |_files| {}).await?;
    /// let again = ReferenceConversation::open(&theirs, &options)?.import(&store, keep, |_files| {}).await;
    /// assert!(matches!(again, Err(ImportError::Store(StoreError::Exists(_)))));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn import(
        self,
        store: &dyn Store,
        keep: impl FnMut(&Path, &mut dyn Read) -> io::Result<()> + Send + 'static,
        progress: impl Fn(usize) + Send,
    ) -> Result<Outcome, ImportError> {
        let folder = self.folder.clone();
        let mut reading = Reading::new(self);
        let mut writing = Writing::begin(store, reading.metadata()).await?;
        while let Some(records) = reading.batch().await? {
            writing.put(records, reading.summary()).await?;
            progress(reading.read);
        }
        let rest = reading.rest()?;
        let added = rest.len() as u64;
        writing.put(rest, reading.summary()).await?;
        let mut log = writing.end()?;
        let from = folder.clone();
        let refused = off_thread(&folder, move || Ok(tool_files::copy_all(&from, keep))).await?;
        reading.notices(refused);
        log.set_metadata(&reading.finished(log.extent())).await?;
        log.append(Vec::new(), reading.summary()).await?;
        Ok(reading.outcome(added))
    }
}

/// Runs file work of an import where it may block.
async fn off_thread<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> Result<T, ImportError> + Send + 'static,
) -> Result<T, ImportError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(stopped) => Err(io_at(path)(io::Error::other(stopped))),
    }
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> ImportError {
    move |source| ImportError::Io {
        path: path.to_owned(),
        source,
    }
}
