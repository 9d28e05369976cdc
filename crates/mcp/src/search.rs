//! The tool that finds tools, where there are too many to offer them all.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use agent_tools::{Tool, ToolCall, ToolError, ToolTraits};
use async_trait::async_trait;
use core_model::{
    Observation,
    event::{ToolAnnotations, ToolDefinition},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    listed::ListedTool,
    result::{self, text_observation},
    tool::{McpTool, definition},
};

pub(crate) const NAME: &str = "search_tools";
const DEFAULT_RESULTS: usize = 5;
const MOST_RESULTS: usize = 20;
/// Of one line of the list, in characters.
const LONGEST_LINE: usize = 80;
/// Of the list with a line each; a longer one has names alone.
const LONGEST_LIST: usize = 20_000;

/// Names of tools that were found, in the order of finding.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found(Arc<Mutex<Vec<String>>>);

impl Found {
    pub(crate) fn new(names: Vec<String>) -> Self {
        Self(Arc::new(Mutex::new(names)))
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.lock().clone()
    }

    fn add(&self, name: &str) {
        let mut names = self.lock();
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Finds tools by words, and has what it finds offered from the next step on.
pub(crate) struct SearchTools {
    tools: Vec<Arc<McpTool>>,
    found: Found,
    described: ListedTool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    query: String,
    limit: Option<usize>,
}

impl SearchTools {
    pub(crate) fn new(tools: Vec<Arc<McpTool>>, found: Found) -> Self {
        let described = ListedTool {
            name: NAME.to_owned(),
            description: description(&tools),
            parameters: json!({
                "type": "object",
                "properties": {
                    "query": {
                        "type": "string",
                        "description": "Names of tools from the list, or words that say what the \
                            tools should do.",
                    },
                    "limit": {
                        "type": "integer",
                        "description": "How many tools to load at most: 1 to 20, 5 if left out.",
                    },
                },
                "required": ["query"],
            }),
            annotations: Some(ToolAnnotations {
                read_only_hint: true,
                idempotent_hint: true,
                ..ToolAnnotations::default()
            }),
        };
        Self {
            tools,
            found,
            described,
        }
    }
}

#[async_trait]
impl Tool for SearchTools {
    fn name(&self) -> &str {
        NAME
    }

    fn definition(&self) -> ToolDefinition {
        definition(NAME, &self.described)
    }

    fn parameters(&self) -> Value {
        self.described.parameters.clone()
    }

    fn traits(&self) -> ToolTraits {
        ToolTraits {
            harmless: true,
            ..ToolTraits::LOOKS
        }
    }

    fn action(&self, arguments: Map<String, Value>) -> Result<Map<String, Value>, ToolError> {
        read(&arguments).map_err(|error| ToolError::Arguments(error.to_string()))?;
        Ok(result::action(arguments))
    }

    async fn run(&self, call: ToolCall<'_>) -> Result<Observation, ToolError> {
        let data = call.action.get("data").and_then(Value::as_object);
        let read = read(&data.cloned().unwrap_or_default());
        let arguments = read.map_err(|error| ToolError::Failed(error.to_string()))?;
        let limit = arguments
            .limit
            .unwrap_or(DEFAULT_RESULTS)
            .clamp(1, MOST_RESULTS);
        let hits = search(&self.tools, &arguments.query, limit);
        if hits.is_empty() {
            let text = "No tool fits these words. Use names from the list, or other words.";
            return Ok(text_observation(NAME, text, false));
        }
        let mut text = "You can call these tools from your next reply on:".to_owned();
        for tool in hits {
            self.found.add(&tool.name);
            let line = first_line(&tool.listed.description);
            text.push_str(&format!("\n* `{}`: {line}", tool.name));
        }
        Ok(text_observation(NAME, text, false))
    }
}

fn read(arguments: &Map<String, Value>) -> Result<Arguments, serde_json::Error> {
    Arguments::deserialize(Value::Object(arguments.clone()))
}

fn description(tools: &[Arc<McpTool>]) -> String {
    let mut text = format!(
        "Load tools that are not offered yet. There are {} more tools than those you see; this finds \
         them by name or by words, and you can call what it finds from your next reply on. Search before \
         you say that something cannot be done.\n\nThe tools that can be loaded:",
        tools.len()
    );
    let lines = |tool: &Arc<McpTool>| {
        format!(
            "\n* `{}`: {}",
            tool.name,
            first_line(&tool.listed.description)
        )
    };
    let names = |tool: &Arc<McpTool>| format!("\n* `{}`", tool.name);
    let long: usize = tools.iter().map(|tool| lines(tool).len()).sum();
    for (listed, tool) in tools.iter().enumerate() {
        let line = if long > LONGEST_LIST {
            names(tool)
        } else {
            lines(tool)
        };
        if text.len() + line.len() > LONGEST_LIST + LONGEST_LINE {
            text.push_str(&format!("\n… and {} more", tools.len() - listed));
            break;
        }
        text.push_str(&line);
    }
    text
}

fn first_line(description: &str) -> String {
    let line = description.lines().next().unwrap_or_default().trim();
    let end = line.find(". ").map_or(line.len(), |end| end + 1);
    let line = &line[..end];
    match line.char_indices().nth(LONGEST_LINE) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// The best hits: exact names first, then by how many of the words stand in the name or the description.
fn search<'a>(tools: &'a [Arc<McpTool>], query: &str, limit: usize) -> Vec<&'a Arc<McpTool>> {
    let query = query.to_lowercase();
    let words: Vec<&str> = query
        .split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-')))
        .filter(|word| !word.is_empty())
        .collect();
    let score = |tool: &McpTool| -> usize {
        let name = tool.name.to_lowercase();
        let description = tool.listed.description.to_lowercase();
        let of_word = |word: &&str| {
            if name == **word {
                return 1_000;
            }
            usize::from(name.contains(*word)) * 10 + usize::from(description.contains(*word))
        };
        words.iter().map(of_word).sum()
    };
    let mut scored: Vec<(usize, &Arc<McpTool>)> =
        tools.iter().map(|tool| (score(tool), tool)).collect();
    scored.retain(|(score, _)| *score > 0);
    scored.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    scored
        .into_iter()
        .take(limit)
        .map(|(_, tool)| tool)
        .collect()
}
