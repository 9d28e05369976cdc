//! One bash in a pseudo-terminal.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{
            ffi::OsStrExt,
            fs::{DirBuilderExt, OpenOptionsExt},
        },
    },
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::Once,
    time::Duration,
};

use nix::{
    libc,
    sys::termios::{InputFlags, LocalFlags, OutputFlags, SetArg, tcgetattr, tcsetattr},
    unistd::tcgetpgrp,
};
use pty_process::{OwnedWritePty, Pty, Size};
use tokio::{io::AsyncWriteExt, time::timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    capture::Limits,
    ended,
    keys::{Input, Modes},
    stream::{Status, Stream},
};
use crate::{
    EndedProcess,
    process::{ShellProcess, Signal, ToolProcesses},
};

/// Rows and columns of the terminal; wide, for programs that fold their lines to fit.
const SIZE: (u16, u16) = (50, 200);
/// Bash is ready in milliseconds; a machine under load gets this long.
const START_LIMIT: Duration = Duration::from_secs(30);
/// The kernel drops what goes beyond, in bytes (`N_TTY_BUF_SIZE` of Linux, less the line's end).
const LONGEST_LINE: usize = 4095;
/// The line that starts a command has room for such a path, quoted, in bytes.
const LONGEST_FOLDER: usize = 900;
/// How long a program may leave its input unread.
const INPUT_LIMIT: Duration = Duration::from_secs(5);
/// How long a command has to end after an interrupt, before it is killed.
const GRACE: Duration = Duration::from_secs(1);
/// How long the output of a shell that has ended is waited for, where its terminal stays open.
const LAST_OUTPUT: Duration = Duration::from_millis(100);
/// How long a shell has to end after a hangup, before it is killed.
const HANGUP_GRACE: Duration = Duration::from_millis(300);

const SCRATCH_PREFIX: &str = "agent-terminal-";
/// Programs write plain text and wait for no reader of pages.
const PLAIN: [(&str, &str); 5] = [
    ("TERM", "dumb"),
    ("PAGER", "cat"),
    ("GIT_PAGER", "cat"),
    ("MANPAGER", "cat"),
    ("SYSTEMD_PAGER", "cat"),
];
/// Once a process is enough.
static SWEPT: Once = Once::new();

const SETUP: &str = include_str!("setup.bash");

/// A shell, its terminal and all it runs; dropping it kills them.
#[derive(Debug)]
pub(super) struct Session {
    shell: ShellProcess,
    input: OwnedWritePty,
    /// The terminal once more, to ask and set its modes.
    terminal: OwnedFd,
    /// Its modes at the start.
    modes: libc::termios,
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
    pub(super) async fn start(
        processes: &ToolProcesses,
        working_dir: &Path,
        limits: Limits,
    ) -> io::Result<Self> {
        let nonce = Uuid::new_v4().simple().to_string();
        let temp = std::env::temp_dir();
        SWEPT.call_once(|| Scratch::sweep(&temp));
        let scratch = Scratch::new(&temp, &Uuid::new_v4().simple().to_string())?;
        let (pty, shell) = spawn(processes, working_dir).await?;
        let modes = tcgetattr(&pty)?.into();
        let terminal = pty.as_fd().try_clone_to_owned()?;
        let (output, input) = pty.into_split();
        let mut session = Self {
            shell,
            input,
            terminal,
            modes,
            stream: Stream::open(output, &nonce, limits),
            scratch,
            number: 0,
        };
        session.set_up(&nonce).await?;
        Ok(session)
    }

    /// Runs `command`, which may span lines and holds no NUL, in `folder` if one is given. A command
    /// that still runs is forgotten.
    ///
    /// # Errors
    /// When the command cannot be handed to the shell.
    pub(super) async fn submit(&mut self, command: &str, folder: Option<&Path>) -> io::Result<()> {
        // a terminal in canonical mode takes at most 4096 bytes a line, so the text goes by file;
        // the NUL is where bash stops reading it
        self.scratch.write(&format!("{command}\n\0"))?;
        // the last program may have died without putting back what it set
        tcsetattr(&self.terminal, SetArg::TCSANOW, &self.modes.into())?;
        self.number += 1;
        self.stream.expect(self.number);
        let folder = folder
            .filter(|folder| Self::can_go_to(folder))
            .and_then(Path::to_str)
            .map(quoted)
            .unwrap_or_default();
        // the line starts with no reserved word: after a syntax error bash does not see one there
        self.send(&format!(
            "__terminal_begin {} {folder} > /dev/null 2>&1; \\builtin eval \"$__terminal_command\"; \
             {{ __terminal_end; }} > /dev/null 2>&1\n",
            self.number
        ))
        .await
    }

