//! A program in a pseudo-terminal.

use std::{
    ffi::OsStr,
    fs, io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    libc,
    sys::termios::{InputFlags, LocalFlags, OutputFlags, SetArg, tcgetattr, tcsetattr},
    unistd::tcgetpgrp,
};
use pty_process::{OwnedReadPty, OwnedWritePty, Size};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use crate::{
    processes::{ProcessInfo, SessionProcess, Signal},
    workspace::Workspace,
};

/// How long a program has to end after a hangup, before it is killed.
const HANGUP_GRACE: Duration = Duration::from_millis(300);

/// A program to be started in a pseudo-terminal.
#[derive(Clone, Copy, Debug)]
pub struct PtyCommand<'a> {
    pub program: &'a str,
    pub arguments: &'a [&'a str],
    /// Variables beside those of the policy.
    pub environment: &'a [(&'a str, &'a str)],
    /// Where it starts.
    pub folder: &'a Path,
    /// Rows and columns of its terminal.
    pub size: (u16, u16),
}

/// A running program, its terminal and all that it started; dropping it kills them.
#[derive(Debug)]
pub struct Pty {
    process: SessionProcess,
    input: OwnedWritePty,
    /// The terminal once more, to read and set its modes.
    terminal: OwnedFd,
    /// Its modes at the start.
    initial_modes: libc::termios,
}

/// What the programs in a pseudo-terminal write.
#[derive(Debug)]
pub struct PtyOutput(OwnedReadPty);

/// A process group in a pseudo-terminal's session.
#[derive(Clone, Copy, Debug)]
pub struct ProcessGroup(i32);

impl Workspace {
    /// Starts a program in a terminal of its own: no echo, no newline translation, no flow control; line
    /// editing by the kernel and signal keys.
    ///
    /// # Errors
    /// When no terminal can be made, or the program cannot be started.
    ///
    /// # Cancel safety
    /// What was started ends when the future is dropped.
    pub async fn pty(&self, command: PtyCommand<'_>) -> io::Result<(Pty, PtyOutput)> {
        let mut program = Command::new(command.program);
        program
            .args(command.arguments)
            .env_clear()
            .envs(self.processes().environment())
            .envs(command.environment.iter().copied())
            .current_dir(command.folder);
        let size = Size::new(command.size.0, command.size.1);
        let (pty, process) = self
            .processes()
            .start_session(program, move |program| {
                let (pty, slave) = pty_process::open().map_err(io::Error::other)?;
                pty.resize(size).map_err(io::Error::other)?;
                set_plain_modes(&pty)?;
                let slave = slave.as_fd().try_clone_to_owned()?;
                program
                    .stdin(Stdio::from(slave.try_clone()?))
                    .stdout(Stdio::from(slave.try_clone()?))
                    .stderr(Stdio::from(slave));
                Ok(pty)
            })
            .await?;
        let initial_modes = tcgetattr(&pty)?.into();
        let terminal = pty.as_fd().try_clone_to_owned()?;
        let (output, input) = pty.into_split();
        let pty = Pty {
            process,
            input,
            terminal,
            initial_modes,
        };
        Ok((pty, PtyOutput(output)))
    }
}

impl Pty {
    /// Types `bytes` into the terminal.
    ///
    /// # Errors
    /// When the terminal is gone.
    ///
    /// # Cancel safety
    /// Some of the bytes may have been typed.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.input.write_all(bytes).await
    }

    /// Whether programs get whole lines, edited by the kernel, and not each key.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn reads_by_line(&self) -> io::Result<bool> {
        let modes = tcgetattr(&self.terminal)?;
        Ok(modes.local_flags.contains(LocalFlags::ICANON))
    }

    /// Gives the terminal the modes that it had at the start.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn restore_modes(&self) -> io::Result<()> {
        Ok(tcsetattr(
            &self.terminal,
            SetArg::TCSANOW,
            &self.initial_modes.into(),
        )?)
    }

    /// Waits for the program's end, and returns how it ended.
    ///
    /// # Errors
    /// When the system does not say.
    ///
    /// # Cancel safety
    /// May be called again.
    pub async fn ended(&self) -> io::Result<ExitStatus> {
        self.process.ended().await
    }

    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.process.has_ended()
    }

    /// Sends an interrupt to the process group in the foreground, or else to the program's own. Only
    /// processes of this terminal's session get it. Returns the group.
    #[must_use]
    pub fn interrupt(&self) -> ProcessGroup {
        let own = self.process.id();
        // A terminal without a foreground group names group 0, and after its session's end the group
        // may be another's.
        let group = tcgetpgrp(&self.terminal).map_or(own, |group| group.as_raw());
        if self.process.tree().signal_group(group, Signal::INT) > 0 {
            return ProcessGroup(group);
        }
        self.process.tree().signal_group(own, Signal::INT);
        ProcessGroup(own)
    }

    /// Kills a process group, unless it is the program's own.
    pub fn kill_group(&self, group: ProcessGroup) {
        if group.0 != self.process.id() {
            self.process.tree().signal_group(group.0, Signal::KILL);
        }
    }

    /// Asks the program and all that it started to end, and gives them a moment.
    pub async fn hang_up(&self) {
        self.process.tree().hang_up();
        timeout(HANGUP_GRACE, self.process.ended()).await.ok();
    }

    /// All living processes that the program started.
    #[must_use]
    pub fn descendants(&self) -> Vec<ProcessInfo> {
        let ids = self.process.tree().descendants();
        ids.into_iter().filter_map(ProcessInfo::of).collect()
    }

    /// The program itself, as long as it lives.
    #[must_use]
    pub fn info(&self) -> Option<ProcessInfo> {
        ProcessInfo::of(self.process.id())
    }

    /// The path that the program's working directory had, if it was removed. Unknown where there is no
    /// `/proc`.
    #[must_use]
    pub fn removed_working_dir(&self) -> Option<PathBuf> {
        let link = fs::read_link(format!("/proc/{}/cwd", self.process.id())).ok()?;
        let path = link.as_os_str().as_bytes().strip_suffix(b" (deleted)")?;
        // an existing folder may have such a name
        (!link.exists()).then(|| PathBuf::from(OsStr::from_bytes(path)))
    }
}

impl PtyOutput {
    /// Reads what was written, at most `buffer`'s length. 0 once the terminal has hung up.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn read(&mut self, buffer: &mut [u8]) -> usize {
        // a closed slave side reads as EIO on Linux, as the end elsewhere
        self.0.read(buffer).await.unwrap_or(0)
    }
}

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
