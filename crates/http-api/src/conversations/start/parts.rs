//! Parts of the body whose forms clients choose freely.

use agent_runtime::{check_analyzer, check_policy};
use core_model::{
    Agent, ConfirmationPolicy, Content, ConversationSettings, LlmSettings, ToolChoice, Workspace,
    WorkspaceKind, budget::Budgets, mcp,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{
    message::{SendMessage, TextOrParts, checked_content},
    validation::{self, Problem},
};

/// A model, and tools if not the usual ones.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct AgentSettings(#[schemars(schema_with = "settings_schema")] Value);

fn settings_schema(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "properties": {
            "llm": generator.subschema_for::<LlmSettings>(),
            "tools": generator.subschema_for::<Option<Vec<ToolChoice>>>()
        },
        "required": ["llm"]
    })
}

impl AgentSettings {
    /// # Errors
    /// What is wrong with them.
    pub(super) fn into_agent(self) -> Result<Agent, Vec<Problem>> {
        read_settings(&self.0)
    }
}

/// # Errors
/// What is wrong with it.
pub(super) fn read_agent(agent: &Value) -> Result<Agent, Vec<Problem>> {
    let fields = object(agent, &["body", "agent"])?;
    let kind = fields.get("kind").and_then(Value::as_str);
    if let Some(kind) = kind.filter(|kind| *kind != "Agent") {
        return Err(vec![
            Problem::choice(&["body", "agent", "kind"], &["Agent"]).input(kind),
        ]);
    }
    let at_llm = ["body", "agent", "llm"];
    let llm = given(fields, "llm").ok_or_else(|| vec![Problem::missing(&at_llm)])?;
    object(llm, &at_llm)?;
    let limit = fields.get("tool_concurrency_limit");
    if let Some(limit) = limit.and_then(Value::as_i64).filter(|limit| *limit < 1) {
        return Err(vec![at_least_one(
            &["body", "agent", "tool_concurrency_limit"],
            limit,
        )]);
    }
    let agent: Agent = validation::typed(agent, &["body", "agent"])?;
    check_llm(&agent.llm, &at_llm)?;
    check_mcp(&agent.mcp_config, &["body", "agent"])?;
    Ok(agent)
}

fn read_settings(settings: &Value) -> Result<Agent, Vec<Problem>> {
    let at = ["body", "agent_settings"];
    let fields = object(settings, &at)?;
    let at_llm = ["body", "agent_settings", "llm"];
    let llm = given(fields, "llm").ok_or_else(|| vec![Problem::missing(&at_llm)])?;
    object(llm, &at_llm)?;
    let mut agent = Agent::with_usual_tools(validation::typed(llm, &at_llm)?);
    check_llm(&agent.llm, &at_llm)?;
    if let Some(tools) = part(fields, "tools", &at)? {
        agent.tools = tools;
    }
    if let Some(config) = part(fields, "mcp_config", &at)? {
        agent.mcp_config = config;
    }
    check_mcp(&agent.mcp_config, &at)?;
    agent.agent_context = given(fields, "agent_context").cloned();
    agent.condenser = fields
        .get("condenser")
        .filter(|it| it.get("kind").is_some())
        .cloned();
    Ok(agent)
}

pub(in crate::conversations) fn check_llm(
    llm: &LlmSettings,
    at: &[&str],
) -> Result<(), Vec<Problem>> {
    llm.check().map_err(|wrong| {
        let path = wrong.path.iter().map(String::as_str);
        let at: Vec<&str> = at.iter().copied().chain(path).collect();
        let why = format!("it should be {}", wrong.expected);
        vec![Problem::value_error(&at, &why)]
    })
}

fn check_mcp(config: &Map<String, Value>, at: &[&str]) -> Result<(), Vec<Problem>> {
    mcp::servers(config).map(drop).map_err(|wrong| {
        let path = wrong.path.iter().map(String::as_str);
        let at = at.iter().copied().chain(["mcp_config"]).chain(path);
        vec![Problem::value_error(&at.collect::<Vec<_>>(), &wrong.reason)]
    })
}

fn part<T: DeserializeOwned>(
    fields: &Map<String, Value>,
    name: &str,
    at: &[&str],
) -> Result<Option<T>, Vec<Problem>> {
    let read = |value| validation::typed(value, &[at, &[name]].concat());
    given(fields, name).map(read).transpose()
}

