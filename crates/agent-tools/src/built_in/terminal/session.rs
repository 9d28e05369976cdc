//! One bash in a pseudo-terminal.

use std::{io, path::Path, sync::Once, time::Duration};

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use workspace::{ExitStatus, Pty, PtyCommand, ScratchFolder, Workspace};

use super::{
    capture::Limits,
    keys::{Input, Modes},
    stream::{Status, Stream},
};

/// Rows and columns of the terminal; wide, for programs that fold their lines to fit.
const SIZE: (u16, u16) = (50, 200);
/// Bash is ready in milliseconds; a machine under load gets this long.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// The kernel drops what is beyond this, in bytes (`N_TTY_BUF_SIZE` of Linux, less the line's end).
const LONGEST_LINE: usize = 4095;
/// The line that starts a command has room for such a path, quoted, in bytes.
const LONGEST_FOLDER: usize = 900;
/// How long a program may leave its input unread.
const INPUT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a command has to end after an interrupt, before it is killed.
const INTERRUPT_GRACE: Duration = Duration::from_secs(1);
/// How long the output of a shell that has ended is waited for, where its terminal stays open.
const LAST_OUTPUT_TIMEOUT: Duration = Duration::from_millis(100);

/// The start of the name of each shell's scratch folder.
pub(super) const SCRATCH_PREFIX: &str = "agent-terminal-";
/// The scratch folder's file, by which commands reach the shell.
pub(super) const SCRATCH_FILE: &str = "command";
/// With these, programs write plain text and start no pager.
const PLAIN: [(&str, &str); 5] = [
    ("TERM", "dumb"),
    ("PAGER", "cat"),
    ("GIT_PAGER", "cat"),
    ("MANPAGER", "cat"),
    ("SYSTEMD_PAGER", "cat"),
];
/// Set by the first session of this process.
static SWEPT: Once = Once::new();

const SETUP: &str = include_str!("setup.bash");

/// A shell, its terminal and all it runs; dropping it kills them.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) pty: Pty,
    pub(super) stream: Stream,
    scratch: ScratchFolder,
    /// The number of the last command.
    number: u64,
}

/// How long a command is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) enum WaitLimit {
    /// Until nothing new arrived for this time.
    Quiet(Duration),
    /// For this time in all.
    Total(Duration),
}

/// Why waiting for a command ended.
#[derive(Debug)]
pub(super) enum Waited {
    /// The command is done, or the shell is gone.
    For(Status),
    /// It still runs, and the limit is reached.
    Enough,
    Cancelled,
}

