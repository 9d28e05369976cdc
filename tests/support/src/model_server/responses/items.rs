use std::collections::BTreeSet;

use serde_json::Value;

use super::super::rule::{Asked, is_identifier, list, non_empty, text, without_nulls};

fn input<'a>(asked: &Asked<'a>) -> &'a [Value] {
    list(&asked.body["input"])
}

/// What is wrong with single items.
pub(super) fn broken(asked: &Asked<'_>) -> Vec<String> {
    let mut found = Vec::new();
    if input(asked).is_empty() && !non_empty(&asked.body["input"]) {
        found.push("`input` is empty".to_owned());
    }
    for (at, item) in input(asked).iter().enumerate() {
        if let Some(reason) = problem(item) {
            found.push(format!("input[{at}] {reason}"));
        }
        let fields = item.as_object().into_iter().flatten();
        for (name, _) in fields.filter(|(_, value)| value.is_null()) {
            found.push(format!("input[{at}].{name} is null"));
        }
    }
    found
}

fn problem(item: &Value) -> Option<&'static str> {
    match text(&item["type"]) {
        "" | "message" => message_problem(item),
        "reasoning" if !item["summary"].is_array() => Some("misses `summary`"),
        "reasoning" => None,
        "function_call" if !item["arguments"].is_string() => Some("has arguments that are no text"),
        "function_call" if !is_identifier(&item["name"], 128) => Some("has no legal name"),
        "function_call" => None,
        "function_call_output" => match &item["output"] {
            Value::String(_) => None,
            Value::Array(parts) => parts.iter().find_map(|part| part_problem("user", part)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
                Some("has no `output`")
            }
        },
        _ => Some("is of an unknown type"),
    }
}

fn message_problem(item: &Value) -> Option<&'static str> {
    let role = text(&item["role"]);
    if !matches!(role, "user" | "assistant" | "system" | "developer") {
        return Some("has an unknown role");
    }
    let content = &item["content"];
    if non_empty(content) {
        return None;
    }
    if list(content).is_empty() {
        return Some("has no content");
    }
    let mut parts = list(content).iter();
    parts.find_map(|part| part_problem(role, part))
}

fn part_problem(role: &str, part: &Value) -> Option<&'static str> {
    let words = non_empty(&part["text"]);
    match (role, text(&part["type"])) {
        ("assistant", "output_text" | "refusal") => None,
        ("assistant", _) => Some("has a part that an assistant cannot say"),
        (_, "input_text") if words => None,
        (_, "input_text") => Some("has a part without text"),
        ("user", "input_image") if is_image(&part["image_url"]) => None,
        ("user", "input_image") => Some("has an image that is none"),
        _ => Some("has a part of unknown type"),
    }
}

fn is_image(url: &Value) -> bool {
    let url = text(url);
    let data = ["png", "jpeg", "gif", "webp"];
    let is_data = |kind: &&str| url.starts_with(&format!("data:image/{kind};base64,"));
    url.starts_with("https://") || data.iter().any(is_data)
}

pub(super) fn has_images(asked: &Asked<'_>) -> bool {
    let items = input(asked).iter();
    let mut parts =
        items.flat_map(|item| list(&item["content"]).iter().chain(list(&item["output"])));
    parts.any(|part| part["type"] == "input_image")
}

/// Calls without an output, and outputs of no call.
pub(super) fn unanswered(asked: &Asked<'_>) -> Vec<String> {
    let mut open = BTreeSet::new();
    let mut found = Vec::new();
    for item in input(asked) {
        let id = text(&item["call_id"]);
        match text(&item["type"]) {
            "function_call" if !open.insert(id) => {
                found.push(format!("the call_id {id:?} is used twice"));
            }
            "function_call_output" if !open.remove(id) => {
                found.push(format!(
                    "No tool call found for function call output {id:?}"
                ));
            }
            _ => {}
        }
    }
    found.extend(
        open.iter()
            .map(|id| format!("No tool output found for function call {id:?}")),
    );
    found
}

