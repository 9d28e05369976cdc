use std::{
    fs::File,
    io,
    os::{
        fd::AsFd,
        unix::process::{CommandExt, ExitStatusExt},
    },
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{
    Pid, WaitId, WaitIdOptions, getpid, getppid, ioctl_tiocsctty, setsid, waitid,
};
use tokio::signal::unix::{SignalKind, signal};
use uuid::Uuid;

use super::{
    ignored_signals,
    registry::Processes,
    signal::{OwnProcess, Signal, send},
    tree::{ProcessTree, TAG_VARIABLE},
};

/// A killed process is gone in moments; one that the kernel holds is waited for on another thread.
const REAP_LIMIT: Duration = Duration::from_millis(500);

/// A running program that leads a session; dropping it kills the program and all that it started. It is
/// not reaped before that, so that its id stays its own.
pub(crate) struct SessionProcess {
    child: Option<Child>,
    id: i32,
    tree: Arc<ProcessTree>,
    processes: Processes,
}

impl Processes {
    /// Starts a program as the leader of a session of its own. `prepare` makes the terminal for its input
    /// and outputs, which becomes its controlling terminal.
    ///
    /// # Errors
    /// When no terminal can be made, or the program cannot be started.
    ///
    /// # Cancel safety
    /// What was started ends when the future is dropped.
    pub(crate) async fn start_session<T: Send + 'static>(
        &self,
        mut command: Command,
        prepare: impl FnOnce(&mut Command) -> io::Result<T> + Send + 'static,
    ) -> io::Result<(T, SessionProcess)> {
        /// A terminal is open for a moment before it is marked close-on-exec; a program forked by another
        /// thread in that moment would keep it open, so that it never hangs up.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let processes = self.clone();
        self.spawner()
            .run(move || {
                ignored_signals::stop_passing_on();
                let guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
                let prepared = prepare(&mut command)?;
                let session = SessionProcess::start(&mut command, processes, Terminal::Input)?;
                drop(guard);
                Ok((prepared, session))
            })
            .await
    }

    /// Starts a program as the leader of a session that has no terminal.
    ///
    /// # Errors
    /// When the program cannot be started.
    ///
    /// # Cancel safety
    /// What was started ends when the future is dropped.
    pub(crate) async fn start_without_terminal(
        &self,
        mut command: Command,
    ) -> io::Result<SessionProcess> {
        let processes = self.clone();
        self.spawner()
            .run(move || {
                ignored_signals::stop_passing_on();
                SessionProcess::start(&mut command, processes, Terminal::None)
            })
            .await
    }
}

/// What a session's controlling terminal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Terminal {
    /// The program's input.
    Input,
    None,
}

impl SessionProcess {
    fn start(command: &mut Command, processes: Processes, terminal: Terminal) -> io::Result<Self> {
        let tag = processes.owner().tag(&Uuid::new_v4().simple().to_string());
        command.env(TAG_VARIABLE, &tag);
        let group = processes.control_group(&tag);
        lead_session(
            command,
            terminal,
            group.as_ref().and_then(|group| group.procs_file().ok()),
        );
        // a search for orphans sees the process and its entry, or neither
        let mut sessions = processes.sessions();
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
        let tree = Arc::new(ProcessTree::new(id, tag, group));
        sessions.insert(id, Arc::clone(&tree));
        drop(sessions);
        Ok(Self {
            child: Some(child),
            id,
            tree,
            processes,
        })
    }

    /// Its process id, which its session and its own process group have too.
    pub(crate) fn id(&self) -> i32 {
        self.id
    }

    /// The other ends of its pipes, once.
    pub(crate) fn take_pipes(
        &mut self,
    ) -> (Option<ChildStdin>, Option<ChildStdout>, Option<ChildStderr>) {
        let Some(child) = &mut self.child else {
            return (None, None, None);
        };
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    }

    pub(crate) fn tree(&self) -> &ProcessTree {
        &self.tree
    }

    /// Waits for its end, and returns how it ended.
    ///
    /// # Errors
    /// When the system does not say.
    ///
    /// # Cancel safety
    /// May be called again.
    pub(crate) async fn ended(&self) -> io::Result<ExitStatus> {
        // the runtime's own way to wait for a child would also reap it
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

impl Drop for SessionProcess {
    fn drop(&mut self) {
        self.tree.kill_all();
        let Some(mut child) = self.child.take() else {
            return;
        };
        // where there is no table of processes, nothing else kills it
        if let Some(leader) = OwnProcess::unreaped(child.id()) {
            // it runs as this user
            send(&leader, Signal::KILL).ok();
        }
        let begin = Instant::now();
        loop {
            let mut sessions = self.processes.sessions();
            // an error means that something else has reaped it
            if !matches!(child.try_wait(), Ok(None)) {
                sessions.remove(&self.id);
                break;
            }
            drop(sessions);
            if begin.elapsed() > REAP_LIMIT {
                tracing::warn!(shell = self.id, "a shell that was killed does not end");
                let processes = self.processes.clone();
                let id = self.id;
                thread::spawn(move || {
                    child.wait().ok();
                    processes.sessions().remove(&id);
                });
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
        self.processes.end_orphans();
    }
}

impl std::fmt::Debug for SessionProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionProcess")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Has the child, before it becomes the program, take a session and its terminal, if any, and on Linux enter its
/// control group, adopt what its descendants leave behind, and get a hangup when this process is gone.
#[expect(unsafe_code, reason = "only the child itself can do this, before exec")]
fn lead_session(command: &mut Command, terminal: Terminal, group: Option<File>) {
    let parent = getpid();
    let prepare = move || {
        setsid()?;
        if terminal == Terminal::Input {
            ioctl_tiocsctty(rustix::stdio::stdin().as_fd())?;
        }
        if cfg!(target_os = "linux") {
            // A hangup, not a kill: bash passes it on to its jobs before it ends.
            set_death_signal()?;
            if getppid() != Some(parent) {
                return Err(rustix::io::Errno::SRCH.into());
            }
        }
        if let Some(group) = &group {
            // without a group there are other ways to find what the program starts
            rustix::io::write(group, b"0").ok();
        }
        Ok(())
    };
    // SAFETY: between fork and exec this makes system calls and nothing else: it takes no lock and
    // allocates nothing. Standard input is open: the command sets it.
    unsafe { command.pre_exec(prepare) };
}

#[cfg(target_os = "linux")]
fn set_death_signal() -> io::Result<()> {
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGHUP)?;
    // where that is refused, the session and the tag still show most of what it starts
    nix::sys::prctl::set_child_subreaper(true).ok();
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn set_death_signal() -> io::Result<()> {
    Ok(())
}