    /// Types keys or a text into the running program. Whether the program sees it only once Enter is
    /// struck.
    ///
    /// # Errors
    /// As for [`Self::send`].
    pub(super) async fn type_in(&mut self, input: &Input) -> io::Result<bool> {
        let modes = Modes {
            by_line: self.reads_by_line()?,
            application_cursor: self.stream.application_cursor(),
        };
        self.send(&input.bytes(modes)).await?;
        Ok(modes.by_line && input.waits_for_enter())
    }

    fn reads_by_line(&self) -> io::Result<bool> {
        let modes = tcgetattr(&self.terminal)?;
        Ok(modes.local_flags.contains(LocalFlags::ICANON))
    }

    /// Types `text` into the terminal.
    ///
    /// # Errors
    /// When nobody reads it in time, a line of it is longer than the terminal takes, or the terminal
    /// is gone.
    pub(super) async fn send(&mut self, text: &str) -> io::Result<()> {
        if self.reads_by_line()? && text.lines().any(|line| line.len() > LONGEST_LINE) {
            return Err(io::Error::other(format!(
                "a line of input has at most {LONGEST_LINE} bytes; give the program a file instead"
            )));
        }
        timeout(INPUT_LIMIT, self.input.write_all(text.as_bytes()))
            .await
            .map_err(|_| io::Error::other("the program does not read its input"))?
    }

    /// The terminal need not hang up when the shell ends: daemons may hold it.
    pub(super) fn status(&self) -> Status {
        match self.stream.status() {
            Status::Busy if self.shell.has_ended() => Status::Closed,
            status @ (Status::Busy | Status::Done(_) | Status::Closed) => status,
        }
    }

    /// Whether the shell takes no more commands.
    pub(super) fn is_closed(&self) -> bool {
        self.stream.status() == Status::Closed || self.shell.has_ended()
    }

    /// The path that the shell's working directory had, if it was removed. Not known where there is no
    /// `/proc`.
    pub(super) fn lost_folder(&self) -> Option<PathBuf> {
        let link = fs::read_link(format!("/proc/{}/cwd", self.shell.id())).ok()?;
        let path = link.as_os_str().as_bytes().strip_suffix(b" (deleted)")?;
        // a living folder may have such a name
        (!link.exists()).then(|| PathBuf::from(OsStr::from_bytes(path)))
    }

    /// Whether [`Self::submit`] can start a command there.
    pub(super) fn can_go_to(folder: &Path) -> bool {
        folder.to_str().is_some_and(|folder| {
            folder.len() <= LONGEST_FOLDER && !folder.contains(char::is_control)
        })
    }

    /// What background jobs wrote before the command that began last.
    pub(super) fn take_before(&self) -> String {
        self.stream.take_before()
    }

