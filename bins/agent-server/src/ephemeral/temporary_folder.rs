use std::{
    fs::{self, File, OpenOptions, Permissions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use nix::{fcntl::OFlag, unistd::geteuid};
use tempfile::TempDir;
use tracing::{info, warn};

const PREFIX: &str = "agent-server-ephemeral-";
const PRIVATE: u32 = 0o700;

/// The temporary folder of an ephemeral server, which others cannot read; removed when this is dropped.
pub(crate) struct TemporaryFolder {
    folder: TempDir,
    /// The folder itself, locked while its server lives.
    _locked: File,
}

impl TemporaryFolder {
    /// # Errors
    /// When it cannot be created or locked.
    pub(crate) fn create(parent: &Path) -> io::Result<Self> {
        loop {
            let folder = tempfile::Builder::new()
                .prefix(PREFIX)
                .permissions(Permissions::from_mode(PRIVATE))
                .tempdir_in(parent)?;
            // Another server may take one that is not locked yet for abandoned.
            let locked = lock(folder.path()).filter(|_| folder.path().exists());
            if let Some(locked) = locked {
                return Ok(Self {
                    folder,
                    _locked: locked,
                });
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Removes the folder, and says so where that fails.
    pub(crate) fn remove(self) {
        let Self { folder, _locked } = self;
        remove(&folder.keep());
    }

    /// Removes the folders of this user's servers that are no more.
    pub(crate) fn remove_abandoned(parent: &Path) {
        for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
            let is_ours = entry
                .file_name()
                .to_str()
                .is_some_and(|name| name.starts_with(PREFIX));
            // Held until it is removed, so that no server begins to use it.
            if is_ours && let Some(_locked) = lock(&entry.path()) {
                let path = entry.path();
                info!(
                    "removing what an ephemeral server that was killed left in {}",
                    path.display()
                );
                remove(&path);
            }
        }
    }
}

/// A lock on a folder of this user that nobody else has.
fn lock(path: &Path) -> Option<File> {
    let folder = OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW).bits())
        .open(path)
        .ok()?;
    let is_own = folder.metadata().ok()?.uid() == geteuid().as_raw();
    (is_own && folder.try_lock().is_ok()).then_some(folder)
}

fn remove(path: &Path) {
    let removed = fs::remove_dir_all(path).or_else(|_| {
        // Agents may leave folders in which nothing can be removed.
        allow_removal(path)?;
        fs::remove_dir_all(path)
    });
    if let Err(error) = removed {
        warn!(
            "the temporary folder {} is left behind: {error}",
            path.display()
        );
    }
}

/// Lets the entries of all folders below `path` be removed. Follows no links.
fn allow_removal(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(PRIVATE))?;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            allow_removal(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_servers_that_are_no_more_are_removed() {
        let parent = tempfile::tempdir().unwrap();
        let living = TemporaryFolder::create(parent.path()).unwrap();
        let mode = fs::metadata(living.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, PRIVATE);
        let dead = parent.path().join(format!("{PREFIX}dead"));
        fs::create_dir_all(dead.join("project/closed")).unwrap();
        fs::write(dead.join("project/closed/file"), "text").unwrap();
        let closed = Permissions::from_mode(0o555);
        fs::set_permissions(dead.join("project/closed"), closed).unwrap();
        fs::create_dir(parent.path().join("other")).unwrap();
        std::os::unix::fs::symlink(
            parent.path().join("other"),
            parent.path().join(format!("{PREFIX}link")),
        )
        .unwrap();

        TemporaryFolder::remove_abandoned(parent.path());
        assert!(!dead.exists() && living.path().exists());
        assert!(parent.path().join("other").exists());
        let path = living.path().to_owned();
        living.remove();
        assert!(!path.exists());
    }

    #[test]
    fn closed_folders_are_opened_to_be_removed() {
        let folder = tempfile::tempdir().unwrap();
        let closed = folder.path().join("a/b");
        fs::create_dir_all(&closed).unwrap();
        for path in [closed.clone(), folder.path().join("a")] {
            fs::set_permissions(path, Permissions::from_mode(0o555)).unwrap();
        }
        allow_removal(folder.path()).unwrap();
        let mode = fs::metadata(closed).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, PRIVATE);
    }
}
