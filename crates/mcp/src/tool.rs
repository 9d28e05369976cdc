//! One tool of a server.

use std::sync::Arc;

use agent_tools::{Tool, ToolCall, ToolError, ToolTraits};
use async_trait::async_trait;
use core_model::{Observation, event::ToolDefinition};
use serde_json::{Map, Value};
use tokio::task::spawn_blocking;
use workspace::ToolFiles;

use crate::{
    listed::ListedTool,
    result::{self, OBSERVATION_KIND, text_observation},
    server::{CallError, Server},
};

pub(crate) struct McpTool {
    /// By which the model calls it.
    pub(crate) name: String,
    pub(crate) listed: ListedTool,
    pub(crate) server: Arc<Server>,
    pub(crate) files: ToolFiles,
    /// Whether there are too many tools to offer it before it is found.
    pub(crate) is_deferred: bool,
}

#[async_trait]
impl Tool for McpTool {
    fn name(&self) -> &str {
        &self.name
    }

    fn definition(&self) -> ToolDefinition {
        definition(&self.name, &self.listed)
    }

    fn parameters(&self) -> Value {
        self.listed.parameters.clone()
    }

    fn traits(&self) -> ToolTraits {
        if self.listed.is_read_only() {
            ToolTraits::LOOKS
        } else {
            ToolTraits::NONE
        }
    }

    fn is_deferred(&self) -> bool {
        self.is_deferred
    }

    fn action(&self, arguments: Map<String, Value>) -> Result<Map<String, Value>, ToolError> {
        let required = self.listed.parameters["required"].as_array();
        let missing = |name: &&str| !arguments.contains_key(*name);
        let names = required.into_iter().flatten().filter_map(Value::as_str);
        let missing: Vec<&str> = names.filter(missing).collect();
        if missing.is_empty() {
            return Ok(result::action(arguments));
        }
        let mut text = format!("{} must be given", missing.join(", "));
        if self.is_deferred {
            text.push_str(&format!(". Its parameters are: {}", self.listed.parameters));
        }
        Err(ToolError::Arguments(text))
    }

    async fn run(&self, call: ToolCall<'_>) -> Result<Observation, ToolError> {
        let arguments = match call.action.get("data") {
            Some(Value::Object(arguments)) => arguments.clone(),
            Some(_) | None => Map::new(),
        };
        let cancel = &call.signals.cancel;
        match self.server.call(&self.listed.name, arguments, cancel).await {
            Ok(answer) => {
                let (name, files) = (self.name.clone(), self.files.clone());
                let read = spawn_blocking(move || result::read(&name, answer, &files));
                read.await
                    .map_err(|error| ToolError::Failed(error.to_string()))
            }
            Err(CallError::Cancelled) => Err(ToolError::Cancelled),
            Err(CallError::Failed(text)) => Ok(text_observation(&self.name, text, true)),
        }
    }
}

/// What clients see of a tool that the model calls `name`.
pub(crate) fn definition(name: &str, listed: &ListedTool) -> ToolDefinition {
    ToolDefinition {
        description: listed.description.clone(),
        action_type: "MCPToolAction".to_owned(),
        observation_type: Some(OBSERVATION_KIND.to_owned()),
        annotations: listed.annotations.clone(),
        kind: "MCPToolDefinition".to_owned(),
        title: name.to_owned(),
        mcp_tool: Some(listed.as_mcp(name)),
    }
}
