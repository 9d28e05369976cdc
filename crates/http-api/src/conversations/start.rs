mod limits;
mod parts;
mod secrets;

use std::collections::BTreeMap;

use agent_runtime::NewConversation;
use core_model::{
    Agent, ConfirmationPolicy, ConversationId, ConversationSettings, Workspace, budget::Budgets,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

pub(super) use self::{
    limits::tags as checked_tags,
    parts::{budgets as checked_budgets, check_llm},
};

use self::{
    parts::{
        AgentSettings, FirstMessage, SecurityAnalyzer, budgets, iterations, policy, read_agent,
        workspace,
    },
    secrets::{Secret, secrets},
};
use crate::{failure::Failure, operation::Dialect, request::RequestBody, validation::Problem};

/// How to start a conversation. Below `/conversations` every field is optional: without an agent the
/// server's default model works with the usual tools, without a workspace in the server's default folder. Below `/api/conversations` a workspace and one form of agent are required.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("examples" = [
    {"initial_message": "Write a haiku about rust into haiku.txt."},
    {
        "agent": {"kind": "Agent", "llm": {"model": "openai/gpt-5", "api_key": "sk-…"},
                  "tools": [{"name": "terminal"}, {"name": "file_editor"}]},
        "workspace": {"kind": "LocalWorkspace", "working_dir": "workspace/project"},
        "initial_message": {"role": "user", "content": [{"type": "text", "text": "Hi"}]}
    }
]))]
pub(super) struct StartConversation {
    /// Chosen by the client. An id that exists changes nothing: the answer is 200 and that
    /// conversation.
    conversation_id: Option<ConversationId>,
    #[schemars(with = "Option<Agent>")]
    agent: Option<Value>,
    /// A model to give the usual tools to.
    agent_settings: Option<AgentSettings>,
    /// A stored agent profile.
    agent_profile_id: Option<Uuid>,
    /// The folder the agent works in; it is created if it is missing.
    #[schemars(with = "Option<Workspace>")]
    workspace: Option<Value>,
    /// A text, or a message as `POST …/events` takes it. It starts a run.
    initial_message: Option<FirstMessage>,
    /// Model calls in one run.
    #[schemars(range(min = 1), extend("default" = 500))]
    max_iterations: Option<i64>,
    /// Whether an agent that repeats itself is stopped.
    #[schemars(extend("default" = true))]
    stuck_detection: Option<bool>,
    /// Which actions wait for a person's confirmation; none of them by default.
    #[schemars(with = "Option<ConfirmationPolicy>")]
    confirmation_policy: Option<Value>,
    /// What judges how risky an action is.
    security_analyzer: Option<SecurityAnalyzer>,
    hook_config: Option<Value>,
    /// At most 64. Keys of at most 64 lower-case letters and digits; values of at most 256 characters.
    tags: Option<BTreeMap<String, String>>,
    /// By name: a text, or where to get it from. Stored encrypted and never shown; commands do not get
    /// them yet.
    #[schemars(with = "Option<BTreeMap<String, Secret>>")]
    secrets: Option<Map<String, Value>>,
    /// Must be false: secrets are sent unencrypted.
    secrets_encrypted: Option<bool>,
    client_tools: Option<Vec<Value>>,
    /// Where a Python client finds its classes for a tool; echoed.
    tool_module_qualnames: Option<BTreeMap<String, String>>,
    user_id: Option<String>,
    /// Whether the conversation gets a title automatically, with its first message.
    #[schemars(extend("default" = true))]
    autotitle: Option<bool>,
    /// The stored model that writes the title. There are none yet: the agent's model writes it.
    title_llm_profile: Option<String>,
    /// How a model is asked for the title. `{conversation_content}` stands for the first message,
    /// `{max_length}` for the most characters of a title.
    #[schemars(length(max = 2000))]
    prompt: Option<String>,
    parent_conversation_id: Option<ConversationId>,
    /// What the conversation and each of its turns may spend.
    budgets: Option<Budgets>,
    /// Must be false: agents work in the workspace itself.
    worktree: Option<bool>,
    /// `local`.
    conversation_runtime: Option<String>,
}

impl RequestBody for StartConversation {
    const OPTIONAL: bool = true;
}

