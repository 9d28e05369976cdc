//! The server under attack: a separate process, with its own folder.

use std::{
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use harness::{Api, Connection, Dialect, Server, Target};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The key that clients send, except those that attack without one.
pub(crate) const KEY: &str = "the-key-of-this-attack";
/// Longer than anything here takes; only a hang gets there.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Starts servers from one program, in one folder.
pub(crate) struct Launcher {
    pub(crate) binary: PathBuf,
    pub(crate) parent: PathBuf,
}

/// One server over one folder.
pub(crate) struct AttackedServer {
    pub(crate) server: Server,
    pub(crate) folder: TempDir,
}

impl Launcher {
    /// A server over a fresh folder. `limits` are shell commands that go before it, `ulimit -v 1048576`
    /// for one.
    pub(crate) fn start(&self, limits: &str) -> Result<AttackedServer> {
        self.start_in(self.folder()?, limits)
    }

    /// A server over what another left.
    pub(crate) fn start_in(&self, folder: TempDir, limits: &str) -> Result<AttackedServer> {
        let mut server = Server::spawn_by(self.command(limits), folder.path())?;
        server.wait_until_ready()?;
        Ok(AttackedServer { server, folder })
    }

    pub(crate) fn folder(&self) -> Result<TempDir> {
        let folder = tempfile::Builder::new()
            .prefix("attack-")
            .tempdir_in(&self.parent);
        folder.with_context(|| format!("cannot work in {}", self.parent.display()))
    }

    /// In a process group of its own: a server that signals its own group must not end this program.
    fn command(&self, limits: &str) -> Command {
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!(
                "{limits}\nSESSION_API_KEY={KEY} exec \"$0\" \"$@\""
            ))
            .arg(&self.binary)
            .process_group(0);
        command
    }
}

impl AttackedServer {
    pub(crate) fn target(&self) -> Target {
        Target {
            key: Some(KEY.to_owned()),
            ..self.server.target(Dialect::Readme)
        }
    }

    pub(crate) fn api(&self) -> Api {
        Api::new(&self.target())
    }

    /// Fails unless the server runs and does its work.
    pub(crate) fn check_works(&mut self) -> Result<()> {
        if let Some(status) = self.server.ended()? {
            let log = fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default();
            let from = log.len().saturating_sub(2_000);
            bail!(
                "the server has ended ({status}); its last lines:\n{}",
                log.get(from..).unwrap_or(&log)
            );
        }
        let mut api = self.api();
        let id = run(&mut api, "$ echo still here")?;
        wait_until_idle(&mut api, &id)?;
        let events = api.page(&id, "kind=ObservationEvent")?;
        if !events.to_string().contains("still here") {
            bail!("the server answers, but its agent does nothing: {events}");
        }
        Ok(())
    }

    /// Fails if a process is left that works below the server's folder.
    pub(crate) fn check_no_process_left(self) -> Result<()> {
        let folder = self.folder.path().canonicalize()?;
        self.server.stop()?;
        let begin = Instant::now();
        loop {
            let left = processes_in(&folder)?;
            if left.is_empty() {
                return Ok(());
            }
            if begin.elapsed() > TIMEOUT {
                bail!("processes are left: {left:?}");
            }
            sleep(POLL_INTERVAL);
        }
    }
}

/// Starts a conversation that runs `message`: its id.
pub(crate) fn run(api: &mut Api, message: &str) -> Result<String> {
    let body = json!({"initial_message": message}).to_string();
    let info = api.json("POST", "/conversations", body.as_bytes())?;
    let id = info["id"].as_str().context("a conversation without id")?;
    Ok(id.to_owned())
}

pub(crate) fn info(api: &mut Api, id: &str) -> Result<Value> {
    api.json("GET", &format!("/conversations/{id}"), b"")
}

pub(crate) fn wait_until_idle(api: &mut Api, id: &str) -> Result<String> {
    let begin = Instant::now();
    loop {
        let info = info(api, id)?;
        let status = info["execution_status"].as_str().unwrap_or_default();
        if status != "running" {
            return Ok(status.to_owned());
        }
        if begin.elapsed() > TIMEOUT {
            bail!("{id} still runs after {} s", TIMEOUT.as_secs());
        }
        sleep(POLL_INTERVAL);
    }
}

/// Sends a request on a connection of its own: its status.
pub(crate) fn status(target: &Target, method: &str, path: &str, body: &str) -> Result<u16> {
    let answer = Connection::new(target).request(method, path, body.as_bytes());
    Ok(answer.with_context(|| format!("{method} {path}"))?.status)
}

fn processes_in(folder: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for process in fs::read_dir("/proc")? {
        let path = process?.path();
        // others' processes and those that have ended show nothing
        let Ok(at) = fs::read_link(path.join("cwd")) else {
            continue;
        };
        if at.starts_with(folder) {
            let command = fs::read(path.join("cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            found.push(format!("{}: {command}", path.display()));
        }
    }
    Ok(found)
}
