//! One bash in a pseudo-terminal.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::{DirBuilderExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::Mutex,
    time::Duration,
};

use nix::{
    sys::{
        signal::{Signal, killpg},
        termios::{InputFlags, LocalFlags, OutputFlags, SetArg, tcgetattr, tcsetattr},
    },
    unistd::{Pid, tcgetpgrp},
};
use pty_process::{OwnedWritePty, Pty, Size};
use tokio::{io::AsyncWriteExt, process::Child, time::timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    capture::Limits,
    environment, processes,
    stream::{Status, Stream},
};

/// Rows and columns of the terminal; wide, for programs that fold their lines to fit.
const SIZE: (u16, u16) = (50, 200);
/// Bash is ready in milliseconds; a machine under load gets this long.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long a program may leave its input unread.
const INPUT_LIMIT: Duration = Duration::from_secs(5);
/// How long a command has to end after an interrupt, before it is killed.
const GRACE: Duration = Duration::from_secs(1);
/// How long a shell has to end after a hangup, before it is killed.
const HANGUP_GRACE: Duration = Duration::from_millis(300);

const SETUP: &str = include_str!("setup.bash");

/// A shell, its terminal and all it runs; dropping it kills them.
#[derive(Debug)]
pub(super) struct Session {
    shell: Child,
    pid: Pid,
    tag: String,
    input: OwnedWritePty,
    /// The terminal once more, to ask and set its modes.
    terminal: OwnedFd,
    stream: Stream,
    scratch: Scratch,
    /// The number of the last command.
    number: u64,
}

/// How long to wait for a command.
#[derive(Clone, Copy, Debug)]
pub(super) enum Patience {
    /// Until nothing new came for so long.
    Quiet(Duration),
    /// So long in all.
    Total(Duration),
}

/// Why waiting for a command ended.
#[derive(Debug)]
pub(super) enum Waited {
    /// The command is done, or the shell is gone.
    For(Status),
    /// It still runs and patience is at its end.
    Enough,
    Cancelled,
}

impl Session {
    /// Starts bash in `working_dir`.
    ///
    /// # Errors
    /// When there is no terminal or no bash to be had, or bash is not ready in time.
    pub(super) async fn start(working_dir: &Path, limits: Limits) -> io::Result<Self> {
        let nonce = Uuid::new_v4().simple().to_string();
        let tag = Uuid::new_v4().simple().to_string();
        let scratch = Scratch::new(&tag)?;
        let (pty, shell) = spawn(working_dir, &tag)?;
        let terminal = pty.as_fd().try_clone_to_owned()?;
        let pid = shell
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .map(Pid::from_raw)
            .ok_or_else(|| io::Error::other("bash ended at once"))?;
        let (output, input) = pty.into_split();
        let mut session = Self {
            shell,
            pid,
            tag,
            input,
            terminal,
            stream: Stream::open(output, &nonce, limits),
            scratch,
            number: 0,
        };
        session.set_up(&nonce).await?;
        Ok(session)
    }

    /// Runs `command`, which may span lines and holds no NUL. A command that still runs is
    /// forgotten.
    ///
    /// # Errors
    /// When the command cannot be handed to the shell.
    pub(super) async fn submit(&mut self, command: &str) -> io::Result<()> {
        // a terminal in canonical mode takes at most 4096 bytes a line, so the text goes by file;
        // the NUL is where bash stops reading it
        self.scratch.write(&format!("{command}\n\0"))?;
        // the last program may have died without putting back what it set
        set_plain_modes(&self.terminal)?;
        self.number += 1;
        self.stream.expect(self.number);
        // the line starts with no reserved word: after a syntax error bash does not see one there
        self.send(&format!(
            "__terminal_begin {} > /dev/tty 2> /dev/null; \\builtin eval \"$__terminal_command\"; \
             {{ __terminal_end; }} 2> /dev/null\n",
            self.number
        ))
        .await
    }

    /// Types `text` into the terminal.
    ///
    /// # Errors
    /// When nobody reads it in time, or the terminal is gone.
    pub(super) async fn send(&mut self, text: &str) -> io::Result<()> {
        timeout(INPUT_LIMIT, self.input.write_all(text.as_bytes()))
            .await
            .map_err(|_| io::Error::other("the program does not read its input"))?
    }

    pub(super) fn status(&self) -> Status {
        self.stream.status()
    }

    /// The command's output since it was last taken.
    pub(super) fn take_output(&self) -> String {
        self.stream.take()
    }