impl StartConversation {
    /// `limit`: bytes that may be stored with the conversation.
    ///
    /// # Errors
    /// All that is wrong with it, or what is not supported here.
    pub(super) fn into_new(
        self,
        dialect: Dialect,
        limit: usize,
    ) -> Result<NewConversation, Failure> {
        let mut problems = Vec::new();
        if dialect == Dialect::OpenHands && self.workspace.is_none() {
            problems.push(Problem::missing(&["body", "workspace"]));
        }
        self.refuse_unsupported()?;
        self.check_profile(&mut problems)?;
        let agent = read_agent_of(
            self.agent.as_ref(),
            self.agent_settings,
            self.agent_profile_id,
            dialect,
        );
        let agent = collect(&mut problems, agent).flatten();
        let workspace = self.workspace.as_ref().map(workspace).transpose();
        let message = self.initial_message.map(FirstMessage::into_content);
        let policy = self.confirmation_policy.as_ref().map(policy).transpose();
        let analyzer = self.security_analyzer.map(SecurityAnalyzer::into_known);
        let tags = limits::tags(self.tags.unwrap_or_default());
        let secrets = secrets(self.secrets.unwrap_or_default());
        problems.extend(limits::title_prompt(self.prompt.as_deref()));
        let defaults = ConversationSettings::default();
        let new = NewConversation {
            request: None,
            id: self.conversation_id,
            agent,
            workspace: collect(&mut problems, workspace).flatten(),
            initial_message: collect(&mut problems, message.transpose()).flatten(),
            settings: ConversationSettings {
                max_iterations: collect(&mut problems, iterations(self.max_iterations))
                    .unwrap_or(defaults.max_iterations),
                stuck_detection: self.stuck_detection.unwrap_or(defaults.stuck_detection),
                confirmation_policy: collect(&mut problems, policy).flatten().unwrap_or_default(),
                security_analyzer: collect(&mut problems, analyzer.transpose()).flatten(),
                hook_config: self.hook_config,
                tags: collect(&mut problems, tags).unwrap_or_default(),
                secrets: collect(&mut problems, secrets).unwrap_or_default(),
                client_tools: self.client_tools.unwrap_or_default(),
                tool_module_qualnames: self.tool_module_qualnames.unwrap_or_default(),
                user_id: self.user_id,
                // The request says it, not its body.
                api_key_name: None,
                autotitle: self.autotitle.unwrap_or(defaults.autotitle),
                title_llm_profile: self.title_llm_profile,
                title_prompt: self.prompt,
                parent_conversation_id: self.parent_conversation_id,
                budgets: collect(
                    &mut problems,
                    budgets(&["budgets"], self.budgets.unwrap_or_default()),
                )
                .unwrap_or_default(),
            },
        };
        problems.extend(limits::too_much(&new, limit));
        if problems.is_empty() {
            Ok(new)
        } else {
            Err(problems.into())
        }
    }

    /// Refuses what would otherwise silently mean something else than the client asked for.
    fn refuse_unsupported(&self) -> Result<(), Failure> {
        let refused = if self.secrets_encrypted == Some(true) {
            "secrets_encrypted is not supported: send secrets as they are"
        } else if self.worktree == Some(true) {
            "worktree is not supported: name a workspace of its own"
        } else if self
            .conversation_runtime
            .as_deref()
            .is_some_and(|runtime| runtime != "local")
        {
            "conversation_runtime: only `local` is available"
        } else {
            return Ok(());
        };
        Err(Failure::Unprocessable(refused.to_owned()))
    }

    fn check_profile(&self, problems: &mut Vec<Problem>) -> Result<(), Failure> {
        let Some(id) = self.agent_profile_id else {
            return Ok(());
        };
        let other = [
            ("agent", self.agent.is_some()),
            ("agent_settings", self.agent_settings.is_some()),
        ]
        .into_iter()
        .find(|(_, is_given)| *is_given);
        if let Some((other, _)) = other {
            let why = format!("`agent_profile_id` is mutually exclusive with `{other}`");
            problems.push(Problem::value_error(&["body"], &why));
            return Ok(());
        }
        if problems.is_empty() {
            Err(Failure::ProfileNotFound(id))
        } else {
            Ok(())
        }
    }
}

/// The agent that one of the three describes.
fn read_agent_of(
    agent: Option<&Value>,
    settings: Option<AgentSettings>,
    profile: Option<Uuid>,
    dialect: Dialect,
) -> Result<Option<Agent>, Vec<Problem>> {
    if let Some(agent) = agent {
        return read_agent(agent).map(Some);
    }
    if let Some(settings) = settings {
        return settings.into_agent().map(Some);
    }
    if dialect == Dialect::OpenHands && profile.is_none() {
        let why = "one of `agent`, `agent_settings` and `agent_profile_id` is required";
        return Err(vec![Problem::value_error(&["body"], why)]);
    }
    Ok(None)
}

fn collect<T>(problems: &mut Vec<Problem>, read: Result<T, Vec<Problem>>) -> Option<T> {
    read.map_err(|more| problems.extend(more)).ok()
}

#[cfg(test)]
mod tests;
