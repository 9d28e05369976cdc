use std::collections::BTreeMap;

use agent_runtime::NewConversation;
use core_model::{
    Agent, ConfirmationPolicy, Content, ConversationId, LlmSettings, ToolChoice, Workspace,
    WorkspaceKind,
};
use schemars::JsonSchema;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{SendMessage, TextOrParts, kept};
use crate::{
    error::Failure,
    extract::{Dialect, RequestBody},
    validation::{self, Problem},
};

const SECURITY_ANALYZERS: [&str; 6] = [
    "LLMSecurityAnalyzer",
    "PatternSecurityAnalyzer",
    "PolicyRailSecurityAnalyzer",
    "EnsembleSecurityAnalyzer",
    "GraySwanAnalyzer",
    "ToolShieldLLMSecurityAnalyzer",
];
const SECRET_SOURCES: [&str; 2] = ["StaticSecret", "LookupSecret"];

/// What it takes to start a conversation. Below `/conversations` every field is optional: without an
/// agent the server's default model works with the usual tools, without a workspace in the server's
/// default folder. Below `/api/conversations` a workspace and one form of agent are required.
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
pub(crate) struct StartConversation {
    /// Chosen by the client. An id that exists changes nothing: the answer is 200 and that
    /// conversation.
    conversation_id: Option<ConversationId>,
    #[schemars(with = "Option<Agent>")]
    agent: Option<Value>,
    /// A model to give the usual tools to.
    #[schemars(with = "Option<AgentSettings>")]
    agent_settings: Option<Value>,
    /// A stored agent profile.
    agent_profile_id: Option<Uuid>,
    /// The folder the agent works in; it is made when it is missing.
    #[schemars(with = "Option<Workspace>")]
    workspace: Option<Value>,
    /// A text, or a message as `POST …/events` takes it. It starts a run.
    #[schemars(with = "Option<FirstMessage>")]
    initial_message: Option<Value>,
    /// Model calls in one run.
    #[schemars(range(min = 1), extend("default" = 500))]
    max_iterations: Option<i64>,
    /// Whether an agent that goes in circles is stopped.
    #[schemars(extend("default" = true))]
    stuck_detection: Option<bool>,
    /// Which actions wait for a person's consent; none of them when left out.
    #[schemars(with = "Option<ConfirmationPolicy>")]
    confirmation_policy: Option<Value>,
    /// What judges how risky an action is.
    #[schemars(with = "Option<SecurityAnalyzer>")]
    security_analyzer: Option<Value>,
    hook_config: Option<Value>,
    /// At most 64. Names of lower case letters and digits, at most 64 of them; values of at most 256
    /// characters.
    tags: Option<BTreeMap<String, String>>,
    /// By name: a text, or where to get it from. Kept encrypted and never shown; commands do not get
    /// them yet.
    #[schemars(with = "Option<BTreeMap<String, Secret>>")]
    secrets: Option<Map<String, Value>>,
    /// Must be false: secrets are taken as they are.
    secrets_encrypted: Option<bool>,
    client_tools: Option<Vec<Value>>,
    /// Where a Python client finds its classes for a tool; echoed.
    tool_module_qualnames: Option<BTreeMap<String, String>>,
    user_id: Option<String>,
    /// Whether the conversation gets a title by itself.
    #[schemars(extend("default" = true))]
    autotitle: Option<bool>,
    parent_conversation_id: Option<ConversationId>,
    /// Must be false: agents work in the workspace itself.
    worktree: Option<bool>,
    /// `local`.
    conversation_runtime: Option<String>,
}

impl RequestBody for StartConversation {
    const OPTIONAL: bool = true;
}

/// A model, and tools if not the usual ones.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "describes a part of the request")]
struct AgentSettings {
    llm: LlmSettings,
    tools: Option<Vec<ToolChoice>>,
}

/// A text, or a message.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "describes a part of the request")]
enum FirstMessage {
    Text(String),
    Message {
        role: Option<String>,
        content: TextOrParts,
    },
}

/// One of the known ways to judge an action.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "describes a part of the request")]
struct SecurityAnalyzer {
    kind: String,
}

/// A secret's text, or where to get it from.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "describes a part of the request")]
enum Secret {
    Text(String),
    Source {
        kind: Option<String>,
        value: Option<String>,
        description: Option<String>,
    },
}

