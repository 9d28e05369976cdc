use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use agent_tools::process::ToolProcesses;
use core_model::{
    Agent, ConversationId, ConversationState, Metadata, Seq, Snapshot, StoreError, UtcTime,
    Workspace, WorkspaceKind,
    port::{Fault, FaultKind},
};
use serde_json::Value;

use crate::{
    Conversation, Created, EventFilter, NewConversation, Request, Runtime, RuntimeError,
    conversation::handle::check, folder_turns::FolderTurns,
    residency::live_conversation::LiveConversation,
};

/// Longer than any healthy `git init`.
const GIT_PATIENCE: Duration = Duration::from_secs(10);
/// By these git takes another place for the repository than the folder it is called in.
const ELSEWHERE: [&str; 5] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_INDEX_FILE",
];
/// One may meet another server's at work, or what a killed one left.
const GIT_ATTEMPTS: u32 = 10;
const BETWEEN_GIT_ATTEMPTS: Duration = Duration::from_millis(100);

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
        && let Err(error) = conversation.say(content, true, request, slot).await
    {
        // The same request again would find a conversation, and its message would be lost. One with
        // a key knows what is missing. What has events is not taken away: others may have seen them.
        if request.is_none()
            && conversation.live.now().len == Seq(0)
            && let Err(error) = runtime.delete(id).await
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
    let fresh = LiveConversation::new(Arc::clone(runtime.state()), log, metadata, state);
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
            .send_message_once(request, content, true)
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
    let working_dir = match &new.workspace {
        Some(workspace) => PathBuf::from(&workspace.working_dir),
        None => runtime_state.config.default_workspace.clone(),
    };
    let working_dir = std::path::absolute(&working_dir)
        .map_err(|error| RuntimeError::Invalid(format!("workspace.working_dir: {error}")))?;
    tokio::fs::create_dir_all(&working_dir)
        .await
        .map_err(|source| {
            let path = working_dir.display().to_string();
            match Fault::of(&source).kind {
                FaultKind::Full => RuntimeError::Store(StoreError::Io { path, source }),
                FaultKind::ReadOnly | FaultKind::Other => RuntimeError::Invalid(format!(
                    "workspace.working_dir: cannot make `{path}`: {source}"
                )),
            }
        })?;
    let place = place_for_repository(working_dir.clone()).await;
    if let Some(place) = place {
        init_repository(
            &runtime_state.folder_turns,
            &place,
            &runtime_state.config.processes,
        )
        .await;
    }

    let agent = new
        .agent
        .unwrap_or_else(|| Agent::with_usual_tools(runtime_state.config.default_llm.clone()));
    let mut tool_module_qualnames = new.tool_module_qualnames;
    for tool in &agent.tools {
        if let Some(module) = public_module(&tool.name) {
            tool_module_qualnames
                .entry(tool.name.clone())
                .or_insert_with(|| module.to_owned());
        }
    }
    let mut agent = serde_json::to_value(agent)
        .map_err(|error| RuntimeError::Internal(format!("agent settings: {error}")))?;
    runtime_state.vault.seal_all(&mut agent)?;
    let mut secrets = Value::Object(new.secrets);
    runtime_state.vault.seal_all(&mut secrets)?;
    let mut metadata = Metadata {
        format: Metadata::FORMAT,
        id,
        created_at: UtcTime::now(),
        title: None,
        agent,
        workspace: Workspace {
            working_dir: working_dir.display().to_string(),
            kind: WorkspaceKind::LocalWorkspace,
        },
        max_iterations: new.max_iterations,
        stuck_detection: new.stuck_detection,
        confirmation_policy: new.confirmation_policy,
        security_analyzer: new.security_analyzer,
        hook_config: new.hook_config,
        tags: new.tags,
        secrets: secrets
            .as_object_mut()
            .map(std::mem::take)
            .unwrap_or_default(),
        client_tools: new.client_tools,
        tool_module_qualnames,
        user_id: new.user_id,
        autotitle: new.autotitle,
        parent_conversation_id: new.parent_conversation_id,
        forked_from_conversation_id: None,
        forked_from_event_id: None,
        resume: false,
        torn: Vec::new(),
        snapshot: None,
    };
    let state = ConversationState::new(&metadata);
    metadata.snapshot = Some(Snapshot {
        as_of: Seq(0),
        bytes: 0,
        state,
    });
    Ok(metadata)
}

/// The Python module by which the public SDK knows a tool; it imports these when it attaches.
fn public_module(tool: &str) -> Option<&'static str> {
    match tool {
        "terminal" => Some("openhands.tools.terminal.definition"),
        "file_editor" => Some("openhands.tools.file_editor.definition"),
        "task_tracker" => Some("openhands.tools.task_tracker.definition"),
        _ => None,
    }
}

