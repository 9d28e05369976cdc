//! The servers of one conversation and their tools.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use agent_tools::{ConnectedTools, ConnectionReport, ToolEnvironment, ToolFilter, Tools};
use async_trait::async_trait;
use core_model::mcp::{InvalidMcpConfig, McpServer};
use futures_util::future::join_all;
use serde_json::{Map, Value, json};
use workspace::ToolFiles;

use crate::{
    McpSettings,
    listed::ListedTool,
    names::Names,
    search::{self, Found, SearchTools},
    server::{Server, Status, View},
    tool::McpTool,
};

/// More tools are found by a search.
const MOST_OFFERED: usize = 40;
/// So are they when their descriptions take more than one part in this many of the model's window.
const PART_OF_WINDOW: u64 = 10;
const BYTES_PER_TOKEN: u64 = 4;

pub(crate) struct Servers {
    servers: Vec<Arc<Server>>,
    /// Of servers that stored settings describe wrongly: name and reason.
    unusable: Vec<(String, String)>,
    files: ToolFiles,
    filter: ToolFilter,
    context_window: Option<u64>,
    found: Found,
    /// Once there were too many, they stay so: what is offered should change rarely.
    is_deferred: AtomicBool,
    names: Mutex<Names>,
    tools: Mutex<Tools>,
}

impl Servers {
    pub(crate) fn new(
        configs: Vec<(String, Result<McpServer, InvalidMcpConfig>)>,
        settings: McpSettings,
        environment: &ToolEnvironment,
        taken: &BTreeSet<String>,
        filter: ToolFilter,
    ) -> Self {
        let several = configs.len() > 1;
        let mut taken = taken.clone();
        taken.insert(search::NAME.to_owned());
        let mut unusable = Vec::new();
        let mut usable = Vec::new();
        for (name, config) in configs {
            match config {
                Ok(config) => usable.push(config),
                Err(error) => unusable.push((name, error.to_string())),
            }
        }
        let open = |config: McpServer| {
            let (workspace, files) = (&environment.workspace, &environment.files);
            Arc::new(Server::new(
                config,
                settings,
                workspace.clone(),
                files.clone(),
            ))
        };
        Self {
            servers: usable.into_iter().map(open).collect(),
            unusable,
            files: environment.files.clone(),
            filter,
            context_window: environment.context_window,
            found: Found::new(environment.found_before.clone()),
            is_deferred: AtomicBool::new(false),
            names: Mutex::new(Names::new(taken, several)),
            tools: Mutex::default(),
        }
    }

    /// Makes the tools anew from what the servers list now.
    fn rebuild(&self) {
        let mut listed: Vec<(String, ListedTool, Arc<Server>)> = Vec::new();
        {
            let mut names = lock(&self.names);
            for server in &self.servers {
                for tool in server.view().tools {
                    let name = names.of(server.name(), &tool.name);
                    if self.filter.allows(&name) {
                        listed.push((name, tool, Arc::clone(server)));
                    }
                }
            }
        }
        if self.are_too_many(&listed) {
            self.is_deferred.store(true, Ordering::Relaxed);
        }
        let is_deferred = self.is_deferred.load(Ordering::Relaxed);
        let tools = listed.into_iter().map(|(name, listed, server)| {
            Arc::new(McpTool {
                name,
                listed,
                server,
                files: self.files.clone(),
                is_deferred,
            })
        });
        let tools: Vec<Arc<McpTool>> = tools.collect();
        let mut all = Tools::new();
        if is_deferred {
            all.push(Arc::new(SearchTools::new(
                tools.clone(),
                self.found.clone(),
            )));
        }
        all.extend(
            tools
                .into_iter()
                .map(|tool| tool as Arc<dyn agent_tools::Tool>),
        );
        *lock(&self.tools) = all;
    }

    fn are_too_many(&self, listed: &[(String, ListedTool, Arc<Server>)]) -> bool {
        let bytes = |(name, tool, _): &(String, ListedTool, Arc<Server>)| {
            name.len() + tool.description.len() + tool.parameters.to_string().len()
        };
        let tokens = listed.iter().map(bytes).sum::<usize>() as u64 / BYTES_PER_TOKEN;
        let room = self.context_window.map(|window| window / PART_OF_WINDOW);
        listed.len() > MOST_OFFERED || room.is_some_and(|room| tokens > room)
    }
}

#[async_trait]
impl ConnectedTools for Servers {
    async fn connect(&self) {
        join_all(self.servers.iter().map(|server| server.connect())).await;
        self.rebuild();
    }

    async fn refresh(&self) {
        let before: Vec<_> = self
            .servers
            .iter()
            .map(|server| server.view().tools)
            .collect();
        join_all(self.servers.iter().map(|server| server.refresh())).await;
        let after: Vec<_> = self
            .servers
            .iter()
            .map(|server| server.view().tools)
            .collect();
        if before != after {
            self.rebuild();
        }
    }

    fn tools(&self) -> Tools {
        lock(&self.tools).clone()
    }

    fn found(&self) -> Vec<String> {
        self.found.names()
    }

    fn report(&self, told: &Value) -> Option<ConnectionReport> {
        let mut servers = Vec::new();
        let mut notices = Vec::new();
        let views = self
            .servers
            .iter()
            .map(|server| (server.name(), server.view()));
        let unusable = self.unusable.iter().map(|(name, error)| {
            let view = View {
                status: Status::Failed,
                error: Some(error.clone()),
                ..View::default()
            };
            (name.as_str(), view)
        });
        for (name, view) in views.chain(unusable) {
            let mut fact = Map::new();
            fact.insert("name".to_owned(), name.into());
            fact.insert("status".to_owned(), view.status.as_str().into());
            fact.insert("tools".to_owned(), view.tools.len().into());
            let had_failed = told_status(told, name) == Some(Status::Failed.as_str());
            let has_failed = view.status == Status::Failed;
            if let Some(error) = view.error {
                if !had_failed && has_failed {
                    notices.push(format!(
                        "[The MCP server `{name}` is not available, and its tools fail until it is: \
                         {error}]"
                    ));
                }
                fact.insert("error".to_owned(), error.into());
            }
            if had_failed && view.status == Status::Connected {
                notices.push(format!("[The MCP server `{name}` is available again.]"));
            }
            servers.push(Value::Object(fact));
        }
        let servers = json!(servers);
        (servers != *told).then(|| ConnectionReport {
            servers,
            notice: (!notices.is_empty()).then(|| notices.join("\n")),
        })
    }

    async fn close(&self) {
        join_all(self.servers.iter().map(|server| server.close())).await;
    }
}

fn told_status<'a>(told: &'a Value, name: &str) -> Option<&'a str> {
    let servers = told.as_array()?;
    let server = servers.iter().find(|server| server["name"] == name)?;
    server["status"].as_str()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
