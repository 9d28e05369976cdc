use std::{
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;

use crate::{config::ConfigError, secret_key::SecretKeyError};

/// Why the server did not start, in words that say what to do about it.
#[derive(Debug, Error)]
pub enum StartError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("log settings: {0}")]
    Log(String),
    #[error("cannot listen on {address}: the port is in use; choose another one with --port")]
    PortInUse { address: String },
    #[error(
        "cannot listen on {address}: user {user} may not use this port; choose one above 1023 with \
         --port"
    )]
    PortNotAllowed { address: String, user: String },
    #[error("cannot listen on {address}: {source}; check --host and --port")]
    Listen { address: String, source: io::Error },
    #[error("no write permission: user {user} cannot write to {folder}: {source}", folder = .folder.display())]
    NotWritable {
        folder: PathBuf,
        user: String,
        source: io::Error,
    },
    #[error("{file} is a file, and a folder is needed in its place", file = .file.display())]
    NotAFolder { file: PathBuf },
    #[error(
        "the temporary folder of an ephemeral server cannot be made in {parent}: {source}; TMPDIR chooses \
         another place",
        parent = .parent.display()
    )]
    NoTemporaryFolder { parent: PathBuf, source: io::Error },
    #[error(
        "an ephemeral server loses its conversations with each swap: leave out `--reload`, or `--ephemeral` \
         (`ephemeral` in the configuration)"
    )]
    EphemeralReload,
    #[error(transparent)]
    Store(#[from] store_fs::OpenError),
    #[error(transparent)]
    SecretKey(#[from] SecretKeyError),
    #[error("the agent runtime did not start: {0}")]
    Runtime(#[from] agent_runtime::RuntimeError),
    #[error("webhooks: {0}")]
    Webhooks(#[from] webhooks::StartError),
    #[error("the API cannot be set up: {0}")]
    Api(String),
    #[error("the system refused what every program needs: {0}")]
    System(#[from] io::Error),
}

impl StartError {
    pub(crate) fn not_writable(folder: &Path, source: io::Error) -> Self {
        let is_file = |path: &&Path| path.metadata().is_ok_and(|found| !found.is_dir());
        if let Some(file) = folder.ancestors().find(is_file) {
            return Self::NotAFolder {
                file: file.to_owned(),
            };
        }
        Self::NotWritable {
            folder: folder.to_owned(),
            user: user_name(),
            source,
        }
    }
}

/// The user this process runs as, by name if there is one.
#[must_use]
pub fn user_name() -> String {
    workspace::user_name().unwrap_or_else(|| nix::unistd::geteuid().to_string())
}
