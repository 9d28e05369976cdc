//! Thinking blocks are of use only unchanged, in place, and to the model that made them.

use serde_json::Value;

use super::super::rule::{Asked, SentReply, hash_of, list, text};
use super::blocks;

pub(super) fn is_thought(block: &Value) -> bool {
    matches!(text(&block["type"]), "thinking" | "redacted_thinking")
}

pub(super) fn is_on(asked: &Asked<'_>) -> bool {
    matches!(
        text(&asked.body["thinking"]["type"]),
        "enabled" | "adaptive"
    )
}

/// Thoughts that the model which is asked has not had.
pub(super) fn changed(asked: &Asked<'_>) -> Vec<String> {
    let thoughts = blocks::all(asked).filter(|block| is_thought(block));
    let strange = thoughts.filter(|thought| asked.own_items().all(|sent| sent != *thought));
    strange
        .map(|thought| format!("invalid `signature` in the block {thought}"))
        .collect()
}

/// Replies whose thoughts come back in part or in another order. Those of which none come back are no
/// concern of this rule.
pub(super) fn out_of_place(asked: &Asked<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for (at, message, sent) in replies_back(asked) {
        let came = thoughts_and_calls(list(&message["content"]));
        let wrong = came.iter().any(|block| is_thought(block))
            && keys(&came) != keys(&thoughts_and_calls(&sent.items));
        if wrong {
            found.push(format!("message {at}: thinking blocks cannot be modified"));
        }
    }
    found
}

/// Replies since the user spoke last that had thoughts and called tools, and whose thoughts are missing.
pub(super) fn missing(asked: &Asked<'_>) -> Vec<String> {
    if !is_on(asked) {
        return Vec::new();
    }
    let messages = list(&asked.body["messages"]);
    let spoke = messages.iter().rposition(|message| {
        let blocks = list(&message["content"]);
        message["role"] == "user" && blocks.iter().all(|block| block["type"] != "tool_result")
    });
    let this_turn = replies_back(asked).filter(|(at, _, _)| Some(*at) > spoke);
    let lost = this_turn.filter(|(_, message, sent)| {
        let came = list(&message["content"]).iter().any(is_thought);
        !came && sent.items.iter().any(is_thought)
    });
    lost.map(|(at, _, _)| format!("message {at}: expected `thinking`, but found `tool_use`"))
        .collect()
}

/// Thoughts in the last reply although thinking is off.
pub(super) fn unasked(asked: &Asked<'_>) -> Vec<String> {
    let messages = list(&asked.body["messages"]).iter();
    let last = messages
        .rev()
        .find(|message| message["role"] == "assistant");
    let thought = last.is_some_and(|last| list(&last["content"]).iter().any(is_thought));
    if thought && asked.body["thinking"]["type"] == "disabled" {
        return vec!["when `thinking` is disabled, the last reply cannot have thoughts".to_owned()];
    }
    Vec::new()
}

/// Thoughts after other messages than those they were made for.
pub(super) fn of_another_prefix(asked: &Asked<'_>) -> Vec<String> {
    let messages = list(&asked.body["messages"]);
    let mut found = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        let thought = list(&message["content"]).iter().find(|b| is_thought(b));
        let Some(thought) = thought else { continue };
        let prefix = hash_of(&messages[..at]);
        let mut own = asked.own_replies();
        if !own.any(|sent| sent.prefix == prefix && sent.items.contains(thought)) {
            found.push(format!("message {at}: a thought of another conversation"));
        }
    }
    found
}

/// Messages in which calls of a reply of this server came back, and that reply.
fn replies_back<'a>(asked: &Asked<'a>) -> impl Iterator<Item = (usize, &'a Value, &'a SentReply)> {
    let replies: Vec<&SentReply> = asked.own_replies().collect();
    let messages = list(&asked.body["messages"]).iter().enumerate();
    messages.filter_map(move |(at, message)| {
        let mut blocks = list(&message["content"]).iter();
        let call = blocks.find(|block| block["type"] == "tool_use")?;
        let made = replies
            .iter()
            .find(|reply| reply.items.iter().any(|sent| sent["id"] == call["id"]))?;
        Some((at, message, *made))
    })
}

fn thoughts_and_calls(blocks: &[Value]) -> Vec<&Value> {
    let kept = blocks.iter();
    kept.filter(|block| is_thought(block) || block["type"] == "tool_use")
        .collect()
}

/// Thoughts whole, calls by their ids.
fn keys<'a>(blocks: &[&'a Value]) -> Vec<&'a Value> {
    let keys = blocks.iter();
    keys.map(|block| {
        if is_thought(block) {
            *block
        } else {
            &block["id"]
        }
    })
    .collect()
}
