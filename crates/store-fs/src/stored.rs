//! What is in a conversations folder, without its store.

use std::{
    fs,
    path::{Path, PathBuf},
};

use core_model::{ConversationId, Metadata, StoreError};

use crate::{ReadError, disk::RealDisk, layout, meta::read_metadata};

/// A conversation as it lies in its conversations folder; see [`conversations`].
///
/// ```
#[doc = include_str!("example.txt")]
/// let found = store_fs::conversations(&root)?;
/// assert_eq!((found[0].id, &found[0].folder), (id, &folder));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredConversation {
    /// Its id, by the name of its folder.
    pub id: ConversationId,
    /// Where its files are: what [`crate::FileReader::open`] and [`crate::verify()`] take.
    pub folder: PathBuf,
}

impl StoredConversation {
    /// Its settings and its listing summary. They change while a server runs.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when it was deleted meanwhile; [`StoreError::Damaged`] when the file is
    /// missing, no metadata, or of a newer format.
    ///
    /// ```
    #[doc = include_str!("example.txt")]
    /// for conversation in store_fs::conversations(&root)? {
    ///     match conversation.metadata() {
    ///         Ok(metadata) => println!("{} {:?}", metadata.created_at, metadata.title),
    ///         Err(error) => eprintln!("{error}"),
    ///     }
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn metadata(&self) -> Result<Metadata, StoreError> {
        read_metadata(&RealDisk, &self.folder, self.id)
    }
}

/// The conversations of a folder, by id. It takes no lock and changes nothing; a caller that has an
/// [`crate::FsStore`] asks that instead ([`core_model::Catalog::list`]).
///
/// # Errors
/// [`ReadError::Io`] when the folder cannot be read.
///
/// ```
#[doc = include_str!("example.txt")]
/// use store_fs::{FileReader, conversations};
///
/// for conversation in conversations(&root)? {
///     let mut log = FileReader::open(&conversation.folder)?;
///     println!("{}: {} events", conversation.id, log.len()?);
/// }
/// # assert_eq!(conversations(&root)?.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn conversations(root: &Path) -> Result<Vec<StoredConversation>, ReadError> {
    let failed = |source| ReadError::Io {
        path: root.to_owned(),
        source,
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(root).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if let Some(id) = name.to_str().and_then(layout::conversation) {
            let folder = layout::folder(root, id);
            found.push(StoredConversation { id, folder });
        }
    }
    found.sort_unstable_by_key(|conversation| conversation.id);
    Ok(found)
}
