use std::sync::Arc;

use core_model::{Content, ConversationId, ConversationInfo, message::check_content};
use tokio::sync::oneshot;

use crate::{
    Follower, Request, RuntimeError, Start,
    command::{Answer, Command},
    residency::live_conversation::LiveConversation,
};

/// One conversation, to talk to and to read. Cheap to clone.
#[derive(Clone)]
pub struct Conversation(pub(crate) Arc<LiveConversation>);

impl Conversation {
    #[must_use]
    pub fn id(&self) -> ConversationId {
        self.0.id
    }

    /// Its details as of now.
    #[must_use]
    pub fn info(&self) -> ConversationInfo {
        self.0.note_read();
        self.0.info()
    }

    /// Appends a user message and, with `run`, starts a run or lets the active one take it up.
    ///
    /// # Errors
    /// [`RuntimeError::Invalid`] when it says nothing, [`RuntimeError::RunLimit`] with `message_saved`
    /// when only the run was refused.
    pub async fn send_message(&self, content: Vec<Content>, run: bool) -> Result<(), RuntimeError> {
        checked(&content)?;
        self.ask(|answer| Command::SendMessage {
            content,
            run,
            request: None,
            slot: None,
            answer,
        })
        .await
    }

    /// As [`Self::send_message`], with one effect however often it is asked. After the first time
    /// [`Request::begun`] has to be set.
    ///
    /// # Errors
    /// As [`Self::send_message`], or a store error.
    pub async fn send_message_once(
        &self,
        request: Request,
        content: Vec<Content>,
        run: bool,
    ) -> Result<(), RuntimeError> {
        checked(&content)?;
        self.ask(|answer| Command::SendMessage {
            content,
            run,
            request: Some(request),
            slot: None,
            answer,
        })
        .await
    }

    /// Starts a run: answered when its first event is durable. While actions wait for consent, this
    /// gives it.
    ///
    /// # Errors
    /// [`RuntimeError::AlreadyRunning`], [`RuntimeError::RunLimit`].
    pub async fn run(&self) -> Result<(), RuntimeError> {
        let request = None;
        self.ask(|answer| Command::Run { request, answer }).await
    }

    /// As [`Self::run`], with one effect however often it is asked. After the first time
    /// [`Request::begun`] has to be set.
    ///
    /// # Errors
    /// As [`Self::run`], or a store error.
    pub async fn run_once(&self, request: Request) -> Result<(), RuntimeError> {
        let request = Some(request);
        self.ask(|answer| Command::Run { request, answer }).await
    }

    /// Stops the run at its next step; on an idle conversation, marks it paused. Answered at once:
    /// the status turns `paused` when the stopped step appends nothing more.
    ///
    /// # Errors
    /// When the pause cannot be made durable.
    pub async fn pause(&self) -> Result<(), RuntimeError> {
        self.ask(|answer| Command::Pause { answer }).await
    }

    /// Stops the run at once: the model call is dropped, the tool's process group killed. Answered
    /// when the run has ended.
    ///
    /// # Errors
    /// When the interruption cannot be made durable.
    pub async fn interrupt(&self) -> Result<(), RuntimeError> {
        self.ask(|answer| Command::Interrupt { answer }).await
    }

    /// Accepts or rejects the actions that wait for consent; without any, does nothing.
    ///
    /// # Errors
    /// As [`Self::run`] when accepting.
    pub async fn respond_to_confirmation(
        &self,
        accept: bool,
        reason: &str,
    ) -> Result<(), RuntimeError> {
        let reason = reason.to_owned();
        self.ask(|answer| Command::Respond {
            accept,
            reason,
            answer,
        })
        .await
    }

    /// Follows the conversation from `start`.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownEvent`] when `start` names an event the log does not have, or a store
    /// error.
    pub async fn follow(&self, start: &Start) -> Result<Follower, RuntimeError> {
        Follower::new(Arc::clone(&self.0), start).await
    }

    pub(crate) async fn ask(
        &self,
        command: impl FnOnce(Answer<()>) -> Command,
    ) -> Result<(), RuntimeError> {
        let (answer, answered) = oneshot::channel();
        self.0.send(command(answer))?;
        answered.await.map_err(|_dropped| self.0.gone())?
    }
}

/// Refuses what no model can be asked about, before it is in the log.
pub(crate) fn checked(content: &[Content]) -> Result<(), RuntimeError> {
    check_content(content).map_err(|fault| RuntimeError::Invalid(fault.to_string()))
}
