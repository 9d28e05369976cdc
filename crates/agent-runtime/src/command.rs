use std::collections::BTreeMap;

use core_model::{
    ConfirmationPolicy, Content, Delivery, EventId, approval::ApprovedCommand, budget::Budgets,
    event::SystemPromptEvent,
};
use llm_client::ModelReply;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::{Request, RuntimeError, run_slot::RunSlot};

/// What a conversation is asked to do. Answered once the effect is durable.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) request: CommandRequest,
    pub(crate) answer: Answer,
}

/// Where a command's answer goes. Dropping it says that the conversation is no longer in memory.
pub(crate) type Answer = oneshot::Sender<Result<(), RuntimeError>>;

#[derive(Debug)]
pub(crate) enum CommandRequest {
    SendMessage {
        content: Vec<Content>,
        delivery: Delivery,
        /// Set when it must have one effect, however often it is sent.
        once: Option<Request>,
        /// The run's slot, when it was taken beforehand.
        slot: Option<RunSlot>,
        /// Stands before the message when the log has none yet.
        system_prompt: Option<Box<SystemPromptEvent>>,
    },
    Run {
        /// Set when it must have one effect, however often it is sent.
        once: Option<Request>,
        /// Whether it accepts the actions that wait for consent; otherwise it does nothing then.
        consents: bool,
        /// Stands before the run when the log has none yet.
        system_prompt: Option<Box<SystemPromptEvent>>,
    },
    /// Has the agent work towards a goal.
    StartGoal {
        start: GoalStart,
        /// Stands before the goal when the log has none yet.
        system_prompt: Option<Box<SystemPromptEvent>>,
    },
    /// Gives up the active goal.
    StopGoal,
    Pause,
    Interrupt,
    /// Changes a message that waits for the next turn, or, without content, takes it back.
    ChangeQueued {
        id: EventId,
        content: Option<Vec<Content>>,
    },
    /// Replaces the older part of the context by a summary.
    Condense,
    /// Moves HEAD to an event, or before the first one.
    Navigate(Option<EventId>),
    /// Changes settings; a running turn heeds it at its next step.
    Change(Change),
    /// Accepts or rejects the actions that wait for consent.
    Respond(Box<Response>),
    /// Answers what a stop of the server left unanswered, and stores the state.
    Recover,
    /// Closes the tools, the shell among them, unless a turn uses them.
    CloseTools,
    /// Leaves memory because others need the room, unless there is something to do or tools that may
    /// stay open.
    LeaveMemory,
    /// Ends the turn, answers no more commands.
    Stop(StopReason),
}

/// How work towards a goal begins.
#[derive(Debug)]
pub(crate) enum GoalStart {
    New {
        objective: String,
        max_iterations: u32,
    },
    /// The last one is taken up again.
    Resume,
}

/// A change of what a conversation is told to be.
#[derive(Debug)]
pub(crate) enum Change {
    Budgets(Budgets),
    Policy(ConfirmationPolicy),
    Analyzer(Option<Value>),
    /// Takes back that a command is approved for good.
    ForgetCommand(String),
    /// The agent's model settings, sealed.
    Llm(Value),
    /// What is None stays.
    Details {
        title: Option<String>,
        tags: Option<BTreeMap<String, String>>,
    },
    /// A model call outside of a turn was made.
    Spent(Box<SpentCall>),
}

/// What a person says to the actions that wait.
#[derive(Debug)]
pub(crate) struct Response {
    /// To those that are not named.
    pub(crate) accept: bool,
    /// What the agent is told of those that are rejected.
    pub(crate) reason: String,
    pub(crate) named: Vec<NamedResponse>,
    /// The key of who answers.
    pub(crate) by: Option<String>,
}

/// What a person says to one action.
#[derive(Debug)]
pub(crate) struct NamedResponse {
    pub(crate) action_id: EventId,
    pub(crate) accept: bool,
    /// None: that of the whole response.
    pub(crate) reason: Option<String>,
    /// Set when the same command needs no consent any more.
    pub(crate) remember: Option<ApprovedCommand>,
}

/// A model call for the accounts.
#[derive(Clone, Debug)]
pub(crate) struct SpentCall {
    pub(crate) usage_id: String,
    /// As the settings name it.
    pub(crate) model: String,
    pub(crate) reply: ModelReply,
}

/// Why an actor ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopReason {
    Deleted,
    ServerStopping,
}

impl Command {
    /// A command, and where its answer arrives.
    pub(crate) fn new(
        request: CommandRequest,
    ) -> (Self, oneshot::Receiver<Result<(), RuntimeError>>) {
        let (answer, answered) = oneshot::channel();
        (Self { request, answer }, answered)
    }

    /// Answers that it is not carried out. An actor that ends anyway has done what a stop wants.
    pub(crate) fn refuse(self, error: RuntimeError) {
        let is_stop = matches!(self.request, CommandRequest::Stop(_));
        let result = if is_stop { Ok(()) } else { Err(error) };
        self.answer.send(result).ok();
    }
}

impl CommandRequest {
    /// The client's request that must have one effect.
    pub(crate) fn once(&self) -> Option<Request> {
        match self {
            Self::SendMessage { once, .. } | Self::Run { once, .. } => *once,
            Self::StartGoal { .. }
            | Self::StopGoal
            | Self::Pause
            | Self::Interrupt
            | Self::ChangeQueued { .. }
            | Self::Condense
            | Self::Navigate(_)
            | Self::Change(_)
            | Self::Respond(_)
            | Self::Recover
            | Self::CloseTools
            | Self::LeaveMemory
            | Self::Stop(_) => None,
        }
    }

    /// Whether it wants something done, rather than room made.
    pub(crate) fn is_use(&self) -> bool {
        !matches!(self, Self::CloseTools | Self::LeaveMemory)
    }
}
