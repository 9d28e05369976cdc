//! What only some providers of Chat Completions refuse.

use serde_json::Value;

use super::super::rule::{Asked, list, text};

/// Some templates want an assistant message between a tool's result and a user's message.
pub(super) fn user_after_tool(asked: &Asked<'_>) -> Vec<String> {
    let messages = list(&asked.body["messages"]);
    let pairs = messages.windows(2).enumerate();
    let wrong = pairs.filter(|(_, pair)| pair[0]["role"] == "tool" && pair[1]["role"] == "user");
    wrong
        .map(|(at, _)| format!("message {} (user) comes after role 'tool'", at + 1))
        .collect()
}

/// Messages with calls whose thoughts did not come back as they were sent.
pub(super) fn lost_reasoning(asked: &Asked<'_>) -> Vec<String> {
    let calling = assistants(asked).filter(|(_, message)| message["tool_calls"].is_array());
    let lost = calling.filter(|(_, message)| {
        let sent = as_sent(asked, message).map(|sent| text(&sent["reasoning_content"]));
        sent.is_some_and(|sent| !sent.is_empty() && message["reasoning_content"] != sent)
    });
    lost.map(|(at, _)| format!("message {at} misses its `reasoning_content`"))
        .collect()
}

pub(super) fn without_reasoning(asked: &Asked<'_>) -> Vec<String> {
    let bare = assistants(asked).filter(|(_, message)| !message["reasoning_content"].is_string());
    bare.map(|(at, _)| {
        format!("messages[{at}]: the `reasoning_content` must be passed back to the API")
    })
    .collect()
}

/// What Gemini takes in place of a signature that another model cannot give.
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

/// The first call of each message must have a signature; one that was sent must be the same.
pub(super) fn lost_signatures(asked: &Asked<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for (at, message) in assistants(asked) {
        let sent = as_sent(asked, message).map(|sent| list(&sent["tool_calls"]));
        for (number, call) in list(&message["tool_calls"]).iter().enumerate() {
            let signature = signature_of(call);
            let mut sent = sent.into_iter().flatten();
            let sent = sent.find(|sent| sent["id"] == call["id"]).map(signature_of);
            let wrong = match sent {
                Some(sent) => signature != sent,
                None => number == 0 && signature != NO_SIGNATURE,
            };
            if wrong {
                found.push(format!(
                    "Function call {number} of message {at} is missing a thought_signature"
                ));
            }
        }
    }
    found
}

fn signature_of(call: &Value) -> &Value {
    &call["extra_content"]["google"]["thought_signature"]
}

/// OpenRouter's thoughts must come back unchanged beside the calls they led to.
pub(super) fn lost_details(asked: &Asked<'_>) -> Vec<String> {
    let lost = assistants(asked).filter(|(_, message)| {
        let sent = as_sent(asked, message).map(|sent| &sent["reasoning_details"]);
        sent.is_some_and(|sent| !sent.is_null() && *sent != message["reasoning_details"])
    });
    lost.map(|(at, _)| format!("message {at} misses its `reasoning_details`"))
        .collect()
}

/// Lists of parts where a string would do.
pub(super) fn lists(asked: &Asked<'_>) -> Vec<String> {
    let messages = list(&asked.body["messages"]).iter().enumerate();
    let lists = messages.filter(|(_, message)| {
        let parts = list(&message["content"]);
        !parts.is_empty() && parts.iter().all(|part| part["type"] == "text")
    });
    lists
        .map(|(at, _)| format!("the content of message {at} is not a string"))
        .collect()
}

pub(super) fn without_content(asked: &Asked<'_>) -> Vec<String> {
    let bare = assistants(asked).filter(|(_, message)| !message["content"].is_string());
    bare.map(|(at, _)| format!("messages[{at}]: missing field `content`"))
        .collect()
}

fn assistants<'a>(asked: &Asked<'a>) -> impl Iterator<Item = (usize, &'a Value)> {
    let messages = list(&asked.body["messages"]).iter().enumerate();
    messages.filter(|(_, message)| message["role"] == "assistant")
}

/// The message as this server sent it to the same model, found by the first call's id.
fn as_sent<'a>(asked: &Asked<'a>, message: &Value) -> Option<&'a Value> {
    let id = message["tool_calls"][0]["id"].as_str()?;
    asked.own_items().find(|sent| {
        let calls = list(&sent["tool_calls"]);
        calls.iter().any(|call| call["id"] == id)
    })
}