    /// What background jobs wrote since the last command, while none runs.
    pub(super) fn take_between(&self) -> String {
        self.stream.take_between()
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
        let ended = self.shell.ended();
        tokio::pin!(total, ended);
        let mut has_ended = false;
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
                _ = &mut ended, if !has_ended => {
                    has_ended = true;
                    total.set(tokio::time::sleep(LAST_OUTPUT));
                }
                Ok(()) = changes.changed() => {
                    // what daemons write after the shell's end prolongs nothing
                    if let (Patience::Quiet(limit), false) = (patience, has_ended) {
                        total.set(tokio::time::sleep(limit));
                    }
                }
                () = &mut total => {
                    return if has_ended { Waited::For(self.status()) } else { Waited::Enough };
                }
            }
        }
    }

    /// Stops the running command: interrupts it, kills it when that does not help. Whether the
    /// shell is ready for another.
    pub(super) async fn interrupt(&self) -> bool {
        let never = CancellationToken::new();
        let family = self.shell.family();
        // A terminal without a foreground group names group 0, and after its session's end the group
        // may be another's: only what is in this session counts.
        let mut group = tcgetpgrp(&self.terminal).map_or(self.shell.id(), |group| group.as_raw());
        if family.signal_group(group, Signal::INT) == 0 {
            group = self.shell.id();
            family.signal_group(group, Signal::INT);
        }
        let waited = self.wait(Patience::Total(GRACE), &never).await;
        if group != self.shell.id() {
            // members that outlived their leader as well
            family.signal_group(group, Signal::KILL);
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
    pub(super) async fn exit_status(&self) -> Option<ExitStatus> {
        timeout(GRACE, self.shell.ended()).await.ok()?.ok()
    }

    /// All living processes that the shell started.
    pub(super) fn running(&self) -> Vec<EndedProcess> {
        let started = self.shell.family().started_by_shell();
        started.into_iter().filter_map(ended::describe).collect()
    }

    /// The shell itself, as long as it lives.
    pub(super) fn shell(&self) -> Option<EndedProcess> {
        ended::describe(self.shell.id())
    }

    /// Ends the shell and everything it started.
    pub(super) async fn end(self) {
        self.shell.family().hang_up();
        timeout(HANGUP_GRACE, self.shell.ended()).await.ok();
        // killing waits for the killed to be gone; without a runtime it is done right here
        tokio::task::spawn_blocking(move || drop(self)).await.ok();
    }

    async fn set_up(&mut self, nonce: &str) -> io::Result<()> {
        let file = self.scratch.command.display().to_string();
        let setup = SETUP
            .replace("__NONCE__", nonce)
            .replace("'__FILE__'", &quoted(&file));
        self.scratch.write(&setup)?;
        let line = format!("\\builtin . {}\n", quoted(&file));
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

/// A word of bash that stands for `text`.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Starts bash in a terminal of its own.
async fn spawn(processes: &ToolProcesses, working_dir: &Path) -> io::Result<(Pty, ShellProcess)> {
    let mut bash = Command::new("bash");
    bash.args(["--noprofile", "--norc", "--noediting", "-i"])
        .env_clear()
        .envs(processes.environment())
        .envs(PLAIN)
        .current_dir(working_dir);
    processes
        .start_shell(bash, |bash| {
            let (pty, slave) = pty_process::open().map_err(io::Error::other)?;
            pty.resize(Size::new(SIZE.0, SIZE.1))
                .map_err(io::Error::other)?;
            set_plain_modes(&pty)?;
            let slave = slave.as_fd().try_clone_to_owned()?;
            bash.stdin(Stdio::from(slave.try_clone()?))
                .stdout(Stdio::from(slave.try_clone()?))
                .stderr(Stdio::from(slave));
            Ok(pty)
        })
        .await
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
pub(super) struct Scratch {
    folder: PathBuf,
    command: PathBuf,
    /// Tells [`Scratch::sweep`] that the folder is in use; a killed server lets go of it too.
    _lock: File,
}

impl Scratch {
    /// Makes the folder `name` in `temp`.
    pub(super) fn new(temp: &Path, name: &str) -> io::Result<Self> {
        let folder = temp.join(format!("{SCRATCH_PREFIX}{name}"));
        fs::DirBuilder::new().mode(0o700).create(&folder)?;
        let lock = File::open(&folder)?;
        // where there are no locks, nobody sweeps; a sweep that was faster is made good by `write`
        lock.try_lock_shared().ok();
        let command = folder.join("command");
        Ok(Self {
            folder,
            command,
            _lock: lock,
        })
    }

    /// Removes the folders that killed servers left in `temp`.
    pub(super) fn sweep(temp: &Path) {
        for entry in fs::read_dir(temp).into_iter().flatten().flatten() {
            let named = entry
                .file_name()
                .to_str()
                .is_some_and(|name| name.starts_with(SCRATCH_PREFIX));
            if !named || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let unused = File::open(entry.path()).is_ok_and(|folder| folder.try_lock().is_ok());
            if unused {
                fs::remove_dir_all(entry.path()).ok();
            }
        }
    }

    pub(super) fn write(&self, text: &str) -> io::Result<()> {
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
