use std::collections::BTreeSet;

use serde_json::Value;

use super::super::rule::{Asked, is_identifier, list, non_empty, text};

/// All blocks of all messages; content that is a string has none.
pub(super) fn all<'a>(asked: &Asked<'a>) -> impl Iterator<Item = &'a Value> {
    let messages = list(&asked.body["messages"]).iter();
    messages.flat_map(|message| list(&message["content"]))
}

/// The same with what stands in results of tools.
pub(super) fn with_results<'a>(asked: &Asked<'a>) -> impl Iterator<Item = &'a Value> {
    all(asked).flat_map(|block| {
        let inside = match block["type"] == "tool_result" {
            true => list(&block["content"]),
            false => &[],
        };
        std::iter::once(block).chain(inside)
    })
}

pub(super) fn not_by_turns(asked: &Asked<'_>) -> Vec<String> {
    let messages = list(&asked.body["messages"]).windows(2).enumerate();
    let wrong = messages.filter(|(_, pair)| pair[0]["role"] == pair[1]["role"]);
    wrong
        .map(|(at, pair)| format!("messages {at} and {} are both {}", at + 1, pair[0]["role"]))
        .collect()
}

pub(super) fn broken_content(asked: &Asked<'_>) -> Vec<String> {
    let messages = list(&asked.body["messages"]);
    let mut found = Vec::new();
    if messages.is_empty() {
        found.push("`messages` is not a list of messages".to_owned());
    }
    for (at, message) in messages.iter().enumerate() {
        let role = text(&message["role"]);
        let mut wrong = |reason: &str| found.push(format!("message {at} ({role}) {reason}"));
        if !matches!(role, "user" | "assistant") {
            wrong("has an unknown role");
        }
        let content = &message["content"];
        if !non_empty(content) && list(content).is_empty() {
            wrong("must have non-empty content");
        }
        for block in list(content) {
            if let Some(reason) = problem(role, block) {
                wrong(&reason);
            }
        }
    }
    found
}

/// What is wrong with a block.
fn problem(role: &str, block: &Value) -> Option<String> {
    let kind = text(&block["type"]);
    let reason = match (role, kind) {
        (_, "text") if text(&block["text"]).trim().is_empty() => "has a blank text",
        (_, "text") | ("user", "image") => return None,
        ("user", "tool_result") => {
            let content = &block["content"];
            let mut parts = list(content).iter();
            return parts.find_map(|part| match text(&part["type"]) {
                "text" | "image" => problem("user", part),
                other => Some(format!("has {other:?} in a result")),
            });
        }
        ("assistant", "tool_use") if !block["input"].is_object() => {
            "has an input that is no object"
        }
        ("assistant", "tool_use") if !is_identifier(&block["name"], 128) => {
            "calls a tool without a legal name"
        }
        ("assistant", "tool_use") => return None,
        ("assistant", "thinking") if !non_empty(&block["signature"]) => {
            "has a thinking block without signature"
        }
        ("assistant", "thinking") if !block["thinking"].is_string() => {
            "has a thinking block without `thinking`"
        }
        ("assistant", "redacted_thinking") if !non_empty(&block["data"]) => {
            "has a redacted_thinking block without data"
        }
        ("assistant", "thinking" | "redacted_thinking") => return None,
        _ => return Some(format!("may not hold {kind:?}")),
    };
    Some(reason.to_owned())
}

pub(super) fn broken_system(asked: &Asked<'_>) -> Vec<String> {
    let system = &asked.body["system"];
    if system.is_null() || non_empty(system) {
        return Vec::new();
    }
    let blank = |block: &Value| block["type"] != "text" || text(&block["text"]).trim().is_empty();
    if list(system).is_empty() || list(system).iter().any(blank) {
        return vec!["`system` is not text".to_owned()];
    }
    Vec::new()
}

/// Calls without exactly one result in the next message, and results of no call.
pub(super) fn unanswered(asked: &Asked<'_>) -> Vec<String> {
    let messages = list(&asked.body["messages"]);
    let mut found = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| &messages[before]);
        let open = before.map(|before| ids(before, "tool_use", "id"));
        let mut open: BTreeSet<&str> = open.into_iter().flatten().collect();
        for id in ids(message, "tool_result", "tool_use_id") {
            if !open.remove(id) {
                found.push(format!(
                    "message {at} answers {id:?}, which is no open call"
                ));
            }
        }
        if !open.is_empty() {
            found.push(format!("message {at} has no results of {open:?}"));
        }
    }
    let last = messages.last().into_iter();
    let left: Vec<&str> = last.flat_map(|last| ids(last, "tool_use", "id")).collect();
    if !left.is_empty() {
        found.push(format!("the calls {left:?} are not answered"));
    }
    found
}

fn ids<'a>(message: &'a Value, kind: &str, field: &str) -> Vec<&'a str> {
    let blocks = list(&message["content"]).iter();
    let of_kind = blocks.filter(|block| block["type"] == kind);
    of_kind.map(|block| text(&block[field])).collect()
}

pub(super) fn results_not_first(asked: &Asked<'_>) -> Vec<String> {
    let messages = list(&asked.body["messages"]).iter().enumerate();
    let late = messages.filter(|(_, message)| {
        let blocks = list(&message["content"]).iter();
        let mut rest = blocks.skip_while(|block| block["type"] == "tool_result");
        rest.any(|block| block["type"] == "tool_result")
    });
    late.map(|(at, _)| format!("message {at} has a result after something else"))
        .collect()
}

pub(super) fn illegal_ids(asked: &Asked<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let mut calls = BTreeSet::new();
    for block in all(asked) {
        let id = match text(&block["type"]) {
            "tool_use" => &block["id"],
            "tool_result" => &block["tool_use_id"],
            _ => continue,
        };
        if !is_identifier(id, 64) {
            found.push(format!(
                "the id {id} does not match ^[a-zA-Z0-9_-]{{1,64}}$"
            ));
        }
        if block["type"] == "tool_use" && !calls.insert(text(id)) {
            found.push(format!("the id {id} is used twice"));
        }
    }
    found
}

pub(super) fn broken_images(asked: &Asked<'_>) -> Vec<String> {
    let images = with_results(asked).filter(|block| block["type"] == "image");
    let broken = images.filter(|image| !is_image(&image["source"]));
    broken
        .map(|_| "could not process image".to_owned())
        .collect()
}

fn is_image(source: &Value) -> bool {
    let data = text(&source["data"]);
    match (text(&source["type"]), text(&source["media_type"])) {
        ("url", _) => text(&source["url"]).starts_with("https://"),
        _ if data.len() > 5 * 1024 * 1024 || !data.len().is_multiple_of(4) => false,
        ("base64", "image/png") => data.starts_with("iVBORw0KGgo"),
        ("base64", "image/jpeg") => data.starts_with("/9j/"),
        ("base64", "image/gif") => data.starts_with("R0lGOD"),
        ("base64", "image/webp") => data.starts_with("UklGR"),
        _ => false,
    }
}
