use std::sync::Arc;

use core_model::{
    Content, ConversationId, ConversationInfo, Delivery, EventId, QueuedMessage,
    message::check_content,
};

use crate::{
    Follower, Request, RuntimeError, Start,
    command::{Command, CommandRequest},
    conversation::actor,
    residency::{Residency, live_conversation::LiveConversation},
    run_slot::RunSlot,
    turn::{
        budget,
        prepare::{condenses, missing_system_prompt},
    },
};

/// One conversation, to talk to and to read. Cheap to clone.
#[derive(Clone)]
pub struct Conversation {
    pub(crate) live: Arc<LiveConversation>,
    residency: Arc<Residency>,
}

impl Conversation {
    pub(crate) fn new(live: Arc<LiveConversation>, residency: &Arc<Residency>) -> Self {
        Self {
            live,
            residency: Arc::clone(residency),
        }
    }

    #[must_use]
    pub fn id(&self) -> ConversationId {
        self.live.id
    }

    /// Its details as of now.
    #[must_use]
    pub fn info(&self) -> ConversationInfo {
        self.live.note_read();
        self.live.info()
    }

    /// Appends a user message and, with `run`, starts a run or lets the active one take it up.
    ///
    /// # Errors
    /// [`RuntimeError::Invalid`] when it says nothing, [`RuntimeError::RunLimit`] with `message_saved`
    /// when only the run was refused.
    pub async fn send_message(&self, content: Vec<Content>, run: bool) -> Result<(), RuntimeError> {
        self.deliver(content, Delivery::Steer { run }).await
    }

    /// Has a user message reach the agent when `delivery` says.
    ///
    /// # Errors
    /// As [`Self::send_message`]; [`RuntimeError::QueueFull`].
    pub async fn deliver(
        &self,
        content: Vec<Content>,
        delivery: Delivery,
    ) -> Result<(), RuntimeError> {
        self.say(content, delivery, None, None).await
    }

    /// As [`Self::deliver`], with one effect however often it is asked. After the first time
    /// [`Request::begun`] has to be set.
    ///
    /// # Errors
    /// As [`Self::deliver`], or a store error.
    pub async fn deliver_once(
        &self,
        request: Request,
        content: Vec<Content>,
        delivery: Delivery,
    ) -> Result<(), RuntimeError> {
        self.say(content, delivery, Some(request), None).await
    }

    /// As [`Self::deliver`]; its run uses `slot` when that was taken beforehand.
    pub(crate) async fn say(
        &self,
        content: Vec<Content>,
        delivery: Delivery,
        once: Option<Request>,
        slot: Option<RunSlot>,
    ) -> Result<(), RuntimeError> {
        check(&content)?;
        self.ask(CommandRequest::SendMessage {
            content,
            delivery,
            once,
            slot,
            system_prompt: missing_system_prompt(&self.live).await,
        })
        .await
    }

    /// The messages that wait for the next turn, the first one first.
    #[must_use]
    pub fn queued_messages(&self) -> Vec<QueuedMessage> {
        self.live.note_read();
        self.live.now().state.queued.clone()
    }

    /// Gives a message that waits other content.
    ///
    /// # Errors
    /// [`RuntimeError::NotQueued`] when the agent has it by now, [`RuntimeError::Invalid`] when it says
    /// nothing.
    pub async fn change_queued(
        &self,
        id: EventId,
        content: Vec<Content>,
    ) -> Result<(), RuntimeError> {
        check(&content)?;
        let content = Some(content);
        self.ask(CommandRequest::ChangeQueued { id, content }).await
    }

    /// Takes a message back that waits.
    ///
    /// # Errors
    /// [`RuntimeError::NotQueued`] when the agent has it by now.
    pub async fn take_back_queued(&self, id: EventId) -> Result<(), RuntimeError> {
        let content = None;
        self.ask(CommandRequest::ChangeQueued { id, content }).await
    }

    /// Starts a run: answered when its first event is durable. While actions wait for consent, this
    /// gives it.
    ///
    /// # Errors
    /// [`RuntimeError::AlreadyRunning`], [`RuntimeError::RunLimit`].
    pub async fn run(&self) -> Result<(), RuntimeError> {
        self.start_run(None, true).await
    }

    /// As [`Self::run`], with one effect however often it is asked. After the first time
    /// [`Request::begun`] has to be set.
    ///
    /// # Errors
    /// As [`Self::run`], or a store error.
    pub async fn run_once(&self, request: Request) -> Result<(), RuntimeError> {
        self.start_run(Some(request), true).await
    }

    /// As [`Self::run`], but actions that wait for consent go on waiting.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn go_on(&self) -> Result<(), RuntimeError> {
        self.start_run(None, false).await
    }

    async fn start_run(&self, once: Option<Request>, consents: bool) -> Result<(), RuntimeError> {
        let system_prompt = missing_system_prompt(&self.live).await;
        self.ask(CommandRequest::Run {
            once,
            consents,
            system_prompt,
        })
        .await
    }

    /// Stops the run at its next step; on an idle conversation, marks it paused. Answered at once:
    /// the status turns `paused` when the stopped step appends nothing more.
    ///
    /// # Errors
    /// When the pause cannot be made durable.
    pub async fn pause(&self) -> Result<(), RuntimeError> {
        self.ask(CommandRequest::Pause).await
    }

    /// Stops the run at once: the model call is dropped, the tools' process groups are killed. Answered
    /// when the run has ended.
    ///
    /// # Errors
    /// When the interruption cannot be made durable.
    pub async fn interrupt(&self) -> Result<(), RuntimeError> {
        self.ask(CommandRequest::Interrupt).await
    }

    /// Replaces the older part of what the model is shown by a summary. While the agent works, it does so
    /// before its next step and this is answered at once; otherwise this is answered when it is done.
    ///
    /// # Errors
    /// [`RuntimeError::NoCondenser`] when the agent's settings switch it off,
    /// [`RuntimeError::BudgetReached`], [`RuntimeError::RunLimit`].
    pub async fn condense(&self) -> Result<(), RuntimeError> {
        if !condenses(&self.live) {
            return Err(RuntimeError::NoCondenser);
        }
        budget::allow_outside_call(&self.live).await?;
        self.ask(CommandRequest::Condense).await
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
        self.decide(accept, reason, Vec::new(), None).await
    }

    /// Follows the conversation from `start`.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownEvent`] when `start` names an event the log does not have, or a store
    /// error.
    pub async fn follow(&self, start: &Start) -> Result<Follower, RuntimeError> {
        Follower::new(Arc::clone(&self.live), start).await
    }

    /// Has the stored state brought up to its log, and what a stop left open answered.
    pub(crate) async fn recover(&self) -> Result<(), RuntimeError> {
        self.ask(CommandRequest::Recover).await
    }

    pub(super) async fn ask(&self, request: CommandRequest) -> Result<(), RuntimeError> {
        let (command, answered) = Command::new(request);
        self.live.send(command, |mailbox| {
            let (live, residency) = (Arc::clone(&self.live), Arc::clone(&self.residency));
            actor::spawn(live, residency, mailbox);
        })?;
        answered
            .await
            .map_err(|_dropped| self.live.unanswered_error())?
    }
}

/// Refuses what no model can be asked about, before it is in the log.
pub(crate) fn check(content: &[Content]) -> Result<(), RuntimeError> {
    check_content(content).map_err(|fault| RuntimeError::Invalid(fault.to_string()))
}
