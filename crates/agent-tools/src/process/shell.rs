use std::{
    fs::File,
    io,
    os::{
        fd::AsFd,
        unix::process::{CommandExt, ExitStatusExt},
    },
    process::{Child, Command, ExitStatus},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{
    Pid, WaitId, WaitIdOptions, getpid, getppid, ioctl_tiocsctty, setsid, waitid,
};
use tokio::signal::unix::{SignalKind, signal};
use uuid::Uuid;

use super::{Family, OwnProcess, Signal, ToolProcesses, family::TAG_VARIABLE, send};

/// A killed shell is gone in moments; one that the kernel holds is waited for elsewhere.
const REAP_LIMIT: Duration = Duration::from_millis(500);

/// A running shell; dropping it kills the shell and all that it started. It is not reaped before that, so
/// that its id stays its own.
pub(crate) struct ShellProcess {
    child: Option<Child>,
    id: i32,
    family: Arc<Family>,
    processes: ToolProcesses,
}

impl ToolProcesses {
    /// Starts a shell as the leader of a session of its own. `prepare` makes the terminal that is to be
    /// its input and outputs, which becomes its controlling terminal.
    ///
    /// # Errors
    /// When there is no terminal or no such program to be had.
    ///
    /// # Cancel safety
    /// What was started ends when the future is dropped.
    pub(crate) async fn start_shell<T: Send + 'static>(
        &self,
        mut command: Command,
        prepare: impl FnOnce(&mut Command) -> io::Result<T> + Send + 'static,
    ) -> io::Result<(T, ShellProcess)> {
        /// A terminal is open for a moment before it is marked close-on-exec; a shell forked by another
        /// thread in that moment would keep it, and so keep it from hanging up.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let processes = self.clone();
        self.0
            .spawner
            .run(move || {
                super::ignored::stop_handing_down_ignored();
                let guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
                let prepared = prepare(&mut command)?;
                let shell = ShellProcess::start(&mut command, processes)?;
                drop(guard);
                Ok((prepared, shell))
            })
            .await
    }
}

impl ShellProcess {
    fn start(command: &mut Command, processes: ToolProcesses) -> io::Result<Self> {
        let tag = processes.owner().tag(&Uuid::new_v4().simple().to_string());
        command.env(TAG_VARIABLE, &tag);
        let group = processes.control_group(&tag);
        lead_session(
            command,
            group.as_ref().and_then(|group| group.entrance().ok()),
        );
        // whoever looks for orphans sees the shell and its entry, or neither
        let mut shells = processes.shells();
        let child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                if let Some(group) = group {
                    group.remove();
                }
                return Err(error);
            }
        };
        let id = i32::try_from(child.id()).map_err(io::Error::other)?;
        let family = Arc::new(Family::new(id, tag, group));
        shells.insert(id, Arc::clone(&family));
        drop(shells);
        Ok(Self {
            child: Some(child),
            id,
            family,
            processes,
        })
    }

    /// Its process id, which its session and its own process group have too.
    pub(crate) fn id(&self) -> i32 {
        self.id
    }

    pub(crate) fn family(&self) -> &Family {
        &self.family
    }

    /// Waits for its end, and says how it ended.
    ///
    /// # Errors
    /// When the system does not say.
    ///
    /// # Cancel safety
    /// May be called again.
    pub(crate) async fn ended(&self) -> io::Result<ExitStatus> {
        // the runtime's own way to wait for a child reaps it as well
        let mut child_ended = signal(SignalKind::child())?;
        loop {
            if let Some(status) = self.status()? {
                return Ok(status);
            }
            child_ended.recv().await;
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.status(), Ok(Some(_)))
    }

    /// How it ended, without reaping it.
    fn status(&self) -> io::Result<Option<ExitStatus>> {
        let Some(pid) = Pid::from_raw(self.id) else {
            return Ok(None);
        };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = waitid(WaitId::Pid(pid), options)?;
        // as wait(2) packs them
        Ok(status.and_then(|status| {
            let exited = status.exit_status().map(|code| (code & 0xff) << 8);
            exited
                .or(status.terminating_signal())
                .map(ExitStatus::from_raw)
        }))
    }
}

impl Drop for ShellProcess {
    fn drop(&mut self) {
        self.family.kill_all();
        let Some(mut child) = self.child.take() else {
            return;
        };
        // where there is no table of processes, this is all
        if let Some(shell) = OwnProcess::unreaped(child.id()) {
            // it runs as this user
            send(&shell, Signal::KILL).ok();
        }
        let begin = Instant::now();
        loop {
            let mut shells = self.processes.shells();
            // an error is as good as an end: somebody else has reaped it
            if !matches!(child.try_wait(), Ok(None)) {
                shells.remove(&self.id);
                break;
            }
            drop(shells);
            if begin.elapsed() > REAP_LIMIT {
                tracing::warn!(shell = self.id, "a shell that was killed does not end");
                let processes = self.processes.clone();
                let id = self.id;
                thread::spawn(move || {
                    child.wait().ok();
                    processes.shells().remove(&id);
                });
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
        self.processes.end_orphans();
    }
}

impl std::fmt::Debug for ShellProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShellProcess")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Has the child, before it becomes the shell, take a session and its terminal, and on Linux enter its
/// control group, adopt what its descendants leave behind, and hang up when this process is gone.
#[expect(unsafe_code, reason = "only the child itself can do this, before exec")]
fn lead_session(command: &mut Command, group: Option<File>) {
    let parent = getpid();
    let prepare = move || {
        setsid()?;
        ioctl_tiocsctty(rustix::stdio::stdin().as_fd())?;
        if cfg!(target_os = "linux") {
            // A hangup, not a kill: bash hands it on to its jobs before it goes.
            set_death_signal()?;
            if getppid() != Some(parent) {
                return Err(rustix::io::Errno::SRCH.into());
            }
        }
        if let Some(group) = &group {
            // without it there are other ways to find what the shell starts
            rustix::io::write(group, b"0").ok();
        }
        Ok(())
    };
    // SAFETY: between fork and exec this makes system calls and nothing else: it takes no lock and no
    // memory. Standard input is open: the command sets it.
    unsafe { command.pre_exec(prepare) };
}

#[cfg(target_os = "linux")]
fn set_death_signal() -> io::Result<()> {
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGHUP)?;
    // where that cannot be, the session and the mark still tell most of what it starts
    nix::sys::prctl::set_child_subreaper(true).ok();
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn set_death_signal() -> io::Result<()> {
    Ok(())
}
