//! Calls in the text of a reply.

use core_model::MessageToolCall;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::asked::{CALL, CALL_END, RESULT};
use crate::{Block, ModelReply, Part, ToolSpec};

/// What models write around a call, beside the form that they are asked for: those of Llama, Mistral and
/// others.
const FUNCTION: &str = "<function=";
const PARAMETER: &str = "<parameter=";
const PYTHON_TAG: &str = "<|python_tag|>";
const TOOL_CALLS: &str = "[TOOL_CALLS]";

/// Takes calls out of the text of a reply that has no others. A model that was not `asked` for them may
/// write about calls: of its text, only calls of a tool that exists count.
pub(super) fn read_calls(mut reply: ModelReply, tools: &[ToolSpec], asked: bool) -> ModelReply {
    if reply.calls().next().is_some() {
        return reply;
    }
    let is_text = |block: &Block| matches!(block.part, Part::Text(_));
    let Some(at) = reply.blocks.iter().rposition(is_text) else {
        return reply;
    };
    let Part::Text(text) = &reply.blocks[at].part else {
        return reply;
    };
    let Some((said, calls)) = calls_in(text) else {
        return reply;
    };
    let exists = |call: &Call| tools.iter().any(|tool| tool.name == call.name);
    if !asked && !calls.iter().all(exists) {
        return reply;
    }
    let said = said.trim_end();
    let calls = calls.into_iter().map(Call::into_block);
    if said.is_empty() {
        reply.blocks.splice(at..=at, calls);
    } else {
        // What the provider wants back with the text stays with it.
        reply.blocks[at].part = Part::Text(said.to_owned());
        reply.blocks.splice(at + 1..at + 1, calls);
    }
    reply
}

#[derive(Debug, PartialEq)]
struct Call {
    name: String,
    /// JSON, or what should have been.
    arguments: String,
}

impl Call {
    fn into_block(self) -> Block {
        let id = format!("call_{}", Uuid::new_v4().simple());
        Block::call(MessageToolCall::new(id, self.name, self.arguments))
    }
}

/// What stands before the first call, and the calls; None when there are none.
fn calls_in(text: &str) -> Option<(&str, Vec<Call>)> {
    // What follows is the model's own idea of a result.
    let text = text.split(RESULT).next().unwrap_or(text);
    if let Some(start) = text.find(CALL) {
        let calls = text[start..].split(CALL).skip(1);
        let calls = calls.map(|call| in_block(call.split(CALL_END).next().unwrap_or(call)));
        return Some((&text[..start], calls.collect()));
    }
    if let Some(start) = text.find(FUNCTION) {
        let calls = text[start..].split(FUNCTION).skip(1);
        return Some((&text[..start], calls.map(function).collect()));
    }
    for mark in [TOOL_CALLS, PYTHON_TAG] {
        if let Some((before, calls)) = text.split_once(mark) {
            let calls = in_json(&serde_json::from_str(calls.trim()).ok()?)?;
            return Some((before, calls));
        }
    }
    let whole = serde_json::from_str(text.trim()).ok()?;
    Some(("", in_json(&whole)?))
}

/// A call from between its tags.
fn in_block(block: &str) -> Call {
    if let Some((_, call)) = block.split_once(FUNCTION) {
        return function(call);
    }
    let value: Value = serde_json::from_str(block.trim()).unwrap_or_default();
    named(&value).unwrap_or_else(|| unreadable(block))
}

/// `name>{"a": 1}</function>`, or `name><parameter=a>1</parameter></function>`.
fn function(call: &str) -> Call {
    let call = call.split("</function>").next().unwrap_or(call);
    let (name, rest) = call.split_once('>').unwrap_or((call, ""));
    let arguments = if rest.contains(PARAMETER) {
        let parameters = rest.split(PARAMETER).skip(1).filter_map(|parameter| {
            let (name, value) = parameter.split_once('>')?;
            let value = value.split("</parameter>").next().unwrap_or(value);
            // A line break after the first tag and before the second belongs to them.
            let value = value.strip_prefix('\n').unwrap_or(value);
            let value = value.strip_suffix('\n').unwrap_or(value);
            Some((name.trim().to_owned(), Value::String(value.to_owned())))
        });
        Value::Object(parameters.collect::<Map<_, _>>()).to_string()
    } else {
        rest.trim().to_owned()
    };
    Call {
        name: name.trim().to_owned(),
        arguments,
    }
}

/// One call or a list of them; None when the value is anything else.
fn in_json(value: &Value) -> Option<Vec<Call>> {
    if let Some(calls) = value.as_array().filter(|calls| !calls.is_empty()) {
        return calls.iter().map(named).collect();
    }
    Some(vec![named(value)?])
}

fn named(value: &Value) -> Option<Call> {
    let name = value["name"].as_str()?.to_owned();
    let arguments = value.get("arguments").or(value.get("parameters"))?;
    let arguments = match arguments.as_str() {
        Some(text) => text.to_owned(),
        None => arguments.to_string(),
    };
    Some(Call { name, arguments })
}

/// A call that is not quite JSON. Its name and what should be its arguments: whoever reads those will say
/// what is wrong with them.
fn unreadable(block: &str) -> Call {
    let after = |key: &str| {
        let (_, rest) = block.split_once(&format!("\"{key}\""))?;
        rest.trim_start().strip_prefix(':').map(str::trim_start)
    };
    let name = after("name").and_then(|rest| rest.strip_prefix('"')?.split('"').next());
    let arguments = after("arguments").map(|rest| {
        let rest = rest.trim_end();
        rest.strip_suffix('}').unwrap_or(rest).trim_end()
    });
    Call {
        name: name.unwrap_or("unreadable").to_owned(),
        arguments: arguments.unwrap_or(block).to_owned(),
    }
}
