use std::{path::PathBuf, sync::Arc};

use agent_tools::ToolFilter;
use core_model::{
    Agent, ConversationId, ConversationState, Delivery, Extent, Metadata, Seq, Snapshot,
    StoreError, WorkspaceKind, mcp,
    port::{Fault, FaultKind},
};
use serde_json::Value;
use workspace::Workspace;

use crate::{
    Conversation, Created, EventFilter, NewConversation, Request, Runtime, RuntimeError,
    conversation::{
        approvals::{check_analyzer, check_policy},
        handle::check,
    },
    residency::live_conversation::LiveConversation,
    turn::{budget::check_agent_prices, condense::settings::CondenserSettings},
};

impl Runtime {
    /// Creates a conversation, or finds the one that has the id already.
    ///
    /// # Errors
    /// [`RuntimeError::Invalid`] when the workspace cannot be created, [`RuntimeError::RunLimit`] when
    /// an initial message finds no run slot (then nothing was created), or a store error.
    ///
    /// # Cancel safety
    /// A dropped call is carried out all the same.
    pub async fn create(&self, new: NewConversation) -> Result<Created, RuntimeError> {
        if self.state().is_stopping() {
            return Err(RuntimeError::Stopping);
        }
        self.state().touch();
        let runtime = self.clone();
        self.run_detached(async move { create(&runtime, new).await })
            .await
    }
}

