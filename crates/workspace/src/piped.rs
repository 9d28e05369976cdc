//! A program that is talked to through pipes.

use std::{
    collections::BTreeMap,
    io,
    path::Path,
    process::{Command, ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    process::{ChildStderr, ChildStdin, ChildStdout},
    time::timeout,
};

use crate::{processes::SessionProcess, workspace::Workspace};

/// How long a program has to end after its input was closed, and again after a hangup, before it is
/// killed.
const END_GRACE: Duration = Duration::from_millis(300);

/// A program to be started with pipes for its input and outputs.
#[derive(Clone, Copy, Debug)]
pub struct PipedCommand<'a> {
    pub program: &'a str,
    pub arguments: &'a [String],
    /// Variables beside those of the policy.
    pub environment: &'a BTreeMap<String, String>,
    /// Where it starts, absolute or relative to the workspace's folder. `None`: in that folder.
    pub folder: Option<&'a Path>,
}

/// A running program and all that it started; dropping it kills them, which may block for a moment.
#[derive(Debug)]
pub struct Piped(SessionProcess);

/// The other ends of a program's input and outputs.
#[derive(Debug)]
pub struct Pipes {
    pub input: ChildStdin,
    pub output: ChildStdout,
    pub errors: ChildStderr,
}

impl Workspace {
    /// Starts a program as the leader of a session of its own, without a terminal.
    ///
    /// # Errors
    /// When the program cannot be started.
    ///
    /// # Cancel safety
    /// What was started ends when the future is dropped.
    pub async fn piped(&self, command: PipedCommand<'_>) -> io::Result<(Piped, Pipes)> {
        let folder = command.folder.map(|folder| self.absolute(folder));
        let mut program = Command::new(command.program);
        program
            .args(command.arguments)
            .env_clear()
            .envs(self.processes().environment())
            .envs(command.environment)
            .current_dir(folder.as_deref().unwrap_or(self.folder()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut process = self.processes().start_without_terminal(program).await?;
        let pipes = process.take_pipes();
        let (Some(input), Some(output), Some(errors)) = pipes else {
            return Err(io::Error::other("the program has no pipes"));
        };
        let pipes = Pipes {
            input: ChildStdin::from_std(input)?,
            output: ChildStdout::from_std(output)?,
            errors: ChildStderr::from_std(errors)?,
        };
        Ok((Piped(process), pipes))
    }
}

impl Piped {
    /// Waits for the program's end, and returns how it ended.
    ///
    /// # Errors
    /// When the system does not say.
    ///
    /// # Cancel safety
    /// May be called again.
    pub async fn ended(&self) -> io::Result<ExitStatus> {
        self.0.ended().await
    }

    /// Gives a program whose input was closed a moment to end, then hangs up, then kills it and all that
    /// it started.
    pub async fn end(self) {
        if timeout(END_GRACE, self.0.ended()).await.is_err() {
            self.0.tree().hang_up();
            timeout(END_GRACE, self.0.ended()).await.ok();
        }
        // It waits for what is killed to be gone; a panic there leaves nothing to do.
        tokio::task::spawn_blocking(move || drop(self)).await.ok();
    }
}

#[cfg(test)]
mod tests {
    use tempfile::tempdir;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::Processes;

    #[tokio::test]
    async fn a_program_is_talked_to_through_pipes_and_ends_with_its_handle() {
        let folder = tempdir().unwrap();
        let workspace = Workspace::new(folder.path(), Processes::default());
        let script = "echo $WORD >&2; read line; echo \"got $line in $PWD\"; sleep 100";
        let command = PipedCommand {
            program: "sh",
            arguments: &["-c".to_owned(), script.to_owned()],
            environment: &BTreeMap::from([("WORD".to_owned(), "hello".to_owned())]),
            folder: None,
        };
        let (process, mut pipes) = workspace.piped(command).await.unwrap();
        pipes.input.write_all(b"a line\n").await.unwrap();
        let mut output = [0; 11];
        pipes.output.read_exact(&mut output).await.unwrap();
        assert_eq!(&output, b"got a line ");
        drop(pipes.input);
        process.end().await;
        let mut errors = String::new();
        pipes.errors.read_to_string(&mut errors).await.unwrap();
        assert_eq!(errors, "hello\n");
        let mut rest = String::new();
        pipes.output.read_to_string(&mut rest).await.unwrap();
        assert!(rest.starts_with("in "), "{rest}");
    }

    #[tokio::test]
    async fn a_program_that_does_not_exist_is_an_error() {
        let workspace = Workspace::new("/", Processes::default());
        let command = PipedCommand {
            program: "no-such-program-here",
            arguments: &[],
            environment: &BTreeMap::new(),
            folder: None,
        };
        let error = workspace.piped(command).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
