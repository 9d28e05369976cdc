//! What to do when the workspace's folder no longer exists: an agent may remove it, and so may others.

use std::{
    fs,
    path::{Path, PathBuf},
};

use nix::unistd::{AccessFlags, access};

use crate::workspace::Workspace;

/// A folder that a process can work in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsableFolder {
    pub folder: PathBuf,
    /// A sentence for the agent, when this is not simply the folder that was asked for.
    pub note: Option<String>,
}

impl Workspace {
    /// The workspace's folder; made again when it is gone, and if that fails, the nearest folder above it.
    #[must_use]
    pub fn usable_folder(&self) -> UsableFolder {
        usable(self.folder())
    }

    /// The folder for a process whose working directory `gone` was removed.
    #[must_use]
    pub fn folder_instead_of(&self, gone: &Path) -> UsableFolder {
        instead_of(gone, self.folder())
    }
}

fn usable(workspace: &Path) -> UsableFolder {
    if can_enter(workspace) {
        return UsableFolder {
            folder: workspace.to_owned(),
            note: None,
        };
    }
    let shown = workspace.display();
    match fs::create_dir_all(workspace) {
        Ok(()) if can_enter(workspace) => UsableFolder {
            folder: workspace.to_owned(),
            note: Some(format!(
                "The workspace folder {shown} was gone. It was made again and is empty."
            )),
        },
        made => {
            let why = made
                .err()
                .map_or_else(|| "no permission".to_owned(), |error| error.to_string());
            let folder = nearest(workspace);
            let note = format!(
                "The workspace folder {shown} cannot be entered and could not be made again ({why}). \
                 The shell is in {}.",
                folder.display()
            );
            UsableFolder {
                folder,
                note: Some(note),
            }
        }
    }
}

fn instead_of(gone: &Path, workspace: &Path) -> UsableFolder {
    if can_enter(gone) {
        return UsableFolder {
            folder: gone.to_owned(),
            note: Some(format!(
                "The folder {} was removed and made again; the shell entered the new one.",
                gone.display()
            )),
        };
    }
    // whether one lies in the other does not matter: a path may lead through links
    if !workspace.exists() {
        return usable(workspace);
    }
    let folder = nearest(gone);
    let note = format!(
        "The folder {}, in which the shell was, is gone. The shell is in {} now.",
        gone.display(),
        folder.display()
    );
    UsableFolder {
        folder,
        note: Some(note),
    }
}

fn nearest(path: &Path) -> PathBuf {
    path.ancestors()
        .find(|folder| can_enter(folder))
        .unwrap_or(Path::new("/"))
        .to_owned()
}

fn can_enter(folder: &Path) -> bool {
    folder.is_dir() && access(folder, AccessFlags::X_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_exists_is_used_without_a_note() {
        let folder = tempfile::tempdir().unwrap();
        let usable = usable(folder.path());
        assert_eq!(
            (usable.folder.as_path(), usable.note),
            (folder.path(), None)
        );
    }

    #[test]
    fn only_the_workspace_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = folder.path().join("a/b");
        let made = instead_of(&workspace.join("c"), &workspace);
        assert_eq!(made.folder, workspace);
        assert!(workspace.is_dir() && !workspace.join("c").exists());
        let above = instead_of(&workspace.join("c"), &workspace);
        assert_eq!(above.folder, workspace);
        let other = instead_of(&folder.path().join("x/y"), &workspace);
        assert_eq!(other.folder, folder.path());
        assert!(!folder.path().join("x").exists());
    }
}