/// Creates its workspace, its stored form, its first message.
async fn create(runtime: &Runtime, new: NewConversation) -> Result<Created, RuntimeError> {
    if let Some(content) = &new.initial_message {
        check(content)?;
    }
    check_policy(&new.settings.confirmation_policy)
        .map_err(|why| RuntimeError::Invalid(why.to_owned()))?;
    if let Some(analyzer) = &new.settings.security_analyzer {
        check_analyzer(analyzer).map_err(|(_, why)| RuntimeError::Invalid(why))?;
    }
    if let Some(agent) = &new.agent {
        check_condenser(agent)?;
        check_fallback(runtime, agent)?;
        check_tools(agent)?;
    }
    let (request, chosen) = (new.request, new.id);
    let id = chosen
        .or(request.map(|request| ConversationId(request.id)))
        .unwrap_or_else(ConversationId::random);
    if chosen.is_some() || request.is_some_and(|request| request.begun) {
        match runtime.info(id).await {
            Ok(info) => {
                if let Some(request) = request.filter(|request| request.begun) {
                    return complete(runtime, id, request, new, chosen.is_none()).await;
                }
                return Ok(Created {
                    info,
                    existed: true,
                });
            }
            Err(RuntimeError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    // Taken before anything is created, so that nothing is created when there is none.
    let slot = match new.initial_message {
        Some(_) => Some(runtime.state().slots.take()?),
        None => None,
    };
    let initial_message = new.initial_message.clone();
    let metadata = metadata(runtime, id, new).await?;
    let Some(live) = store(runtime, metadata).await? else {
        return Ok(Created {
            info: runtime.info(id).await?,
            existed: true,
        });
    };
    let conversation = runtime.conversation(live);
    if let Some(content) = initial_message
        && let Err(error) = conversation
            .say(content, Delivery::Steer { run: true }, request, slot)
            .await
    {
        // The same request again would find a conversation, and its message would be lost. One with
        // a key knows what is missing. What has events is not taken away: others may have seen them.
        if request.is_none()
            && conversation.live.now().extent.len == Seq(0)
            && let Err(error) = runtime.delete(id).await
            // Somebody else may have deleted it meanwhile.
            && !matches!(error, RuntimeError::NotFound(_))
        {
            tracing::warn!(%error, conversation.id = %id, "a refused conversation stays, empty");
        }
        return Err(error);
    }
    Ok(Created {
        info: conversation.info(),
        existed: false,
    })
}

/// No run could start with a condenser that cannot work.
fn check_condenser(agent: &Agent) -> Result<(), RuntimeError> {
    let checked = CondenserSettings::of(agent);
    checked.map(drop).map_err(RuntimeError::Invalid)
}

/// Models that answer in place of another must be reachable before they are needed. The first model is tried
/// at once, and its error says what is wrong with it.
fn check_fallback(runtime: &Runtime, agent: &Agent) -> Result<(), RuntimeError> {
    if agent.llm.fallback_strategy.is_none() {
        return Ok(());
    }
    let connected = (runtime.state().config.connect)(&agent.llm);
    connected
        .map(drop)
        .map_err(|error| RuntimeError::Invalid(error.to_string()))
}

/// What is said of servers and of names of tools can be read.
fn check_tools(agent: &Agent) -> Result<(), RuntimeError> {
    ToolFilter::of(agent).map_err(RuntimeError::Invalid)?;
    let servers = mcp::servers(&agent.mcp_config);
    let invalid = |error| RuntimeError::Invalid(format!("mcp_config.{error}"));
    servers.map(drop).map_err(invalid)
}

/// Stores a new conversation and brings it into memory; none when its id is taken.
async fn store(
    runtime: &Runtime,
    metadata: Metadata,
) -> Result<Option<Arc<LiveConversation>>, RuntimeError> {
    let cache = &runtime.residency.cache;
    let store = &runtime.state().store;
    let id = metadata.id;
    let removals = cache.removals();
    match store.create(&metadata).await {
        Ok(()) => {}
        Err(StoreError::Exists(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let log = store.open(id).await?;
    let state = ConversationState::new(&metadata);
    let shared = Arc::clone(runtime.state());
    let fresh = LiveConversation::new(shared, log, Extent::default(), metadata, state);
    Ok(Some(match cache.put(fresh, removals) {
        Some(live) => live,
        None => runtime.recovered(id).await?,
    }))
}

/// The same creation again: what is missing is added. `ours`: nobody but this request can have created
/// the conversation.
async fn complete(
    runtime: &Runtime,
    id: ConversationId,
    request: Request,
    new: NewConversation,
    ours: bool,
) -> Result<Created, RuntimeError> {
    let conversation = runtime.open(id).await?;
    if let Some(content) = new.initial_message
        && (ours || wants_message(&conversation, request).await?)
    {
        conversation
            .deliver_once(request, content, Delivery::Steer { run: true })
            .await?;
    }
    Ok(Created {
        info: conversation.info(),
        existed: !ours,
    })
}

/// Whether a conversation that others may have created has this request's message, whose run may still be
/// missing, or no message at all.
async fn wants_message(
    conversation: &Conversation,
    request: Request,
) -> Result<bool, RuntimeError> {
    let log = &conversation.live.log;
    if log.find(&request.message()).await?.is_some() {
        return Ok(true);
    }
    let messages = EventFilter {
        kind: Some("MessageEvent".to_owned()),
        ..EventFilter::default()
    };
    Ok(conversation.count_events(&messages).await? == 0)
}

async fn metadata(
    runtime: &Runtime,
    id: ConversationId,
    new: NewConversation,
) -> Result<Metadata, RuntimeError> {
    let runtime_state = runtime.state();
    let mut agent = new
        .agent
        .unwrap_or_else(|| Agent::with_usual_tools(runtime_state.config.default_llm.clone()));
    agent.mcp_config = mcp::canonical(agent.mcp_config);
    check_agent_prices(&runtime_state.config.connect, &agent, &new.settings.budgets)?;
    let working_dir = match &new.workspace {
        Some(workspace) => PathBuf::from(&workspace.working_dir),
        None => runtime_state.config.default_workspace.clone(),
    };
    let working_dir = std::path::absolute(&working_dir)
        .map_err(|error| RuntimeError::Invalid(format!("workspace.working_dir: {error}")))?;
    let workspace = Workspace::new(&working_dir, runtime_state.config.processes.clone());
    workspace.create().await.map_err(|source| {
        let path = working_dir.display().to_string();
        match Fault::of(&source).kind {
            FaultKind::Full => RuntimeError::Store(StoreError::Io { path, source }),
            FaultKind::ReadOnly | FaultKind::Other => RuntimeError::Invalid(format!(
                "workspace.working_dir: cannot make `{path}`: {source}"
            )),
        }
    })?;
    workspace.ensure_repository().await;

    let mut settings = new.settings;
    for tool in &agent.tools {
        if let Some(module) = agent_tools::python_module(&tool.name) {
            settings
                .tool_module_qualnames
                .entry(tool.name.clone())
                .or_insert_with(|| module.to_owned());
        }
    }
    let mut agent = serde_json::to_value(agent)
        .map_err(|error| RuntimeError::Internal(format!("agent settings: {error}")))?;
    runtime_state.vault.seal_all(&mut agent)?;
    let mut secrets = Value::Object(settings.secrets);
    runtime_state.vault.seal_all(&mut secrets)?;
    settings.secrets = secrets
        .as_object_mut()
        .map(std::mem::take)
        .unwrap_or_default();
    let workspace = core_model::Workspace {
        working_dir: working_dir.display().to_string(),
        kind: WorkspaceKind::LocalWorkspace,
    };
    let mut metadata = Metadata {
        id,
        settings,
        ..Metadata::new(agent, workspace)
    };
    let state = ConversationState::new(&metadata);
    metadata.snapshot = Some(Snapshot {
        extent: Extent::default(),
        state,
    });
    Ok(metadata)
}