pub(super) fn illegal_call_ids(asked: &Asked<'_>) -> Vec<String> {
    let ids = input(asked).iter().map(|item| &item["call_id"]);
    let illegal = ids.filter(|id| !id.is_null() && !is_identifier(id, 64));
    illegal
        .map(|id| format!("the call_id {id} is not legal"))
        .collect()
}

/// Ids of items say what kind they are of.
pub(super) fn illegal_item_ids(asked: &Asked<'_>) -> Vec<String> {
    let with_ids = input(asked).iter().filter(|item| !item["id"].is_null());
    let illegal = with_ids.filter(|item| {
        let prefix = match text(&item["type"]) {
            "reasoning" => "rs",
            "function_call" => "fc",
            "function_call_output" => "fco",
            _ => "msg",
        };
        !text(&item["id"]).starts_with(prefix) || !is_identifier(&item["id"], 64)
    });
    illegal
        .map(|item| format!("the id {} is not one of a {}", item["id"], item["type"]))
        .collect()
}

fn is_reasoning(item: &Value) -> bool {
    item["type"] == "reasoning"
}

/// Reasoning that the model which is asked has not had.
pub(super) fn changed_reasoning(asked: &Asked<'_>) -> Vec<String> {
    let thoughts = input(asked).iter().filter(|item| is_reasoning(item));
    let strange = thoughts.filter(|item| {
        let mut sent = asked.own_items().filter(|sent| is_reasoning(sent));
        !sent.any(|sent| without_nulls(sent) == **item)
    });
    strange
        .map(|item| {
            format!(
                "the encrypted content of {} could not be verified",
                item["id"]
            )
        })
        .collect()
}

/// Reasoning of which nothing is left where the provider keeps nothing.
pub(super) fn empty_reasoning(asked: &Asked<'_>) -> Vec<String> {
    let thoughts = input(asked).iter().filter(|item| is_reasoning(item));
    let empty = thoughts.filter(|item| !non_empty(&item["encrypted_content"]));
    empty
        .map(|item| format!("Item with id {} not found", item["id"]))
        .collect()
}

/// Reasoning that is not followed by the item it led to.
pub(super) fn reasoning_alone(asked: &Asked<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for (at, item) in input(asked).iter().enumerate() {
        if !is_reasoning(item) {
            continue;
        }
        let next = input(asked).get(at + 1).map(|next| &next["id"]);
        let wanted = neighbours(asked).find(|(before, _)| before["id"] == item["id"]);
        let wanted = wanted.map(|(_, after)| &after["id"]);
        if next.is_none() || wanted.is_none() || next != wanted {
            found.push(format!(
                "Item {} of type 'reasoning' was provided without its required following item",
                item["id"]
            ));
        }
    }
    found
}

/// Items with an id that were made after reasoning which is not directly before them.
pub(super) fn without_reasoning(asked: &Asked<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for (at, item) in input(asked).iter().enumerate() {
        let made_after = neighbours(asked)
            .find(|(before, after)| is_reasoning(before) && after["id"] == item["id"]);
        let Some((thought, _)) = made_after else {
            continue;
        };
        let before = at.checked_sub(1).map(|before| &input(asked)[before]["id"]);
        if before != Some(&thought["id"]) {
            found.push(format!(
                "Item {} was provided without its required 'reasoning' item: {}",
                item["id"], thought["id"]
            ));
        }
    }
    found
}

/// Items of the model's replies that directly follow each other.
fn neighbours<'a>(asked: &Asked<'a>) -> impl Iterator<Item = (&'a Value, &'a Value)> {
    let replies = asked.own_replies();
    replies.flat_map(|reply| reply.items.windows(2).map(|pair| (&pair[0], &pair[1])))
}

/// Messages that come back by their id without the phase they had.
pub(super) fn lost_phases(asked: &Asked<'_>) -> Vec<String> {
    let lost = input(asked).iter().filter(|item| {
        let mut sent = asked.own_items();
        let sent = sent.find(|sent| !item["id"].is_null() && sent["id"] == item["id"]);
        sent.is_some_and(|sent| sent["phase"] != item["phase"])
    });
    lost.map(|item| format!("the message {} lost its `phase`", item["id"]))
        .collect()
}
