//! Making the workspace a git repository.

mod place;
#[cfg(test)]
mod tests;

use std::{fs, path::Path, time::Duration};

use self::place::is_repository;
use crate::workspace::Workspace;

/// Longer than any healthy `git init`.
const GIT_INIT_TIMEOUT: Duration = Duration::from_secs(10);
/// One attempt may meet another server's, or what a killed one left.
const GIT_INIT_ATTEMPTS: u32 = 10;
const GIT_INIT_RETRY_DELAY: Duration = Duration::from_millis(100);
/// With one of these, git makes the repository elsewhere. Git's own hooks have them, and users set them.
const OTHER_PLACES: [&str; 5] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_INDEX_FILE",
];

impl Workspace {
    /// Makes the folder a git repository, so that what an agent changes can be seen, unless it lies in one
    /// already or in a place where no repository belongs. Without git there is no repository; failures
    /// are logged.
    pub async fn ensure_repository(&self) {
        let folder = self.folder().to_owned();
        let shown = folder.display().to_string();
        let looked = tokio::task::spawn_blocking(move || place::repository_place(&folder)).await;
        match looked.unwrap_or(Err("it cannot be looked at")) {
            Ok(folder) => self.at(folder).init_repository().await,
            Err(reason) => tracing::debug!(reason, folder = shown, "no repository is made"),
        }
    }

    async fn init_repository(&self) {
        let folder = self.folder();
        // Of conversations that start in one folder at once, the first makes it and the others find it.
        let _guard = self.processes().folder_locks().of(folder).lock().await;
        if folder.ancestors().any(is_repository) {
            return;
        }
        for attempt in 1.. {
            let Err(reason) = self.git_init().await else {
                return;
            };
            // Another server, or the user, made it at the same time.
            if is_repository(folder) {
                return;
            }
            if attempt == GIT_INIT_ATTEMPTS {
                tracing::warn!(%reason, "git init failed in the workspace");
                return;
            }
            remove_old_locks(folder);
            tokio::time::sleep(GIT_INIT_RETRY_DELAY).await;
        }
    }

    async fn git_init(&self) -> Result<(), String> {
        let mut git = self.command("git");
        git.args(["init", "--quiet"]);
        for variable in OTHER_PLACES {
            git.env_remove(variable);
        }
        match tokio::time::timeout(GIT_INIT_TIMEOUT, git.output()).await {
            Ok(Ok(output)) if output.status.success() => Ok(()),
            Ok(Ok(output)) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Ok(Err(error)) => {
                tracing::debug!(%error, "git is not available");
                Ok(())
            }
            Err(_elapsed) => Err("it took too long".to_owned()),
        }
    }
}

/// A killed `git init` leaves its lock files, which stop every later one. Those of a running one are
/// younger.
fn remove_old_locks(folder: &Path) {
    for name in ["config.lock", "HEAD.lock"] {
        let lock = folder.join(".git").join(name);
        let age = lock
            .metadata()
            .and_then(|lock| lock.modified())
            .ok()
            .and_then(|modified| modified.elapsed().ok());
        if age.is_some_and(|age| age > GIT_INIT_TIMEOUT) {
            // If it cannot be removed, the next attempt says so.
            fs::remove_file(lock).ok();
        }
    }
}
