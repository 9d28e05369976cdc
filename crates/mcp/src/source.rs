use std::{collections::BTreeSet, sync::Arc};

use agent_tools::{ConnectedTools, OpenError, ToolEnvironment, ToolFilter, ToolSource, Tools};
use async_trait::async_trait;
use core_model::{Agent, mcp};

use crate::{McpSettings, servers::Servers};

/// The tools of the servers in an agent's `mcp_config`.
#[derive(Clone, Copy, Debug, Default)]
pub struct McpTools(McpSettings);

impl McpTools {
    #[must_use]
    pub fn new(settings: McpSettings) -> Self {
        Self(settings)
    }
}

#[async_trait]
impl ToolSource for McpTools {
    async fn open(&self, _: &Agent, _: &ToolEnvironment) -> Result<Tools, OpenError> {
        Ok(Tools::new())
    }

    fn connected(
        &self,
        agent: &Agent,
        environment: &ToolEnvironment,
        taken: &BTreeSet<String>,
    ) -> Result<Option<Arc<dyn ConnectedTools>>, OpenError> {
        let servers = mcp::each_server(&agent.mcp_config);
        if servers.is_empty() {
            return Ok(None);
        }
        let filter = ToolFilter::of(agent).map_err(OpenError::Settings)?;
        let servers = Servers::new(servers, self.0, environment, taken, filter);
        Ok(Some(Arc::new(servers)))
    }
}
