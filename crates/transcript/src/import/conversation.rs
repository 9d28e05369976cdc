use std::{
    io::{self, Read},
    path::Path,
};

use core_model::{ConversationId, Store};

use super::{
    error::{ImportError, off_thread},
    folder,
    options::ImportOptions,
    reading::{Outcome, Reading, Source},
    settings, tool_files,
    writing::Writing,
};

/// A conversation of the reference server in its folder, with its settings translated.
///
/// ```
#[doc = include_str!("example.txt")]
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
pub struct ReferenceConversation(Source);

impl ReferenceConversation {
    /// Reads everything except the events, which are only listed. Blocks.
    ///
    /// # Errors
    /// [`ImportError::NotAConversation`] when the folder holds no conversation or none with an id.
    ///
    /// ```
    #[doc = include_str!("example.txt")]
    /// let reference = transcript::import::ReferenceConversation::open(&theirs, &options)?;
    /// assert_eq!(reference.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(folder: &Path, options: &ImportOptions<'_>) -> Result<Self, ImportError> {
        let mut notices = Vec::new();
        let files = folder::event_files(folder, &mut notices)?;
        let settings = settings::read(folder, options, &mut notices)?;
        folder::warn_of_owner(folder, &mut notices);
        Ok(Self(Source {
            folder: folder.to_owned(),
            files,
            settings,
            notices,
        }))
    }

    /// Its folder.
    ///
    /// ```
    #[doc = include_str!("example.txt")]
    /// let reference = transcript::import::ReferenceConversation::open(&theirs, &options)?;
    /// assert_eq!(reference.folder(), theirs);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// The conversation's id, the same as before.
    ///
    /// ```
    #[doc = include_str!("example.txt")]
    /// let reference = transcript::import::ReferenceConversation::open(&theirs, &options)?;
    /// assert_eq!(reference.id().hex(), "2f34c5cd31d64dcfacdfcf89c5641e99");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn id(&self) -> ConversationId {
        self.0.settings.metadata.id
    }

    /// Its title, if it was given one.
    ///
    /// ```
    #[doc = include_str!("example.txt")]
    /// let reference = transcript::import::ReferenceConversation::open(&theirs, &options)?;
    /// assert_eq!(reference.title(), Some("A greeting"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        self.0.settings.metadata.title.as_deref()
    }

    /// How many event files there are.
    ///
    /// ```
    #[doc = include_str!("example.txt")]
    /// let reference = transcript::import::ReferenceConversation::open(&theirs, &options)?;
    /// assert_eq!(reference.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.files.len()
    }

    /// Whether there is no event file.
    ///
    /// ```
    #[doc = include_str!("example.txt")]
    /// let reference = transcript::import::ReferenceConversation::open(&theirs, &options)?;
    /// assert!(!reference.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.files.is_empty()
    }

    /// What a person should know about it, in words.
    ///
    /// ```
    #[doc = include_str!("example.txt")]
    /// std::fs::remove_file(theirs.join("meta.json"))?;
    /// let reference = transcript::import::ReferenceConversation::open(&theirs, &options)?;
    /// assert!(reference.notices().iter().any(|notice| notice.contains("meta.json")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn notices(&self) -> &[String] {
        &self.0.notices
    }

    /// Does all that [`Self::import`] does, except writing. `progress` gets the number of event files
    /// that have been read.
    ///
    /// # Errors
    /// When a file cannot be read at all.
    ///
    /// ```
    #[doc = include_str!("example.txt")]
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let reference = transcript::import::ReferenceConversation::open(&theirs, &options)?;
    /// let outcome = reference.check(|_files| {}).await?;
    /// assert_eq!((outcome.events, outcome.left_out), (1, vec![]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn check(self, progress: impl Fn(usize) + Send) -> Result<Outcome, ImportError> {
        let mut reading = Reading::new(self.0);
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
    #[doc = include_str!("example.txt")]
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
        let folder = self.0.folder.clone();
        let mut reading = Reading::new(self.0);
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
