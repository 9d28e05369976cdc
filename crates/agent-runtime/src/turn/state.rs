use std::{
    collections::BTreeSet,
    ops::ControlFlow::{self, Break, Continue},
    sync::Arc,
};

use agent_tools::{OpenedTools, Tools};
use core_model::{Agent, ConversationState, Draft, EventId, Metadata};
use llm_client::Model;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use workspace::Workspace;

use crate::{
    command::SpentCall,
    residency::live_conversation::LiveConversation,
    turn::{
        approve::Judge,
        budget::TurnSpending,
        condense::CondenserState,
        context::ModelContext,
        outcome::Outcome,
        proposal::{Proposal, propose},
        stuck::StuckDetector,
    },
};

/// One run of the agent: what its stages work with.
pub(super) struct Turn {
    pub(super) live: Arc<LiveConversation>,
    /// As the turn knows it; [`LiveConversation::now`] may have newer.
    pub(super) metadata: Arc<Metadata>,
    pub(super) agent: Agent,
    pub(super) model: Arc<dyn Model>,
    pub(super) opened: OpenedTools,
    /// All that were open when that was last looked at.
    pub(super) tools: Tools,
    pub(super) workspace: Workspace,
    pub(super) context: ModelContext,
    pub(super) condenser: CondenserState,
    pub(super) spending: TurnSpending,
    pub(super) stuck: StuckDetector,
    pub(super) judge: Judge,
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
        self.propose_after(None, drafts).await
    }

    /// The same, after the model call that they come of is counted.
    pub(super) async fn propose_after(
        &self,
        call: Option<SpentCall>,
        drafts: Vec<Draft>,
    ) -> ControlFlow<Outcome> {
        match propose(&self.proposer, call, drafts).await {
            Ok(()) => Continue(()),
            Err(outcome) => Break(outcome),
        }
    }

    /// Events that no condensation takes away: the last user message, and the latest call of each tool
    /// whose calls are to be remembered.
    pub(super) fn kept_events(&self, state: &ConversationState) -> BTreeSet<EventId> {
        let remembered = self
            .tools
            .iter()
            .filter(|tool| tool.traits().remembered)
            .filter_map(|tool| self.context.last_call_of(tool.name()));
        let mut kept: BTreeSet<EventId> = remembered.collect();
        kept.extend(state.last_user_message_id.clone());
        kept
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
