//! Stage 4: a model's reply into events.

use agent_tools::{ToolError, ToolTraits, not_found, parse_call, resolve};
use core_model::{
    Draft, EventBody, EventId, Message, MessageToolCall, Role, Source, TextContent,
    event::{ActionEvent, ErrorClassification, MessageEvent, SecurityRisk},
};
use llm_client::ModelReply;
use serde_json::{Map, Value, json};

use crate::turn::{
    cut::{self, AfterCut},
    drafts::{agent_error, environment_message},
    outcome::Outcome,
    state::Turn,
};

const EMPTY_REPLY_NUDGE: &str = "Your last reply was empty. Go on with the task: call a tool, or \
     call `finish` with a message if the task is done.";

/// A reply without tool calls, as events.
pub(super) struct SaidMessage {
    pub(super) drafts: Vec<Draft>,
    /// The model did not end it itself.
    pub(super) is_cut: bool,
    /// How the turn ends; None when the model is asked again.
    pub(super) end: Option<Outcome>,
}

/// The tool calls of one reply, as events.
pub(super) struct ToolCallGroup {
    /// The actions, and the answers to those that are malformed.
    pub(super) drafts: Vec<Draft>,
    /// The actions that can be executed, by their events' ids, and whether they never need consent.
    pub(super) actions: Vec<(EventId, bool)>,
    /// The last call was cut off.
    pub(super) is_cut: bool,
}

pub(super) fn message(turn: &Turn, reply: &ModelReply) -> SaidMessage {
    let mut event = MessageEvent::new(reply.said());
    event.llm_response_id = Some(reply.id.clone());
    let mut drafts = vec![Draft::new(Source::Agent, EventBody::MessageEvent(event))];
    let (is_cut, end) = match cut::after(reply, turn.cut_replies) {
        AfterCut::Whole if reply.is_empty() => {
            drafts.push(environment_message(EMPTY_REPLY_NUDGE));
            (false, None)
        }
        AfterCut::Whole => (false, Some(turn.finished())),
        AfterCut::AskAgain(nudge) => {
            drafts.extend(nudge.as_deref().map(environment_message));
            (true, None)
        }
        AfterCut::End(outcome) => (true, Some(outcome)),
    };
    SaidMessage {
        drafts,
        is_cut,
        end,
    }
}

/// Turns tool calls into action events; a call that cannot be understood is answered at once. What
/// follows a call that ends the turn is dropped.
///
/// `model_judges`: the model's own word on an action's risk counts.
pub(super) fn tool_calls(turn: &Turn, reply: &ModelReply, model_judges: bool) -> ToolCallGroup {
    let mut group = ToolCallGroup {
        drafts: Vec::new(),
        actions: Vec::new(),
        is_cut: false,
    };
    let (text, count) = (reply.text(), reply.calls().count());
    let cut_call = cut::cut_call(reply);
    for (index, call) in reply.calls().enumerate() {
        let tool = resolve(&turn.tools, &call.name);
        let name = tool.map_or(call.name.as_str(), |tool| tool.name());
        let parsed = match tool {
            Some(tool) => parse_call(tool.as_ref(), &call.arguments, &text),
            None => Err(ToolError::Arguments(not_found(&turn.tools, &call.name))),
        };
        let traits = match (tool, &parsed) {
            (Some(tool), Ok(parsed)) => tool.call_traits(&parsed.action),
            (Some(_) | None, _) => ToolTraits::default(),
        };
        let mut event = action_event(reply, call, name, index == 0);
        let error = match parsed {
            Ok(parsed) => {
                if model_judges {
                    event.security_risk = parsed.security_risk;
                }
                let summary = || format!("{name}: {}", call.arguments);
                event.summary = Some(parsed.summary.unwrap_or_else(summary));
                event.action = Some(parsed.action);
                if let Some(repaired) = parsed.repaired {
                    event.tool_call.arguments = repaired;
                }
                None
            }
            Err(error) => {
                let is_object = serde_json::from_str::<Map<String, Value>>(&call.arguments).is_ok();
                let cut_call = cut_call
                    .clone()
                    .filter(|_| !is_object && index + 1 == count);
                group.is_cut |= cut_call.is_some();
                let error = cut_call.unwrap_or_else(|| error.to_string());
                if !is_object {
                    event.tool_call.arguments = malformed(&error);
                }
                Some(error)
            }
        };
        let action = Draft::new(Source::Agent, EventBody::ActionEvent(event));
        let action_id = action.id.clone();
        group.drafts.push(action);
        if let Some(error) = error {
            let mistake = ErrorClassification::agent_mistake();
            group
                .drafts
                .push(agent_error(name, &call.id, error, mistake));
            continue;
        }
        group.actions.push((action_id, traits.harmless));
        if traits.ends_turn {
            break;
        }
    }
    group
}

fn action_event(
    reply: &ModelReply,
    call: &MessageToolCall,
    name: &str,
    first: bool,
) -> ActionEvent {
    let said = if first {
        reply.said()
    } else {
        Message::new(Role::Assistant, Vec::new())
    };
    let thought = said.text();
    let tool_call = MessageToolCall {
        // The name that the model was given, if it meant that: providers refuse some others.
        name: name.to_owned(),
        provider_state: said.provider_state,
        ..call.clone()
    };
    ActionEvent {
        thought: if thought.is_empty() {
            vec![]
        } else {
            vec![TextContent::new(thought.trim())]
        },
        reasoning_content: said.reasoning_content,
        thinking_blocks: said.thinking_blocks,
        responses_reasoning_item: said.responses_reasoning_item,
        action: None,
        tool_name: name.to_owned(),
        tool_call_id: call.id.clone(),
        tool_call,
        llm_response_id: reply.id.clone(),
        security_risk: SecurityRisk::Unknown,
        critic_result: None,
        summary: None,
    }
}

/// Stands in for arguments that are not a JSON object, because providers refuse to be sent those again.
fn malformed(error: &str) -> String {
    json!({"_openhands_malformed_tool_call": true, "error": error}).to_string()
}