/// Where a workspace becomes a git repository; none where it must not.
async fn place_for_repository(working_dir: PathBuf) -> Option<PathBuf> {
    let shown = working_dir.display().to_string();
    let looked = tokio::task::spawn_blocking(move || agent_tools::repository_place(&working_dir));
    let place = looked.await.unwrap_or(Err("it could not be looked at"));
    place
        .inspect_err(|reason| tracing::debug!(reason, folder = shown, "no repository is made"))
        .ok()
}

/// A workspace is a git repository, so that what the agent changes can be seen: makes one unless the
/// folder lies in one already. Without git the conversation has none.
async fn init_repository(turns: &FolderTurns, working_dir: &Path, processes: &ToolProcesses) {
    // Conversations that begin in one folder at once: the first makes it, the others find it.
    let _turn = turns.of(working_dir).lock().await;
    if working_dir.ancestors().any(is_repository) {
        return;
    }
    for attempt in 1.. {
        let reason = match git_init(working_dir, processes).await {
            Ok(()) => return,
            Err(reason) => reason,
        };
        // Another server, or the user, made it at the same time.
        if is_repository(working_dir) {
            return;
        }
        if attempt == GIT_ATTEMPTS {
            tracing::warn!(%reason, "git init failed in the workspace");
            return;
        }
        remove_old_locks(working_dir);
        tokio::time::sleep(BETWEEN_GIT_ATTEMPTS).await;
    }
}

/// Whether there is a whole repository, or a link to one: what `git init` left when it was killed is
/// none, and made whole by the next one.
fn is_repository(folder: &Path) -> bool {
    let git = folder.join(".git");
    let parts = ["HEAD", "objects", "refs"];
    git.is_file() || parts.iter().all(|part| git.join(part).exists())
}

async fn git_init(working_dir: &Path, processes: &ToolProcesses) -> Result<(), String> {
    let mut git = tokio::process::Command::new("git");
    // Variables that a hook of git has, or a user set, would make it elsewhere.
    for variable in ELSEWHERE {
        git.env_remove(variable);
    }
    git.args(["init", "--quiet"])
        .env_clear()
        .envs(processes.environment())
        .current_dir(working_dir)
        .kill_on_drop(true);
    git.stdin(std::process::Stdio::null());
    match tokio::time::timeout(GIT_PATIENCE, git.output()).await {
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Ok(Err(error)) => {
            tracing::debug!(%error, "git is not available");
            Ok(())
        }
        Err(_late) => Err("it took too long".to_owned()),
    }
}

/// A `git init` that was killed leaves its lock files, which stop every later one. Those of one that
/// still runs are younger.
fn remove_old_locks(working_dir: &Path) {
    for name in ["config.lock", "HEAD.lock"] {
        let lock = working_dir.join(".git").join(name);
        let age = lock
            .metadata()
            .and_then(|lock| lock.modified())
            .ok()
            .and_then(|modified| modified.elapsed().ok());
        if age.is_some_and(|age| age > GIT_PATIENCE) {
            // If it cannot be removed, the next attempt says so.
            std::fs::remove_file(lock).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, time::SystemTime};

    use super::*;

    /// By git's own word.
    fn is_whole(folder: &Path) -> bool {
        let asked = std::process::Command::new("git")
            .args(["rev-parse", "--show-toplevel"])
            .current_dir(folder)
            .output()
            .unwrap();
        let top = String::from_utf8(asked.stdout).unwrap();
        asked.status.success() && Path::new(top.trim()) == folder.canonicalize().unwrap()
    }

    #[tokio::test]
    async fn conversations_that_begin_at_once_make_one_repository() {
        for _ in 0..10 {
            let processes = ToolProcesses::default();
            let folder = tempfile::tempdir().unwrap();
            // Two servers, with eight conversations each.
            let servers = [FolderTurns::default(), FolderTurns::default()];
            let begun = servers
                .iter()
                .cycle()
                .take(16)
                .map(|turns| init_repository(turns, folder.path(), &processes));
            futures_util::future::join_all(begun).await;
            assert!(is_whole(folder.path()));
            assert!(!folder.path().join(".git/config.lock").exists());
        }
    }

    #[tokio::test]
    async fn a_repository_that_a_crash_left_half_made_is_made_whole() {
        for left in ["config.lock", "HEAD.lock", "description"] {
            let folder = tempfile::tempdir().unwrap();
            let git = folder.path().join(".git");
            fs::create_dir(&git).unwrap();
            let file = fs::File::create(git.join(left)).unwrap();
            let long_ago = SystemTime::now() - 10 * GIT_PATIENCE;
            file.set_modified(long_ago).unwrap();
            init_repository(
                &FolderTurns::default(),
                folder.path(),
                &ToolProcesses::default(),
            )
            .await;
            assert!(is_whole(folder.path()), "{left}");
        }
    }

    #[tokio::test]
    async fn a_lock_that_is_in_use_stays_and_the_conversation_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(".git")).unwrap();
        let lock = folder.path().join(".git/config.lock");
        fs::write(&lock, "").unwrap();
        init_repository(
            &FolderTurns::default(),
            folder.path(),
            &ToolProcesses::default(),
        )
        .await;
        assert!(lock.exists());
    }
}
