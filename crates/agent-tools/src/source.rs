use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use core_model::Agent;
use thiserror::Error;

use crate::{ConnectedTools, OpenedTools, Tool, ToolEnvironment, Tools, python_list::python_list};

/// How much of a tool's name that does not exist is repeated to the model.
const SHOWN_CHARS: usize = 100;

/// Where tools come from: they are built in, or behind a connection that opening them makes.
#[async_trait]
pub trait ToolSource: Send + Sync {
    /// Opens the tools that this source has for an agent, in the order in which the model is offered
    /// them.
    ///
    /// # Errors
    /// When the agent asks for a tool in a way that this source cannot serve.
    ///
    /// # Cancel safety
    /// What was opened is dropped.
    async fn open(&self, agent: &Agent, environment: &ToolEnvironment) -> Result<Tools, OpenError>;

    /// The tools of an agent that are behind connections, before any is made. `taken`: names that tools
    /// have already.
    ///
    /// # Errors
    /// As [`Self::open`].
    fn connected(
        &self,
        _agent: &Agent,
        _environment: &ToolEnvironment,
        _taken: &BTreeSet<String>,
    ) -> Result<Option<Arc<dyn ConnectedTools>>, OpenError> {
        Ok(None)
    }
}

/// Why an agent's tools cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OpenError {
    /// The agent names a tool that does not exist.
    #[error("no tool is registered as '{name}'; there are {known}", known = python_list(known.iter().copied()))]
    UnknownTool {
        name: String,
        known: Vec<&'static str>,
    },
    /// A tool's parameter is not valid.
    #[error("{tool}: params.{name}: expected {expected}, got {value}")]
    Parameter {
        tool: &'static str,
        name: &'static str,
        expected: String,
        value: String,
    },
    /// What the agent says of its tools is not valid.
    #[error("{0}")]
    Settings(String),
}

/// Opens the tools that all sources have for an agent, and makes no connection yet. Of several with one
/// name, the first counts.
///
/// # Errors
/// Those of the first source that fails.
///
/// # Cancel safety
/// What was opened is dropped.
pub async fn open(
    sources: &[Arc<dyn ToolSource>],
    agent: &Agent,
    environment: &ToolEnvironment,
) -> Result<OpenedTools, OpenError> {
    let mut opened = OpenedTools::default();
    let mut taken = BTreeSet::new();
    for source in sources {
        for tool in source.open(agent, environment).await? {
            if taken.insert(tool.name().to_owned()) {
                opened.fixed.push(tool);
            }
        }
    }
    for source in sources {
        let connected = source.connected(agent, environment, &taken)?;
        opened.connected.extend(connected);
    }
    Ok(opened)
}

/// The tool a model means by `called`: its name, or another name that models use for it. Letter case, spaces,
/// a namespace before the name (`functions.terminal`) and a control token behind it
/// (`terminal<|channel|>commentary`) do not matter.
#[must_use]
pub fn resolve<'a>(tools: &'a [Arc<dyn Tool>], called: &str) -> Option<&'a Arc<dyn Tool>> {
    by_name(tools, called).or_else(|| {
        let plain = plain_name(called);
        by_name(tools, &plain).or_else(|| {
            let (_, name) = plain.rsplit_once(['.', ':', '/'])?;
            by_name(tools, name)
        })
    })
}

fn by_name<'a>(tools: &'a [Arc<dyn Tool>], name: &str) -> Option<&'a Arc<dyn Tool>> {
    let named = tools.iter().find(|tool| tool.name() == name);
    named.or_else(|| tools.iter().find(|tool| tool.aliases().contains(&name)))
}

/// A name without what models and their templates put around it: `functions.terminal:0`, `Terminal `.
fn plain_name(called: &str) -> String {
    let before_token = called.split("<|").next().unwrap_or_default();
    let after_token = called.rsplit("|>").next().unwrap_or_default();
    let name = if before_token.trim().is_empty() {
        after_token
    } else {
        before_token
    };
    let name = name.trim().trim_end_matches("()");
    let name = match name.rsplit_once(':') {
        Some((name, count)) if count.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => name,
    };
    name.to_lowercase().replace([' ', '-'], "_")
}

/// What a model is answered when it calls a tool that it does not have.
#[must_use]
pub fn not_found(tools: &[Arc<dyn Tool>], called: &str) -> String {
    let names = python_list(tools.iter().map(|tool| tool.name()));
    let shown: String = called.chars().take(SHOWN_CHARS).collect();
    format!("Tool '{shown}' not found. Available: {names}")
}

#[cfg(test)]
mod tests;
