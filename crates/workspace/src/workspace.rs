use std::{
    io,
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::process::Command;

use crate::processes::Processes;

/// The folder that an agent works in. Paths given to its methods are absolute, or relative to the folder.
#[derive(Clone, Debug, Default)]
pub struct Workspace {
    folder: PathBuf,
    processes: Processes,
}

impl Workspace {
    /// The workspace in `folder`, an absolute path. Makes nothing.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>, processes: Processes) -> Self {
        Self {
            folder: folder.into(),
            processes,
        }
    }

    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes the folder, and those above it, where they are missing.
    ///
    /// # Errors
    /// As the file system reports them.
    pub async fn create(&self) -> io::Result<()> {
        tokio::fs::create_dir_all(&self.folder).await
    }

    /// The same processes in another folder.
    pub(crate) fn at(&self, folder: PathBuf) -> Self {
        Self::new(folder, self.processes.clone())
    }

    /// A program to be started in the folder, with the policy's environment and no input. It is killed when
    /// its handle is dropped.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .envs(self.processes.environment())
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    pub(crate) fn processes(&self) -> &Processes {
        &self.processes
    }

    /// The absolute path that `path` stands for.
    pub(crate) fn absolute(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }
}
