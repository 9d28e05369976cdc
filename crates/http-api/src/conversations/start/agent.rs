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