    /// Waits for the command last submitted.
    ///
    /// # Cancel safety
    /// Nothing is lost: what arrives is kept for the next look.
    pub(super) async fn wait(&self, patience: Patience, cancel: &CancellationToken) -> Waited {
        let mut changes = self.stream.changes();
        let (Patience::Quiet(limit) | Patience::Total(limit)) = patience;
        let total = tokio::time::sleep(limit);
        tokio::pin!(total);
        loop {
            if self.stream.has_begun() {
                // the shell has read it, and it may name secrets
                self.scratch.clear();
            }
            match self.stream.status() {
                Status::Busy => {}
                status @ (Status::Done(_) | Status::Closed) => return Waited::For(status),
            }
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Waited::Cancelled,
                Ok(()) = changes.changed() => {
                    if let Patience::Quiet(limit) = patience {
                        total.set(tokio::time::sleep(limit));
                    }
                }
                () = &mut total => return Waited::Enough,
            }
        }
    }

    /// Stops the running command: interrupts it, kills it when that does not help. Whether the
    /// shell is ready for another.
    pub(super) async fn interrupt(&self) -> bool {
        let foreground = tcgetpgrp(&self.terminal).unwrap_or(self.pid);
        let never = CancellationToken::new();
        killpg(foreground, Signal::SIGINT).ok();
        let waited = self.wait(Patience::Total(GRACE), &never).await;
        if foreground != self.pid {
            // members that outlived their leader as well
            killpg(foreground, Signal::SIGKILL).ok();
        }
        match waited {
            Waited::For(Status::Done(_)) => true,
            Waited::For(Status::Closed | Status::Busy) | Waited::Cancelled => false,
            Waited::Enough => matches!(
                self.wait(Patience::Total(GRACE), &never).await,
                Waited::For(Status::Done(_))
            ),
        }
    }

    /// How the shell ended, once its terminal hung up.
    pub(super) async fn exit_status(&mut self) -> Option<ExitStatus> {
        timeout(GRACE, self.shell.wait()).await.ok()?.ok()
    }

    /// Ends the shell and everything it started.
    pub(super) async fn end(mut self) {
        processes::signal_all(self.pid, &self.tag, Signal::SIGHUP);
        // a stopped process takes the hangup only once it goes on
        processes::signal_all(self.pid, &self.tag, Signal::SIGCONT);
        timeout(HANGUP_GRACE, self.shell.wait()).await.ok();
    }

    async fn set_up(&mut self, nonce: &str) -> io::Result<()> {
        let file = self.scratch.command.display().to_string();
        let setup = SETUP
            .replace("__NONCE__", nonce)
            .replace("__FILE__", &file.replace('\'', r"'\''"));
        self.scratch.write(&setup)?;
        let line = format!("\\builtin . '{}'\n", file.replace('\'', r"'\''"));
        self.send(&line).await?;
        match self
            .wait(Patience::Total(START_LIMIT), &CancellationToken::new())
            .await
        {
            Waited::For(Status::Done(_)) => Ok(()),
            Waited::For(Status::Closed | Status::Busy) | Waited::Enough | Waited::Cancelled => {
                Err(io::Error::other("bash did not get ready"))
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.shell.id().is_some() {
            // the shell first, or it starts the next command of its list
            self.shell.start_kill().ok();
            killpg(self.pid, Signal::SIGKILL).ok();
        }
        processes::kill_all(self.pid, &self.tag);
    }
}

/// Starts bash in a terminal of its own.
fn spawn(working_dir: &Path, tag: &str) -> io::Result<(Pty, Child)> {
    /// A terminal is open for a moment before it is marked close-on-exec; a shell forked by
    /// another thread in that moment would keep it, and so keep it from hanging up.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let guard = ONE_AT_A_TIME.lock();
    let (pty, slave) = pty_process::open().map_err(io::Error::other)?;
    pty.resize(Size::new(SIZE.0, SIZE.1))
        .map_err(io::Error::other)?;
    set_plain_modes(&pty)?;
    let shell = pty_process::Command::new("bash")
        .args(["--noprofile", "--norc", "--noediting", "-i"])
        .env_clear()
        .envs(environment::inherited(std::env::vars_os()))
        .env(processes::TAG_VARIABLE, tag)
        .current_dir(working_dir)
        .kill_on_drop(true)
        .spawn(slave)
        .map_err(io::Error::other)?;
    drop(guard);
    Ok((pty, shell))
}

/// No echo, no newline translation, no flow control; line editing by the kernel and signal keys.
fn set_plain_modes(terminal: &impl AsFd) -> io::Result<()> {
    let mut modes = tcgetattr(terminal)?;
    modes
        .local_flags
        .remove(LocalFlags::ECHO | LocalFlags::ECHOE | LocalFlags::ECHOK | LocalFlags::ECHONL);
    modes
        .local_flags
        .insert(LocalFlags::ICANON | LocalFlags::ISIG | LocalFlags::IEXTEN);
    modes.output_flags.remove(OutputFlags::OPOST);
    modes.input_flags.remove(InputFlags::IXON);
    modes
        .input_flags
        .insert(InputFlags::ICRNL | InputFlags::IUTF8);
    Ok(tcsetattr(terminal, SetArg::TCSANOW, &modes)?)
}

/// A private folder by which commands reach the shell; gone with it.
#[derive(Debug)]
struct Scratch {
    folder: PathBuf,
    command: PathBuf,
}

impl Scratch {
    fn new(name: &str) -> io::Result<Self> {
        let folder = std::env::temp_dir().join(format!("agent-terminal-{name}"));
        fs::DirBuilder::new().mode(0o700).create(&folder)?;
        let command = folder.join("command");
        Ok(Self { folder, command })
    }

    fn write(&self, text: &str) -> io::Result<()> {
        // a command may have emptied the folder for temporary files
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)?;
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&self.command)?
            .write_all(text.as_bytes())
    }

    fn clear(&self) {
        fs::remove_file(&self.command).ok();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).ok();
    }
}
