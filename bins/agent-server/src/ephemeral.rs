//! A server that leaves nothing behind: conversations are in memory, and the folders that agents need are
//! temporary.

mod temporary_folder;

use std::path::PathBuf;

use core_model::{Feed, StoreError, port::Change};
use store_memory::MemoryStore;
use tokio::fs;
use tracing::{info, warn};

use crate::{
    config::{Loaded, Settings},
    start_error::StartError,
};

pub(crate) use temporary_folder::TemporaryFolder;

/// Entries of the feed that are read at a time.
const MAX_ENTRIES: usize = 256;

/// For an ephemeral server, moves all folders of the server and its agents into a temporary one, and removes
/// those of servers that were killed. A workspace that the user named is not moved.
///
/// # Errors
/// When the folder cannot be created.
pub(crate) fn prepare(loaded: &mut Loaded) -> Result<Option<TemporaryFolder>, StartError> {
    if !loaded.settings.ephemeral {
        return Ok(None);
    }
    let parent = std::env::temp_dir();
    TemporaryFolder::remove_abandoned(&parent);
    let folder = TemporaryFolder::create(&parent)
        .map_err(|source| StartError::NoTemporaryFolder { parent, source })?;
    let names_workspace = loaded.is_set("workspace_path");
    let settings = &mut loaded.settings;
    settings.conversations_path = folder.path().join("conversations");
    settings.bash_events_dir = folder.path().join("bash_events");
    if !names_workspace {
        settings.workspace_path = folder.path().join("project");
    }
    announce(settings, names_workspace);
    Ok(Some(folder))
}

fn announce(settings: &Settings, workspace_stays: bool) {
    let workspace = settings.workspace_path.display();
    let fate = if workspace_stays {
        "which stays"
    } else {
        "which is removed at the end"
    };
    info!(
        "ephemeral: conversations are in memory and gone at the end; agents work in {workspace}, {fate}"
    );
}

/// Keeps a folder below `root` for the files of each conversation's tools, while the conversation exists: a
/// store on disk has one for all of it.
pub(crate) async fn keep_tool_folders(store: MemoryStore, root: PathBuf) -> Result<(), StoreError> {
    let mut position = 0;
    loop {
        store.feed_grown(position).await?;
        for entry in store.feed_entries(position, MAX_ENTRIES).await? {
            let folder = root.join(entry.conversation.to_string());
            let kept = match entry.change {
                Change::Created => fs::create_dir_all(&folder).await,
                Change::Deleted => fs::remove_dir_all(&folder).await,
                Change::Appended { .. } => Ok(()),
            };
            if let Err(error) = kept {
                warn!("{}: {error}", folder.display());
            }
            position = entry.position + 1;
        }
    }
}
