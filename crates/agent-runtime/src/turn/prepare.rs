//! Stage 1: opens the agent's model and tools, and proposes the system prompt.

use std::{
    ops::ControlFlow::{self, Break, Continue},
    sync::Arc,
};

use agent_tools::{OpenedTools, ToolEnvironment};
use core_model::{Agent, Draft, EventBody, Source, event::SystemPromptEvent};
use futures_util::future::join_all;
use serde::Deserialize;
use tokio::sync::mpsc;
use workspace::{ToolFiles, Workspace};

use crate::{
    kept_files,
    residency::live_conversation::LiveConversation,
    turn::{
        approve::Judge,
        budget::TurnSpending,
        condense::{CondenserState, settings::CondenserSettings},
        context::ModelContext,
        outcome::{Outcome, SetupError},
        prompt,
        proposal::Proposal,
        state::{Turn, TurnSignals},
        stuck::StuckDetector,
    },
};

/// The turn, ready for its first step.
pub(super) async fn prepare(
    live: Arc<LiveConversation>,
    proposer: mpsc::Sender<Proposal>,
    signals: TurnSignals,
) -> ControlFlow<Outcome, Turn> {
    let opened = tokio::select! {
        biased;
        () = signals.cancel.cancelled() => return Break(Outcome::cancelled()),
        opened = open_and_connect(&live) => opened,
    };
    let connected = opened.and_then(|(agent, opened)| {
        let model = (live.runtime.config.connect)(&agent.llm)?;
        let condenser = CondenserSettings::of(&agent).map_err(SetupError::value)?;
        Ok((agent, opened, model, condenser))
    });
    let (agent, opened, model, condenser) = match connected {
        Ok(connected) => connected,
        Err(error) => return Break(Outcome::setup(error)),
    };
    let now = live.now();
    let turn = Turn {
        workspace: workspace(&live),
        metadata: Arc::clone(&now.metadata),
        live,
        agent,
        model,
        tools: opened.all(),
        opened,
        context: ModelContext::default(),
        condenser: CondenserState::new(condenser),
        spending: TurnSpending::new(&now.state),
        stuck: StuckDetector::default(),
        judge: Judge::default(),
        seen: now.state.last_user_message_id.clone(),
        cut_replies: 0,
        signals,
        proposer,
    };
    if !now.state.initialised {
        let workspace = &now.metadata.workspace;
        let found = &now.state.found_tools;
        let prompt = prompt::system(&turn.agent, workspace, &turn.tools, found);
        let body = EventBody::SystemPromptEvent(prompt);
        turn.propose(vec![Draft::new(Source::Agent, body)]).await?;
    }
    Continue(turn)
}

/// Takes up another model that the conversation was given meanwhile.
pub(super) fn take_up_changes(turn: &mut Turn) -> ControlFlow<Outcome> {
    let now = turn.live.now();
    if Arc::ptr_eq(&turn.metadata, &now.metadata) {
        return Continue(());
    }
    let changed = turn.metadata.agent["llm"] != now.metadata.agent["llm"];
    turn.metadata = Arc::clone(&now.metadata);
    if !changed {
        return Continue(());
    }
    let connected = agent(&turn.live).and_then(|agent| {
        let model = (turn.live.runtime.config.connect)(&agent.llm)?;
        Ok((agent, model))
    });
    match connected {
        Ok((agent, model)) => {
            turn.agent.llm = agent.llm;
            turn.model = model;
            Continue(())
        }
        Err(error) => Break(Outcome::setup(error)),
    }
}

/// The system prompt of a conversation whose log has none yet. None, too, when the agent cannot be set up:
/// the run will say why.
///
/// The first message and the first run bring it along, because it stands before them in the log. That of an
/// agent whose tools are behind connections comes in the turn that makes these.
pub(crate) async fn missing_system_prompt(
    live: &LiveConversation,
) -> Option<Box<SystemPromptEvent>> {
    let now = live.now();
    if now.state.initialised {
        return None;
    }
    match open(live).await {
        Ok((_, opened)) if !opened.connected.is_empty() => None,
        Ok((agent, opened)) => {
            let workspace = &now.metadata.workspace;
            let prompt = prompt::system(&agent, workspace, &opened.fixed, &[]);
            Some(Box::new(prompt))
        }
        Err(error) => {
            tracing::warn!(
                conversation.id = %live.id, reason = %error.detail, "the agent cannot be set up"
            );
            None
        }
    }
}

/// Whether the agent's settings let its context be condensed. True, too, when they cannot be read: the run
/// will say why.
pub(crate) fn condenses(live: &LiveConversation) -> bool {
    let condenser = live.now().metadata.agent["condenser"].clone();
    !matches!(CondenserSettings::read(&condenser), Ok(None))
}

/// As [`open`], with the connections made that can be made now.
async fn open_and_connect(live: &LiveConversation) -> Result<(Agent, OpenedTools), SetupError> {
    let (agent, opened) = open(live).await?;
    let connects = opened.connected.iter().map(|connected| connected.connect());
    join_all(connects).await;
    Ok((agent, opened))
}

/// The agent, and its tools: those that are open already, or new ones, which stay open after the turn.
pub(super) async fn open(live: &LiveConversation) -> Result<(Agent, OpenedTools), SetupError> {
    let now = live.now();
    let agent = agent(live)?;
    if let Some(tools) = live.tools.get() {
        return Ok((agent, tools));
    }
    kept_files::restore(live).await;
    let environment = ToolEnvironment {
        workspace: workspace(live),
        files: ToolFiles::new(&live.folder),
        used_before: now.state.used_tools.clone(),
        found_before: now.state.found_tools.clone(),
        context_window: context_window(live, &agent),
        max_foreground_time: Some(live.runtime.config.max_foreground_terminal_timeout),
    };
    let sources = &live.runtime.config.tool_sources;
    let opened = agent_tools::open(sources, &agent, &environment).await?;
    Ok((agent, live.tools.keep(opened)))
}

/// Only of agents with servers that may have many tools.
fn context_window(live: &LiveConversation, agent: &Agent) -> Option<u64> {
    if agent.mcp_config.is_empty() {
        return None;
    }
    // A model that cannot be connected is the turn's error.
    let model = (live.runtime.config.connect)(&agent.llm).ok()?;
    model.limits().input_tokens
}

/// The agent's settings with their secrets.
pub(super) fn agent(live: &LiveConversation) -> Result<Agent, SetupError> {
    let mut settings = live.now().metadata.agent.clone();
    live.runtime.vault.open_all(&mut settings);
    Agent::deserialize(settings).map_err(|error| {
        SetupError::value(format!("this server cannot run such an agent: {error}"))
    })
}

fn workspace(live: &LiveConversation) -> Workspace {
    let folder = &live.now().metadata.workspace.working_dir;
    Workspace::new(folder, live.runtime.config.processes.clone())
}
