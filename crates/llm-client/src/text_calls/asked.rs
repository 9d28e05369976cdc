//! A conversation in which calls and their results are text.

use std::sync::Arc;

use core_model::Content;
use serde_json::{Value, json};

use crate::message::calls_of;
use crate::{AssistantMessage, Block, ModelMessage, ModelRequest, Part, ToolSpec};

pub(super) const CALL: &str = "<tool_call>";
pub(super) const CALL_END: &str = "</tool_call>";
pub(super) const RESULT: &str = "<tool_result";

const HOW_TO_CALL: &str = r#"# Tools

You act by calling tools. To call one, write a block like this:

<tool_call>
{"name": "terminal", "arguments": {"command": "ls"}}
</tool_call>

`name` is the tool's name, and `arguments` one JSON object that fits its parameters. In a JSON text, a line break is
written as \n, and quotes and backslashes have a backslash before them. Several blocks after each other are several
calls. Write nothing after the last block: the results come in the next message, each in a <tool_result> block, which
only the system writes. A reply without a block ends your work.

These are the tools:"#;

/// The same request of a model that is offered no tools but told of them.
pub(super) fn with_calls_as_text(request: &ModelRequest) -> ModelRequest {
    let mut messages = Vec::with_capacity(request.messages.len());
    for message in &request.messages {
        match message.as_ref() {
            ModelMessage::Assistant(said) => messages.push(assistant(said)),
            ModelMessage::ToolResult { tool, content, .. } => {
                add_for_user(&mut messages, result(tool, content));
            }
            ModelMessage::User(content) => add_for_user(&mut messages, content.clone()),
            ModelMessage::System(content) => {
                messages.push(ModelMessage::System(content.clone()));
            }
        }
    }
    let explained = Content::text(explained(&request.tools));
    match messages.first_mut() {
        Some(ModelMessage::System(content)) => content.push(explained),
        Some(_) | None => messages.insert(0, ModelMessage::System(vec![explained])),
    }
    ModelRequest {
        messages: messages.into_iter().map(Arc::new).collect(),
        tools: Vec::new(),
        cache_key: request.cache_key.clone(),
    }
}

fn explained(tools: &[ToolSpec]) -> String {
    let mut text = HOW_TO_CALL.to_owned();
    for tool in tools {
        let tool = json!({
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.parameters,
        });
        text.push_str(&format!("\n\n<tool>\n{tool}\n</tool>"));
    }
    text
}

fn assistant(said: &AssistantMessage) -> ModelMessage {
    let is_call = |block: &&Block| matches!(block.part, Part::Call(_));
    let mut blocks: Vec<Block> = said
        .blocks
        .iter()
        .filter(|it| !is_call(it))
        .cloned()
        .collect();
    let calls = calls_of(&said.blocks).map(|call| {
        let arguments: Value = serde_json::from_str(&call.arguments).unwrap_or_else(|_| json!({}));
        let call = json!({"name": call.name, "arguments": arguments});
        format!("{CALL}\n{call}\n{CALL_END}")
    });
    let calls: Vec<String> = calls.collect();
    if !calls.is_empty() {
        blocks.push(Block::text(calls.join("\n")));
    }
    ModelMessage::Assistant(AssistantMessage {
        blocks,
        made_by: said.made_by.clone(),
    })
}

fn result(tool: &str, content: &[Content]) -> Vec<Content> {
    let texts = content.iter().filter_map(Content::as_text);
    let text = texts.collect::<Vec<_>>().join("\n");
    let mut shown = vec![Content::text(format!(
        "{RESULT} name={tool:?}>\n{text}\n</tool_result>"
    ))];
    let images = content.iter().filter(|part| part.as_text().is_none());
    shown.extend(images.cloned());
    shown
}

/// Roles alternate: results and what the user says after them are one message.
fn add_for_user(messages: &mut Vec<ModelMessage>, content: Vec<Content>) {
    match messages.last_mut() {
        Some(ModelMessage::User(open)) => open.extend(content),
        Some(_) | None => messages.push(ModelMessage::User(content)),
    }
}
