use std::{
    ops::ControlFlow::{self, Break, Continue},
    sync::Arc,
};

use agent_tools::Tools;
use core_model::{Agent, Draft, EventId};
use llm_client::Model;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use workspace::Workspace;

use crate::{
    residency::live_conversation::LiveConversation,
    turn::{
        context::ModelContext,
        outcome::Outcome,
        proposal::{Proposal, propose},
        stuck::StuckDetector,
    },
};

/// One run of the agent: what its stages work with.
pub(super) struct Turn {
    pub(super) live: Arc<LiveConversation>,
    pub(super) agent: Agent,
    pub(super) model: Arc<dyn Model>,
    pub(super) tools: Tools,
    pub(super) workspace: Workspace,
    pub(super) context: ModelContext,
    pub(super) stuck: StuckDetector,
    /// The user message that the model was shown last.
    pub(super) seen: Option<EventId>,
    /// Replies in a row that the model did not end itself.
    pub(super) cut_replies: u32,
    pub(super) signals: TurnSignals,
    pub(super) proposer: mpsc::Sender<Proposal>,
}

/// What is said to a turn from outside.
#[derive(Clone)]
pub(super) struct TurnSignals {
    /// End now.
    pub(super) cancel: CancellationToken,
    /// End before the next step or action, while it is true.
    pub(super) pause: watch::Receiver<bool>,
}

impl Turn {
    /// Has events appended; they are durable and visible when this returns.
    pub(super) async fn propose(&self, drafts: Vec<Draft>) -> ControlFlow<Outcome> {
        match propose(&self.proposer, drafts).await {
            Ok(()) => Continue(()),
            Err(outcome) => Break(outcome),
        }
    }

    pub(super) fn finished(&self) -> Outcome {
        Outcome::Finished {
            seen: self.seen.clone(),
        }
    }
}

impl TurnSignals {
    pub(super) fn is_pausing(&self) -> bool {
        *self.pause.borrow()
    }

    /// Waits until a pause is asked for.
    pub(super) async fn pausing(mut self) {
        if self.pause.wait_for(|asked| *asked).await.is_err() {
            // Nobody can ask any more.
            std::future::pending::<()>().await;
        }
    }
}