impl StartConversation {
    /// `limit`: bytes that may be kept with the conversation.
    ///
    /// # Errors
    /// All that is wrong with it, or that it cannot be had here.
    pub(crate) fn into_new(
        self,
        dialect: Dialect,
        limit: usize,
    ) -> Result<NewConversation, Failure> {
        let mut problems = Vec::new();
        if dialect == Dialect::OpenHands && is_null(self.workspace.as_ref()) {
            problems.push(Problem::missing(&["body", "workspace"]));
        }
        self.refuse_what_is_not_here()?;
        self.choose_profile(&mut problems)?;
        let agent = collect(&mut problems, self.agent(dialect)).flatten();
        let defaults = NewConversation::default();
        let new = NewConversation {
            request: None,
            id: self.conversation_id,
            agent,
            workspace: collect(&mut problems, given(self.workspace.as_ref(), workspace)).flatten(),
            initial_message: collect(&mut problems, given(self.initial_message.as_ref(), message))
                .flatten(),
            max_iterations: collect(&mut problems, iterations(self.max_iterations))
                .unwrap_or(defaults.max_iterations),
            stuck_detection: self.stuck_detection.unwrap_or(defaults.stuck_detection),
            confirmation_policy: collect(
                &mut problems,
                given(self.confirmation_policy.as_ref(), policy),
            )
            .flatten()
            .unwrap_or_default(),
            security_analyzer: collect(
                &mut problems,
                given(self.security_analyzer.as_ref(), analyzer),
            )
            .flatten(),
            hook_config: self.hook_config.filter(|config| !config.is_null()),
            tags: collect(&mut problems, kept::tags(self.tags.unwrap_or_default()))
                .unwrap_or_default(),
            secrets: collect(&mut problems, secrets(self.secrets.unwrap_or_default()))
                .unwrap_or_default(),
            client_tools: self.client_tools.unwrap_or_default(),
            tool_module_qualnames: self.tool_module_qualnames.unwrap_or_default(),
            user_id: self.user_id,
            autotitle: self.autotitle.unwrap_or(defaults.autotitle),
            parent_conversation_id: self.parent_conversation_id,
        };
        problems.extend(kept::too_much(&new, limit));
        if problems.is_empty() {
            Ok(new)
        } else {
            Err(problems.into())
        }
    }

    /// What would silently mean something else than the client asked for.
    fn refuse_what_is_not_here(&self) -> Result<(), Failure> {
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

    fn choose_profile(&self, problems: &mut Vec<Problem>) -> Result<(), Failure> {
        let Some(id) = self.agent_profile_id else {
            return Ok(());
        };
        let other = [
            ("agent", &self.agent),
            ("agent_settings", &self.agent_settings),
        ]
        .into_iter()
        .find(|(_, value)| !is_null(value.as_ref()));
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

    fn agent(&self, dialect: Dialect) -> Result<Option<Agent>, Vec<Problem>> {
        if let Some(agent) = self.agent.as_ref().filter(|agent| !agent.is_null()) {
            return read_agent(agent).map(Some);
        }
        if let Some(settings) = self
            .agent_settings
            .as_ref()
            .filter(|agent| !agent.is_null())
        {
            return read_settings(settings).map(Some);
        }
        if dialect == Dialect::OpenHands && self.agent_profile_id.is_none() {
            let why = "one of `agent`, `agent_settings` and `agent_profile_id` is required";
            return Err(vec![Problem::value_error(&["body"], why)]);
        }
        Ok(None)
    }
}

fn is_null(value: Option<&Value>) -> bool {
    value.is_none_or(Value::is_null)
}

fn collect<T>(problems: &mut Vec<Problem>, read: Result<T, Vec<Problem>>) -> Option<T> {
    read.map_err(|more| problems.extend(more)).ok()
}

fn given<T>(
    value: Option<&Value>,
    read: impl Fn(&Value) -> Result<T, Vec<Problem>>,
) -> Result<Option<T>, Vec<Problem>> {
    value.filter(|value| !value.is_null()).map(read).transpose()
}

fn object<'a>(value: &'a Value, at: &[&str]) -> Result<&'a Map<String, Value>, Vec<Problem>> {
    value.as_object().ok_or_else(|| {
        vec![Problem::new(
            "dict_type",
            at,
            "Input should be a valid object",
        )]
    })
}

fn read_agent(agent: &Value) -> Result<Agent, Vec<Problem>> {
    let fields = object(agent, &["body", "agent"])?;
    let kind = fields.get("kind").and_then(Value::as_str);
    if let Some(kind) = kind.filter(|kind| *kind != "Agent") {
        return Err(vec![
            Problem::choice(&["body", "agent", "kind"], &["Agent"]).input(kind),
        ]);
    }
    if is_null(fields.get("llm")) {
        return Err(vec![Problem::missing(&["body", "agent", "llm"])]);
    }
    let agent: Agent = validation::typed(agent, &["body", "agent"])?;
    if agent.tool_concurrency_limit == 0 {
        return Err(vec![at_least_one(
            &["body", "agent", "tool_concurrency_limit"],
            0,
        )]);
    }
    Ok(agent)
}

fn read_settings(settings: &Value) -> Result<Agent, Vec<Problem>> {
    let at = ["body", "agent_settings"];
    let fields = object(settings, &at)?;
    let llm = fields.get("llm").filter(|llm| !llm.is_null());
    let llm = llm.ok_or_else(|| vec![Problem::missing(&["body", "agent_settings", "llm"])])?;
    let mut agent =
        Agent::with_usual_tools(validation::typed(llm, &["body", "agent_settings", "llm"])?);
    if let Some(tools) = part(fields, "tools", &at)? {
        agent.tools = tools;
    }
    if let Some(config) = part(fields, "mcp_config", &at)? {
        agent.mcp_config = config;
    }
    agent.agent_context = fields
        .get("agent_context")
        .filter(|it| !it.is_null())
        .cloned();
    agent.condenser = fields
        .get("condenser")
        .filter(|it| it.get("kind").is_some())
        .cloned();
    Ok(agent)
}

