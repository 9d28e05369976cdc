use workspace::ProcessInfo;

use super::{session::Session, stream::Status};

/// The shell, started at first need.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) session: Option<Session>,
    /// Whether there has been a shell yet.
    pub(super) opened: bool,
    /// Whether the last shell ended by itself or with an interrupt, and no new one was started since.
    pub(super) lost: bool,
    /// The command whose end was not seen yet.
    pub(super) unfinished: Option<String>,
}

impl State {
    /// What background jobs wrote since the last command.
    pub(super) fn background(&self) -> String {
        let session = self.session.as_ref();
        session
            .map(|it| it.stream.take_between())
            .unwrap_or_default()
    }

    /// What runs in the shell, or was left running by it. Of the shell itself only what it runs without
    /// any other process, such as a loop.
    pub(super) fn running(&self) -> Vec<ProcessInfo> {
        let Some(session) = &self.session else {
            return Vec::new();
        };
        let mut running = session.pty.descendants();
        if let Some(command) = &self.unfinished
            && running.is_empty()
            && session.status() == Status::Busy
        {
            running.extend(session.pty.info().map(|shell| ProcessInfo {
                command: command.clone(),
                ..shell
            }));
        }
        running
    }

    /// Ends the shell with all it runs.
    pub(super) async fn end(&mut self) {
        self.unfinished = None;
        if let Some(session) = self.session.take() {
            session.end().await;
        }
    }
}
