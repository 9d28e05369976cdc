use std::{
    ffi::OsString,
    fs, io,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
    time::{Duration, SystemTime},
};

use store_fs::regular_file::{self, Links};
use tokio::{process::Command, time::timeout};
use tracing::{error, info, warn};

use super::{
    child::Served,
    sources::Sources,
    watch::{Change, Watch, Watched},
};
use crate::{
    config::{self, Loaded, MAX_FILE_BYTES},
    flags::Flags,
    signals::Signals,
    start_error::StartError,
};

/// Editors and compilers write in several steps; this much quiet is the end of one.
const QUIET: Duration = Duration::from_millis(250);

/// Runs one server at a time and swaps it when something changed.
pub(super) struct Supervisor {
    flags: Flags,
    /// As this program was started with: its servers need the keys that it has hidden.
    environment: Vec<(OsString, OsString)>,
    listener: TcpListener,
    program: PathBuf,
    config: PathBuf,
    sources: Option<Sources>,
    host_and_port: (String, u16),
    served: Served,
    /// Whether a swap may have paused runs; also when the server after it did not start.
    resume: bool,
    /// What the running server was started from.
    started_from: State,
}

/// Tells one program and configuration from another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct State {
    config: Option<Vec<u8>>,
    program: Option<(SystemTime, u64)>,
}

impl Supervisor {
    pub(super) fn new(
        flags: &Flags,
        environment: Vec<(OsString, OsString)>,
        loaded: &Loaded,
        listener: TcpListener,
    ) -> Result<Self, StartError> {
        let program = std::env::current_exe()?.canonicalize()?;
        let start = match std::env::var_os("CARGO_MANIFEST_DIR") {
            Some(folder) => PathBuf::from(folder),
            None => std::env::current_dir()?,
        };
        Ok(Self {
            flags: flags.clone(),
            environment,
            listener,
            config: watchable(&loaded.file)?,
            sources: Sources::find(&start, &program),
            program,
            host_and_port: host_and_port(loaded),
            served: Served::default(),
            resume: false,
            started_from: State::default(),
        })
    }

    /// Supervises until a signal, then stops the server too.
    pub(super) async fn run(mut self) -> Result<ExitCode, StartError> {
        let mut signals = Signals::listen()?;
        let mut watch = self.watch().map_err(io::Error::other)?;
        self.start();
        loop {
            tokio::select! {
                signal = signals.next() => {
                    info!("{signal}: stopping the server and its supervisor");
                    break;
                }
                ended = self.served.ended() => report_end(ended),
                change = watch.next() => {
                    let Some(change) = change else { break };
                    tokio::select! {
                        () = self.apply_change(change, &mut watch) => {}
                        signal = signals.next() => {
                            info!("{signal}: stopping the server and its supervisor");
                            break;
                        }
                    }
                }
            }
        }
        tokio::select! {
            () = self.served.stop() => Ok(ExitCode::SUCCESS),
            () = signals.interrupted() => Ok(ExitCode::FAILURE),
        }
    }

    fn watch(&self) -> notify::Result<Watch> {
        info!(
            "watching {} and {}",
            self.config.display(),
            self.program.display()
        );
        if let Some(sources) = &self.sources {
            info!("watching the sources in {}", sources.root().display());
        }
        Watch::start(Watched {
            config: self.config.clone(),
            program: self.program.clone(),
            sources: self.sources.clone(),
        })
    }

    /// Waits for quiet, then builds and swaps if that makes a difference.
    async fn apply_change(&mut self, first: Change, watch: &mut Watch) {
        let mut changes = vec![first];
        while let Ok(Some(change)) = timeout(QUIET, watch.next()).await {
            changes.push(change);
        }
        if changes.contains(&Change::Sources) && !self.build().await {
            return;
        }
        if self.served.is_running() && self.state() == self.started_from {
            return;
        }
        if self.config_is_good().await {
            self.swap().await;
        }
    }

    async fn build(&self) -> bool {
        let Some(sources) = &self.sources else {
            return true;
        };
        info!("sources changed: building");
        match sources.build().await {
            Ok(status) if status.success() => true,
            Ok(_) => {
                error!("the build failed; the old server stays");
                false
            }
            Err(error) => {
                error!("cargo cannot be run ({error}); the old server stays");
                false
            }
        }
    }

    /// Lets the program that is about to run judge the configuration.
    async fn config_is_good(&mut self) -> bool {
        let check = Command::new(&self.program)
            .args(["config", "--check"])
            .args(self.flags.to_arguments())
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        match check.await {
            Ok(output) if output.status.success() => self.can_be_swapped_to(),
            Ok(output) => {
                let reason = String::from_utf8_lossy(&output.stderr);
                error!("the old server stays; {}", reason.trim());
                false
            }
            Err(error) => {
                error!("{}: {error}; the old server stays", self.program.display());
                false
            }
        }
    }

    /// What the check of a configuration does not know: that a supervisor will use it.
    fn can_be_swapped_to(&self) -> bool {
        let loaded = config::load(&self.flags.overrides, &crate::texts(&self.environment));
        let Ok(loaded) = loaded else { return true };
        if loaded.settings.ephemeral {
            error!(
                "the old server stays; error: {}",
                StartError::EphemeralReload
            );
            return false;
        }
        if host_and_port(&loaded) != self.host_and_port {
            warn!("a new host or port counts after a restart by hand; the socket stays as it is");
        }
        true
    }

    async fn swap(&mut self) {
        self.resume |= self.served.is_running();
        info!("swapping the server");
        self.served.stop().await;
        self.start();
    }

    /// Runs that a swap paused continue.
    fn start(&mut self) {
        self.started_from = self.state();
        let mut arguments = vec!["serve".to_owned(), "--supervised".to_owned()];
        arguments.extend(self.flags.to_arguments());
        if self.resume {
            arguments.push("--resume".to_owned());
        }
        let started =
            self.served
                .start(&self.program, &arguments, &self.environment, &self.listener);
        if let Err(error) = started {
            error!("{}: {error}; waiting for a change", self.program.display());
        }
    }

    fn state(&self) -> State {
        let stat = fs::metadata(&self.program).ok();
        State {
            config: regular_file::read(&self.config, Links::Follow, MAX_FILE_BYTES).ok(),
            program: stat.and_then(|stat| Some((stat.modified().ok()?, stat.len()))),
        }
    }
}

fn host_and_port(loaded: &Loaded) -> (String, u16) {
    (loaded.settings.host.clone(), loaded.settings.port)
}

fn report_end(ended: io::Result<std::process::ExitStatus>) {
    match ended {
        Ok(status) => error!("the server ended ({status}); waiting for a change"),
        Err(error) => error!("the server is lost ({error}); waiting for a change"),
    }
}

/// The path as events will name it. Its folder is created, because only what exists can be watched.
fn watchable(file: &Path) -> Result<PathBuf, StartError> {
    let file = std::path::absolute(file)?;
    let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else {
        return Ok(file);
    };
    fs::create_dir_all(folder).map_err(|source| StartError::not_writable(folder, source))?;
    Ok(folder.canonicalize()?.join(name))
}