/// A field that is there and not null.
fn given<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields.get(name).filter(|value| !value.is_null())
}

/// A text, or a message.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct FirstMessage(#[schemars(schema_with = "message_schema")] Value);

fn message_schema(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({"anyOf": [
        {"type": "string"},
        {
            "type": "object",
            "properties": {
                "role": {"type": ["string", "null"]},
                "content": generator.subschema_for::<TextOrParts>()
            },
            "required": ["content"]
        }
    ]})
}

impl FirstMessage {
    /// # Errors
    /// What is wrong with it.
    pub(super) fn into_content(self) -> Result<Vec<Content>, Vec<Problem>> {
        let at = ["body", "initial_message"];
        if let Some(text) = self.0.as_str() {
            return checked_content(vec![Content::text(text)], &at);
        }
        validation::object::<SendMessage>(&self.0, &at)?.content(&at)
    }
}

/// One of the known ways to judge an action.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct SecurityAnalyzer(#[schemars(schema_with = "analyzer_schema")] Value);

fn analyzer_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "properties": {"kind": {"type": "string"}},
        "required": ["kind"]
    })
}

impl SecurityAnalyzer {
    /// # Errors
    /// When it is not built in, or its settings are wrong.
    pub(super) fn into_known(self) -> Result<Value, Vec<Problem>> {
        checked_analyzer(self.0, &["body", "security_analyzer"])
    }
}

/// # Errors
/// When it is not built in, or its settings are wrong.
pub(in crate::conversations) fn checked_analyzer(
    settings: Value,
    at: &[&str],
) -> Result<Value, Vec<Problem>> {
    if let Err((field, why)) = check_analyzer(&settings) {
        let field = field.iter().map(String::as_str);
        let at: Vec<&str> = at.iter().copied().chain(field).collect();
        return Err(vec![Problem::value_error(&at, &why)]);
    }
    Ok(settings)
}

/// # Errors
/// What is wrong with it.
pub(super) fn workspace(value: &Value) -> Result<Workspace, Vec<Problem>> {
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

/// Model calls in one run.
///
/// # Errors
/// When there is not at least one.
pub(super) fn iterations(given: Option<i64>) -> Result<u32, Vec<Problem>> {
    let Some(given) = given else {
        return Ok(ConversationSettings::default().max_iterations);
    };
    if given < 1 {
        return Err(vec![at_least_one(&["body", "max_iterations"], given)]);
    }
    // Beyond what can be counted there is no difference.
    Ok(u32::try_from(given).unwrap_or(u32::MAX))
}

/// # Errors
/// When a limit is no number, or negative.
pub(in crate::conversations) fn budgets(
    at: &[&str],
    given: Budgets,
) -> Result<Budgets, Vec<Problem>> {
    for (scope, budget) in [("conversation", given.conversation), ("turn", given.turn)] {
        if let Some(limit) = budget.fault() {
            let place = [&["body"], at, &[scope, limit]].concat();
            let why = "a limit is a number of at least 0";
            return Err(vec![Problem::value_error(&place, why)]);
        }
    }
    Ok(given)
}

/// Plain, or wrapped as `POST …/confirmation_policy` takes it.
///
/// # Errors
/// What is wrong with it.
pub(super) fn policy(value: &Value) -> Result<ConfirmationPolicy, Vec<Problem>> {
    let policy = value.get("policy").unwrap_or(value);
    checked_policy(policy, &["body", "confirmation_policy"])
}

/// # Errors
/// What is wrong with it.
pub(in crate::conversations) fn checked_policy(
    value: &Value,
    at: &[&str],
) -> Result<ConfirmationPolicy, Vec<Problem>> {
    let policy = validation::typed(value, at)?;
    check_policy(&policy).map_err(|why| {
        let at = [at, &["threshold"]].concat();
        vec![Problem::value_error(&at, why)]
    })?;
    Ok(policy)
}

/// # Errors
/// When it is not an object.
fn object<'a>(value: &'a Value, at: &[&str]) -> Result<&'a Map<String, Value>, Vec<Problem>> {
    value.as_object().ok_or_else(|| {
        vec![Problem::new(
            "dict_type",
            at,
            "Input should be a valid object",
        )]
    })
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
