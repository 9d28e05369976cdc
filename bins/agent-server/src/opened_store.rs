//! The store that the settings choose.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use core_model::Store;
use store_fs::{FsStore, Options};
use store_memory::MemoryStore;

use crate::{
    config::{Durability, Settings},
    ephemeral,
    start_error::StartError,
};

/// An open store, and the folder where conversations keep files: the store's own, or one for tools alone.
pub(crate) enum OpenedStore {
    Files(Arc<FsStore>),
    Memory(MemoryStore, PathBuf),
}

impl OpenedStore {
    /// Opens it, and creates the folders that the settings name. Call it on a tokio runtime.
    ///
    /// # Errors
    /// A [`StartError`] that says what to do.
    pub(crate) fn open(settings: &Settings) -> Result<Self, StartError> {
        // The agents' default workspace too, so that a folder that cannot be written shows at once.
        for folder in [&settings.conversations_path, &settings.workspace_path] {
            fs::create_dir_all(folder)
                .map_err(|source| StartError::not_writable(folder, source))?;
        }
        if settings.ephemeral {
            let folder = settings.conversations_path.clone();
            let store = MemoryStore::new("agent-server");
            tokio::spawn(ephemeral::keep_tool_folders(store.clone(), folder.clone()));
            return Ok(Self::Memory(store, folder));
        }
        let durability = match settings.durability {
            Durability::Always => store_fs::Durability::Always,
            Durability::Interval => {
                let wait = settings.durability_interval_ms.get();
                store_fs::Durability::Interval(Duration::from_millis(wait))
            }
            Durability::Os => store_fs::Durability::Os,
        };
        let store = FsStore::open(&settings.conversations_path, Options { durability })?;
        Ok(Self::Files(Arc::new(store)))
    }

    pub(crate) fn port(&self) -> Arc<dyn Store> {
        match self {
            Self::Files(store) => Arc::clone(store) as _,
            Self::Memory(store, _) => Arc::new(store.clone()),
        }
    }

    /// Holds a folder for each conversation, named by its id.
    pub(crate) fn folder(&self) -> &Path {
        match self {
            Self::Files(store) => store.root(),
            Self::Memory(_, folder) => folder,
        }
    }
}
