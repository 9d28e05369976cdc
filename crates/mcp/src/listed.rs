//! A server's list of tools, read so that one bad entry costs nobody the others.

use core_model::event::ToolAnnotations;
use rmcp::{
    model::{
        ClientRequest, CustomResult, ListToolsRequest, ListToolsResult, PaginatedRequestParams,
        ServerResult,
    },
    service::{Peer, RoleClient},
};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{connection::chain, schema};

/// Of one server.
const MOST_TOOLS: usize = 1_000;
const MOST_PAGES: usize = 100;
/// In characters; what is longer is cut.
const LONGEST_DESCRIPTION: usize = 4_000;
const LONGEST_TITLE: usize = 200;
const LONGEST_NAME: usize = 512;

/// A tool as its server describes it, within our limits.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ListedTool {
    pub(crate) name: String,
    pub(crate) description: String,
    /// As [`schema::plain`] makes it.
    pub(crate) parameters: Value,
    pub(crate) annotations: Option<ToolAnnotations>,
}

/// The tools of a server, in its order.
///
/// # Errors
/// In words.
pub(crate) async fn list(peer: &Peer<RoleClient>) -> Result<Vec<ListedTool>, String> {
    let mut tools: Vec<ListedTool> = Vec::new();
    let mut cursor = None;
    for _page in 0..MOST_PAGES {
        let params =
            cursor.map(|cursor| PaginatedRequestParams::default().with_cursor(Some(cursor)));
        let request = ListToolsRequest {
            params,
            ..ListToolsRequest::default()
        };
        let answer = peer
            .send_request(ClientRequest::ListToolsRequest(request))
            .await
            .map_err(|error| format!("its tools cannot be listed: {}", chain(&error)))?;
        let (page, next) =
            entries(answer).ok_or("it answers something else than a list of tools")?;
        for entry in page {
            if let Some(tool) = ListedTool::read(&entry)
                && !tools.iter().any(|known| known.name == tool.name)
            {
                tools.push(tool);
            }
            if tools.len() == MOST_TOOLS {
                tracing::warn!(
                    most = MOST_TOOLS,
                    "an MCP server has more tools than are taken up"
                );
                return Ok(tools);
            }
        }
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    Ok(tools)
}

/// The entries of a page, and where the next one begins. An answer with a bad entry is none that the
/// protocol's types can hold.
fn entries(answer: ServerResult) -> Option<(Vec<Value>, Option<String>)> {
    if let ServerResult::ListToolsResult(ListToolsResult {
        tools, next_cursor, ..
    }) = answer
    {
        let tools = tools
            .iter()
            .filter_map(|tool| serde_json::to_value(tool).ok());
        return Some((tools.collect(), next_cursor));
    }
    let ServerResult::CustomResult(CustomResult(Value::Object(mut page))) = answer else {
        return None;
    };
    let Some(Value::Array(tools)) = page.remove("tools") else {
        return None;
    };
    let next = page.get("nextCursor").and_then(Value::as_str);
    Some((tools, next.map(str::to_owned)))
}

impl ListedTool {
    /// `None` for one that nobody could call.
    fn read(entry: &Value) -> Option<Self> {
        let text = |name: &str| entry.get(name).and_then(Value::as_str);
        let name = text("name").filter(|name| !name.is_empty() && name.len() <= LONGEST_NAME)?;
        let annotations = entry.get("annotations").filter(|it| it.is_object());
        let annotations = annotations.and_then(|it| {
            let mut read = ToolAnnotations::deserialize(it).ok()?;
            read.title = read.title.map(|title| cut(&title, LONGEST_TITLE));
            // The protocol's defaults are the cautious ones.
            read.destructive_hint |= it.get("destructiveHint").is_none() && !read.read_only_hint;
            read.open_world_hint |= it.get("openWorldHint").is_none();
            Some(read)
        });
        let description = text("description").filter(|it| !it.trim().is_empty());
        let description = description.or(text("title")).unwrap_or("No description.");
        let parameters = match entry.get("inputSchema") {
            Some(Value::Object(schema)) => schema::plain(schema),
            Some(_) | None => schema::open(),
        };
        Some(Self {
            name: name.to_owned(),
            description: cut(description.trim(), LONGEST_DESCRIPTION),
            parameters,
            annotations,
        })
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.annotations
            .as_ref()
            .is_some_and(|annotations| annotations.read_only_hint)
    }

    /// As the protocol writes it, with another name.
    pub(crate) fn as_mcp(&self, name: &str) -> Value {
        let mut tool = Map::new();
        tool.insert("name".to_owned(), name.into());
        tool.insert("description".to_owned(), self.description.clone().into());
        tool.insert("inputSchema".to_owned(), self.parameters.clone());
        if let Some(annotations) = &self.annotations
            && let Ok(annotations) = serde_json::to_value(annotations)
        {
            tool.insert("annotations".to_owned(), annotations);
        }
        Value::Object(tool)
    }
}

fn cut(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}… [cut]", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_bad_entry_costs_nobody_the_others() {
        let answer = CustomResult(json!({"nextCursor": "n", "tools": [
            {"name": "good", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": true}},
            {"name": "no schema", "inputSchema": "x", "description": "d".repeat(5_000)},
            {"name": ""}, 7,
        ]}));
        let (page, next) = entries(ServerResult::CustomResult(answer)).unwrap();
        assert_eq!(next.as_deref(), Some("n"));
        let tools: Vec<ListedTool> = page.iter().filter_map(ListedTool::read).collect();
        let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
        assert_eq!(names, ["good", "no schema"]);
        assert!(tools[0].is_read_only() && !tools[1].is_read_only());
        assert_eq!(tools[1].parameters, schema::open());
        assert!(tools[1].description.len() < 4_100);
    }
}