impl Session {
    /// Starts bash in `folder`.
    ///
    /// # Errors
    /// When no terminal can be made, bash cannot be started, or it is not ready in time.
    pub(super) async fn start(
        workspace: &Workspace,
        folder: &Path,
        limits: Limits,
    ) -> io::Result<Self> {
        let nonce = Uuid::new_v4().simple().to_string();
        let temp = std::env::temp_dir();
        SWEPT.call_once(|| ScratchFolder::sweep(&temp, SCRATCH_PREFIX));
        let name = format!("{SCRATCH_PREFIX}{}", Uuid::new_v4().simple());
        let scratch = ScratchFolder::create(&temp, &name, SCRATCH_FILE)?;
        let bash = PtyCommand {
            program: "bash",
            arguments: &["--noprofile", "--norc", "--noediting", "-i"],
            environment: &PLAIN,
            folder,
            size: SIZE,
        };
        let (pty, output) = workspace.pty(bash).await?;
        let mut session = Self {
            pty,
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
        // the last program may have died without restoring what it set
        self.pty.restore_modes()?;
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

    /// Types keys or a text into the running program. Returns whether the program sees it only after
    /// Enter.
    ///
    /// # Errors
    /// As for [`Self::send`].
    pub(super) async fn type_in(&mut self, input: &Input) -> io::Result<bool> {
        let modes = Modes {
            by_line: self.pty.reads_by_line()?,
            application_cursor: self.stream.application_cursor(),
        };
        self.send(&input.bytes(modes)).await?;
        Ok(modes.by_line && input.waits_for_enter())
    }

    /// Types `text` into the terminal.
    ///
    /// # Errors
    /// When it is not read in time, a line of it is longer than the terminal takes, or the terminal is
    /// gone.
    pub(super) async fn send(&mut self, text: &str) -> io::Result<()> {
        if self.pty.reads_by_line()? && text.lines().any(|line| line.len() > LONGEST_LINE) {
            return Err(io::Error::other(format!(
                "a line of input has at most {LONGEST_LINE} bytes; give the program a file instead"
            )));
        }
        timeout(INPUT_TIMEOUT, self.pty.write(text.as_bytes()))
            .await
            .map_err(|_| io::Error::other("the program does not read its input"))?
    }

    /// The terminal may not hang up when the shell ends: daemons may hold it open.
    pub(super) fn status(&self) -> Status {
        match self.stream.status() {
            Status::Busy if self.pty.has_ended() => Status::Closed,
            status @ (Status::Busy | Status::Done(_) | Status::Closed) => status,
        }
    }

    /// Whether the shell takes no more commands.
    pub(super) fn is_closed(&self) -> bool {
        self.stream.status() == Status::Closed || self.pty.has_ended()
    }

    /// Whether [`Self::submit`] can start a command there.
    pub(super) fn can_go_to(folder: &Path) -> bool {
        folder.to_str().is_some_and(|folder| {
            folder.len() <= LONGEST_FOLDER && !folder.contains(char::is_control)
        })
    }

    /// Waits for the command last submitted.
    ///
    /// # Cancel safety
    /// Nothing is lost: what arrives is kept for the next look.
    pub(super) async fn wait(&self, limit: WaitLimit, cancel: &CancellationToken) -> Waited {
        let mut changes = self.stream.changes();
        let (WaitLimit::Quiet(time) | WaitLimit::Total(time)) = limit;
        let total = tokio::time::sleep(time);
        let ended = self.pty.ended();
        tokio::pin!(total, ended);
        let mut has_ended = false;
        loop {
            if self.stream.has_begun() {
                // the shell has read it, and it may contain secrets
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
                    total.set(tokio::time::sleep(LAST_OUTPUT_TIMEOUT));
                }
                Ok(()) = changes.changed() => {
                    // what daemons write after the shell's end does not extend the wait
                    if let (WaitLimit::Quiet(time), false) = (limit, has_ended) {
                        total.set(tokio::time::sleep(time));
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
        let group = self.pty.interrupt();
        let waited = self.wait(WaitLimit::Total(INTERRUPT_GRACE), &never).await;
        // members that outlived their leader as well
        self.pty.kill_group(group);
        match waited {
            Waited::For(Status::Done(_)) => true,
            Waited::For(Status::Closed | Status::Busy) | Waited::Cancelled => false,
            Waited::Enough => matches!(
                self.wait(WaitLimit::Total(INTERRUPT_GRACE), &never).await,
                Waited::For(Status::Done(_))
            ),
        }
    }

    /// How the shell ended, once its terminal hung up.
    pub(super) async fn exit_status(&self) -> Option<ExitStatus> {
        timeout(INTERRUPT_GRACE, self.pty.ended()).await.ok()?.ok()
    }

    /// Ends the shell and everything it started.
    pub(super) async fn end(self) {
        self.pty.hang_up().await;
        // killing blocks until the killed are gone; without a runtime it happens right here
        tokio::task::spawn_blocking(move || drop(self)).await.ok();
    }

    async fn set_up(&mut self, nonce: &str) -> io::Result<()> {
        let file = self.scratch.file().display().to_string();
        let setup = SETUP
            .replace("__NONCE__", nonce)
            .replace("'__FILE__'", &quoted(&file));
        self.scratch.write(&setup)?;
        let line = format!("\\builtin . {}\n", quoted(&file));
        self.send(&line).await?;
        match self
            .wait(WaitLimit::Total(START_TIMEOUT), &CancellationToken::new())
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
