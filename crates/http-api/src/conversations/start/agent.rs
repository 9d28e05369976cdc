use core_model::{Agent, LlmSettings, ToolChoice};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::json::{at_least_one, given, is_null, object};
use crate::validation::{self, Problem};

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
    if is_null(fields.get("llm")) {
        return Err(vec![Problem::missing(&["body", "agent", "llm"])]);
    }
    if let Some(llm) = fields.get("llm") {
        object(llm, &["body", "agent", "llm"])?;
    }
    let limit = fields.get("tool_concurrency_limit");
    if let Some(limit) = limit.and_then(Value::as_i64).filter(|limit| *limit < 1) {
        return Err(vec![at_least_one(
            &["body", "agent", "tool_concurrency_limit"],
            limit,
        )]);
    }
    let agent: Agent = validation::typed(agent, &["body", "agent"])?;
    check_llm(&agent.llm, &["body", "agent", "llm"])?;
    Ok(agent)
}

fn read_settings(settings: &Value) -> Result<Agent, Vec<Problem>> {
    let at = ["body", "agent_settings"];
    let fields = object(settings, &at)?;
    let llm = fields.get("llm").filter(|llm| !llm.is_null());
    let llm = llm.ok_or_else(|| vec![Problem::missing(&["body", "agent_settings", "llm"])])?;
    let at_llm = ["body", "agent_settings", "llm"];
    object(llm, &at_llm)?;
    let mut agent = Agent::with_usual_tools(validation::typed(llm, &at_llm)?);
    check_llm(&agent.llm, &at_llm)?;
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

fn check_llm(llm: &LlmSettings, at: &[&str]) -> Result<(), Vec<Problem>> {
    llm.check().map_err(|wrong| {
        let path = wrong.path.iter().map(String::as_str);
        let at: Vec<&str> = at.iter().copied().chain(path).collect();
        let why = format!("it should be {}", wrong.expected);
        vec![Problem::value_error(&at, &why)]
    })
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
