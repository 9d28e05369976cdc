use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use crate::{Tool, Tools};

/// Tools behind connections to other programs: which there are may change while they are open.
#[async_trait]
pub trait ConnectedTools: Send + Sync {
    /// Makes the connections that are missing, unless they failed so lately that another try is not yet
    /// due. Each takes a limited time, all of them together no longer.
    ///
    /// # Cancel safety
    /// Connections that were made stay.
    async fn connect(&self);

    /// Takes up what the other programs said has changed. Returns at once when that is nothing.
    ///
    /// # Cancel safety
    /// What was not taken up is the next time.
    async fn refresh(&self);

    /// The tools there are now, in the order in which the model is offered them.
    fn tools(&self) -> Tools;

    /// The names of tools that were found by a search, in the order of finding.
    fn found(&self) -> Vec<String>;

    /// What is to be told of the connections; `None` when it is what was `told` before.
    fn report(&self, told: &Value) -> Option<ConnectionReport>;

    /// Ends the connections, and the programs that were started for them. They can be made again.
    async fn close(&self);
}

/// What is to be told of connections.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionReport {
    /// For clients.
    pub servers: Value,
    /// For the model: what it has lost or got back.
    pub notice: Option<String>,
}

/// The tools that a conversation has open.
#[derive(Clone, Default)]
pub struct OpenedTools {
    /// They stay as they are, and come first.
    pub fixed: Tools,
    pub connected: Vec<Arc<dyn ConnectedTools>>,
}

impl OpenedTools {
    /// All that there are now.
    #[must_use]
    pub fn all(&self) -> Tools {
        let connected = self
            .connected
            .iter()
            .flat_map(|connected| connected.tools());
        self.fixed.iter().cloned().chain(connected).collect()
    }
}

/// The tools that a model is offered, in the order of offering: those that it gets only after a search
/// come last, in the order in which they were found.
#[must_use]
pub fn offered<'a>(tools: &'a [Arc<dyn Tool>], found: &[String]) -> Vec<&'a Arc<dyn Tool>> {
    let (deferred, mut offered): (Vec<_>, Vec<_>) =
        tools.iter().partition(|tool| tool.is_deferred());
    let by_name = |name: &String| deferred.iter().find(|tool| tool.name() == name).copied();
    offered.extend(found.iter().filter_map(by_name));
    offered
}
