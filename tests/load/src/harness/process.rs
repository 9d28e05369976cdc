use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, OpenOptions},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{Connection, Dialect, Target};

const READY_TIMEOUT: Duration = Duration::from_secs(120);
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
const RETRY_INTERVAL: Duration = Duration::from_micros(200);

/// For each thread, how often it went to sleep.
pub type Sleeps = BTreeMap<OsString, u64>;

/// The real server as a process of its own, on a free loopback port. It is killed when dropped.
pub struct Server {
    child: Child,
    begin: Instant,
    log: PathBuf,
    pub port: u16,
    /// From exec to the first 200 on `/ready`.
    pub started_in: Duration,
}

impl Server {
    /// Starts `binary` as [`Self::spawn`] does, and waits until it is ready.
    ///
    /// # Errors
    /// When it cannot be started, ends, or is not ready within two minutes.
    pub fn start(binary: &Path, folder: &Path) -> Result<Self> {
        let mut server = Self::spawn(binary, folder)?;
        server.wait_until_ready()?;
        Ok(server)
    }

    /// Starts `binary` in `folder`, which holds all it stores, without those of the caller's variables
    /// that would configure it. Its output goes to `server.log` there.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(binary: &Path, folder: &Path) -> Result<Self> {
        Self::spawn_by(Command::new(binary), folder)
    }

    /// The same with a command that becomes the server (`exec`), under limits for one.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn_by(mut command: Command, folder: &Path) -> Result<Self> {
        let port = free_port()?;
        let log = folder.join("server.log");
        let output = OpenOptions::new().create(true).append(true).open(&log)?;
        for (name, _) in std::env::vars_os() {
            if configures(&name.to_string_lossy()) {
                command.env_remove(name);
            }
        }
        command
            .args(["--host", "127.0.0.1", "--port", &port.to_string()])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let begin = Instant::now();
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        Ok(Self {
            child,
            begin,
            log,
            port,
            started_in: Duration::ZERO,
        })
    }

    /// # Errors
    /// When it ends, or is not ready two minutes after its start.
    pub fn wait_until_ready(&mut self) -> Result<()> {
        let target = self.target(Dialect::default());
        loop {
            let answer = Connection::new(&target).request("GET", "/ready", b"");
            if answer.is_ok_and(|answer| answer.status == 200) {
                self.started_in = self.begin.elapsed();
                return Ok(());
            }
            let log = self.log.display();
            if let Some(status) = self.child.try_wait()? {
                let text = fs::read_to_string(&self.log).unwrap_or_default();
                let last = text.lines().next_back().unwrap_or_default();
                bail!("the server ended before it was ready ({status}): {last} (output in {log})");
            }
            if self.begin.elapsed() > READY_TIMEOUT {
                let timeout = READY_TIMEOUT.as_secs();
                bail!("the server is not ready after {timeout} s; its output is in {log}");
            }
            sleep(RETRY_INTERVAL);
        }
    }

    #[must_use]
    pub fn target(&self, dialect: Dialect) -> Target {
        Target::local(self.port, dialect)
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Resident memory in bytes.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn resident(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.pid());
        let status = fs::read_to_string(&path).with_context(|| path.clone())?;
        let kilobytes = status.lines().find_map(|line| {
            let value = line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?;
            value.parse::<u64>().ok()
        });
        Ok(kilobytes.with_context(|| format!("no VmRSS in {path}"))? * 1024)
    }

    /// How often each of its threads has gone to sleep by itself since it began.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn sleeps(&self) -> Result<Sleeps> {
        let mut sleeps = Sleeps::new();
        for thread in fs::read_dir(format!("/proc/{}/task", self.pid()))? {
            let thread = thread?;
            // It may have ended since.
            let Ok(status) = fs::read_to_string(thread.path().join("status")) else {
                continue;
            };
            let mut lines = status.lines();
            let count = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            let count = count.context("no voluntary_ctxt_switches")?;
            sleeps.insert(thread.file_name(), count.trim().parse()?);
        }
        Ok(sleeps)
    }

    /// Stops it cleanly (SIGTERM), and waits.
    ///
    /// # Errors
    /// When it does not end within 20 s; then it is killed.
    pub fn stop(mut self) -> Result<()> {
        self.signal(Signal::SIGTERM)?;
        let begin = Instant::now();
        while self.child.try_wait()?.is_none() {
            if begin.elapsed() > STOP_TIMEOUT {
                bail!("the server ({}) does not stop; killed", self.pid());
            }
            sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Ends it at once (SIGKILL).
    ///
    /// # Errors
    /// When it has ended by itself.
    pub fn kill(mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the server had ended by itself: {status}");
        }
        self.signal(Signal::SIGKILL)?;
        self.child.wait()?;
        Ok(())
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a child that was not waited for: its id is its own"
    )]
    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(self.pid().try_into()?);
        Ok(kill(pid, signal)?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The server's program: `named`, or the one beside this program.
///
/// # Errors
/// When it is not there; says how to build it.
pub fn find_binary(named: Option<&Path>) -> Result<PathBuf> {
    let beside = std::env::current_exe()?.with_file_name("agent-server");
    let binary = named.map_or(beside, Path::to_owned);
    let found = binary.canonicalize();
    found.with_context(|| {
        format!(
            "{} is not there: build it (cargo build -p agent-server, with --release if this program \
             was), or name it with --server",
            binary.display()
        )
    })
}

fn configures(variable: &str) -> bool {
    ["OH_", "LLM_", "SESSION_API_KEY", "OPENHANDS_", "RUST_LOG"]
        .iter()
        .any(|prefix| variable.starts_with(prefix))
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}