fn part<T: DeserializeOwned>(
    fields: &Map<String, Value>,
    name: &str,
    at: &[&str],
) -> Result<Option<T>, Vec<Problem>> {
    given(fields.get(name), |value| {
        validation::typed(value, &[at, &[name]].concat())
    })
}

fn workspace(value: &Value) -> Result<Workspace, Vec<Problem>> {
    let at = ["body", "workspace"];
    let fields = object(value, &at)?;
    let kind = fields
        .get("kind")
        .and_then(Value::as_str)
        .unwrap_or("LocalWorkspace");
    if kind != "LocalWorkspace" {
        let kind_at = ["body", "workspace", "kind"];
        return Err(vec![
            Problem::choice(&kind_at, &["LocalWorkspace"]).input(kind),
        ]);
    }
    let folder = fields.get("working_dir");
    let folder =
        folder.ok_or_else(|| vec![Problem::missing(&["body", "workspace", "working_dir"])])?;
    let working_dir: String = validation::typed(folder, &["body", "workspace", "working_dir"])?;
    if working_dir.trim().is_empty() || working_dir.contains('\0') {
        let why = "working_dir must name a folder";
        return Err(vec![Problem::value_error(
            &["body", "workspace", "working_dir"],
            why,
        )]);
    }
    Ok(Workspace {
        working_dir,
        kind: WorkspaceKind::LocalWorkspace,
    })
}

fn message(value: &Value) -> Result<Vec<Content>, Vec<Problem>> {
    let at = ["body", "initial_message"];
    if let Some(text) = value.as_str() {
        return super::checked(vec![Content::text(text)], &at);
    }
    validation::object::<SendMessage>(value, &at)?.content(&at)
}

fn iterations(given: Option<i64>) -> Result<u32, Vec<Problem>> {
    let Some(given) = given else {
        return Ok(NewConversation::default().max_iterations);
    };
    if given < 1 {
        return Err(vec![at_least_one(&["body", "max_iterations"], given)]);
    }
    // Beyond what can be counted there is no difference any more.
    Ok(u32::try_from(given).unwrap_or(u32::MAX))
}

fn at_least_one(at: &[&str], given: i64) -> Problem {
    Problem::new(
        "greater_than_equal",
        at,
        "Input should be greater than or equal to 1",
    )
    .input(given)
    .ctx("ge", 1)
}

/// Plain, or wrapped as `POST …/confirmation_policy` takes it.
fn policy(value: &Value) -> Result<ConfirmationPolicy, Vec<Problem>> {
    validation::typed(
        value.get("policy").unwrap_or(value),
        &["body", "confirmation_policy"],
    )
}

fn analyzer(value: &Value) -> Result<Value, Vec<Problem>> {
    let kind = value
        .get("kind")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if !SECURITY_ANALYZERS.contains(&kind) {
        let at = ["body", "security_analyzer", "kind"];
        return Err(vec![Problem::choice(&at, &SECURITY_ANALYZERS).input(kind)]);
    }
    Ok(value.clone())
}

/// Brings each secret into the form `{kind, value, description, …}`.
fn secrets(given: Map<String, Value>) -> Result<Map<String, Value>, Vec<Problem>> {
    let mut read = Map::new();
    let mut problems = Vec::new();
    for (name, secret) in given {
        let at = ["body", "secrets", name.as_str()];
        let source = match secret {
            Value::String(value) => Ok(static_secret(&json!(value), &Value::Null)),
            Value::Object(fields) => secret_source(fields, &at),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
                let msg = "Input should be a string or a secret source";
                Err(vec![Problem::new("value_error", &at, msg)])
            }
        };
        match source {
            Ok(source) => {
                read.insert(name, source);
            }
            Err(more) => problems.extend(more),
        }
    }
    if problems.is_empty() {
        Ok(read)
    } else {
        Err(problems)
    }
}

fn secret_source(fields: Map<String, Value>, at: &[&str]) -> Result<Value, Vec<Problem>> {
    let null = Value::Null;
    let field = |name: &str| fields.get(name).unwrap_or(&null);
    match field("kind").as_str().unwrap_or("StaticSecret") {
        "StaticSecret" if field("value").is_string() => {
            Ok(static_secret(field("value"), field("description")))
        }
        "StaticSecret" => Err(vec![Problem::missing(&[at, &["value"]].concat())]),
        "LookupSecret" if field("url").is_string() => Ok(Value::Object(fields)),
        "LookupSecret" => Err(vec![Problem::missing(&[at, &["url"]].concat())]),
        _ => Err(vec![Problem::choice(
            &[at, &["kind"]].concat(),
            &SECRET_SOURCES,
        )]),
    }
}

fn static_secret(value: &Value, description: &Value) -> Value {
    json!({"kind": "StaticSecret", "description": description, "value": value})
}

#[cfg(test)]
#[path = "start_tests.rs"]
mod tests;
