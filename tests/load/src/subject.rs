use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use harness::{Api, Server, Sleeps, Target, find_binary};
use serde_json::Value;
use tempfile::TempDir;

use crate::cli::Options;

/// The server that is measured: our own in a temporary folder, or one that runs already.
pub(crate) struct Subject {
    pub(crate) target: Target,
    /// On the file system that the server of our own stores on.
    folder: TempDir,
    own: Option<Own>,
}

struct Own {
    binary: PathBuf,
    server: Option<Server>,
}

impl Subject {
    pub(crate) fn start(options: &Options) -> Result<Self> {
        let program = std::env::current_exe()?;
        let parent = options.folder.as_deref().or(program.parent());
        let parent = parent.context("no folder to work in; name one with --folder")?;
        let folder = tempfile::Builder::new().prefix("load-").tempdir_in(parent);
        let folder = folder
            .with_context(|| format!("cannot work in {} (see --folder)", parent.display()))?;
        if let Some(url) = &options.url {
            let mut target = Target::parse(url, options.dialect)?;
            target.key.clone_from(&options.key);
            target.model.clone_from(&options.model);
            return Ok(Self {
                target,
                folder,
                own: None,
            });
        }
        let binary = find_binary(options.server.as_deref())?;
        let server = Server::start(&binary, folder.path())?;
        let mut target = server.target(options.dialect);
        target.model.clone_from(&options.model);
        let own = Some(Own {
            binary,
            server: Some(server),
        });
        Ok(Self {
            target,
            folder,
            own,
        })
    }

    pub(crate) fn api(&self) -> Api {
        Api::new(&self.target)
    }

    /// Whether its folders may be changed and the server restarted.
    pub(crate) fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// For files beside those of the server.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn conversations(&self) -> PathBuf {
        self.folder.path().join("workspace/conversations")
    }

    /// Resident memory of a server of our own, in bytes.
    pub(crate) fn resident(&self) -> Result<u64> {
        let server = self.own.as_ref().and_then(|own| own.server.as_ref());
        server.context("not a server of our own")?.resident()
    }

    /// How often the threads of a server of our own went to sleep.
    pub(crate) fn sleeps(&self) -> Result<Sleeps> {
        let server = self.own.as_ref().and_then(|own| own.server.as_ref());
        server.context("not a server of our own")?.sleeps()
    }

    /// The configuration of our own server for its next start.
    pub(crate) fn configure(&self, config: &Value) -> Result<()> {
        let workspace = self.folder.path().join("workspace");
        fs::create_dir_all(&workspace)?;
        let file = workspace.join("openhands_agent_server_config.json");
        fs::write(file, config.to_string())?;
        Ok(())
    }

    /// Stops our own server cleanly.
    pub(crate) fn stop(&mut self) -> Result<()> {
        let own = self.own.as_mut().context("not a server of our own")?;
        own.server.take().map_or(Ok(()), Server::stop)
    }

    /// Starts it again over the same folder: from exec to ready.
    pub(crate) fn start_again(&mut self) -> Result<Duration> {
        let own = self.own.as_mut().context("not a server of our own")?;
        let server = Server::start(&own.binary, self.folder.path())?;
        let started_in = server.started_in;
        let mut target = server.target(self.target.dialect);
        target.model.clone_from(&self.target.model);
        self.target = target;
        own.server = Some(server);
        Ok(started_in)
    }
}
