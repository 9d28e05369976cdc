use std::collections::BTreeSet;

use super::super::rule::{Asked, Rule, is_identifier, list, non_empty, some, usual, when};
use super::items;

const FIELDS: [&str; 27] = [
    "model",
    "input",
    "instructions",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "max_tool_calls",
    "store",
    "include",
    "reasoning",
    "text",
    "max_output_tokens",
    "temperature",
    "top_p",
    "top_logprobs",
    "truncation",
    "metadata",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "service_tier",
    "stream",
    "stream_options",
    "background",
    "conversation",
    "previous_response_id",
];

/// What providers of Responses refuse.
pub(crate) static RULES: [Rule; 18] = [
    usual("responses.fields", |asked| asked.unknown_fields(&FIELDS)),
    usual("responses.model", |asked| {
        when(!non_empty(&asked.body["model"]), "`model` is not a name")
    }),
    usual("responses.stream_options", |asked| {
        let alone = asked.body["stream_options"].is_object() && asked.body["stream"] != true;
        when(alone, "`stream_options` without `stream`")
    }),
    usual("responses.stateless", |asked| {
        let kept = asked.body["store"] != false
            || asked.has("previous_response_id")
            || asked.has("conversation");
        when(
            kept,
            "the provider is to keep nothing: `store` must be false",
        )
    }),
    usual("responses.length_limit", |asked| {
        let limit = asked.body["max_output_tokens"].as_u64();
        when(
            limit.is_some_and(|limit| limit < 16),
            "`max_output_tokens` is below 16",
        )
    }),
    usual("responses.items", items::broken),
    usual("responses.calls_answered", items::unanswered),
    usual("responses.call_ids", items::illegal_call_ids),
    usual("responses.item_ids", items::illegal_item_ids),
    usual("responses.reasoning_unchanged", items::changed_reasoning),
    usual("responses.reasoning_encrypted", items::empty_reasoning),
    usual("responses.reasoning_followed", items::reasoning_alone),
    usual(
        "responses.reasoning_before_its_item",
        items::without_reasoning,
    ),
    usual("responses.phase", items::lost_phases),
    usual("responses.tools", tools),
    // Models that reason.
    some("responses.encrypted_reasoning_asked", |asked| {
        let include = list(&asked.body["include"]);
        let asks = include
            .iter()
            .any(|what| what == "reasoning.encrypted_content");
        when(!asks, "`include` misses reasoning.encrypted_content")
    }),
    some("responses.no_sampling", |asked| {
        asked.refused(&["temperature", "top_p"])
    }),
    some("responses.no_images", |asked| {
        when(
            items::has_images(asked),
            "this model does not support image input",
        )
    }),
];

fn tools(asked: &Asked<'_>) -> Vec<String> {
    let tools = &asked.body["tools"];
    if tools.is_null() {
        return Vec::new();
    }
    let mut found = when(list(tools).is_empty(), "`tools` is not a list of tools");
    let mut names = BTreeSet::new();
    for (at, tool) in list(tools).iter().enumerate() {
        let mut wrong = |reason: &str| found.push(format!("tool {at} {reason}"));
        if tool["type"] != "function" || !is_identifier(&tool["name"], 64) {
            wrong("is no named function");
        }
        if !names.insert(tool["name"].as_str().unwrap_or_default()) {
            wrong("has another's name");
        }
        let parameters = &tool["parameters"];
        if parameters["type"] != "object" {
            wrong("has parameters that are not of type object");
        }
        // Strict is the default, and means that nothing else than what is named may be there.
        if tool["strict"] != false && parameters["additionalProperties"] != false {
            wrong("is strict without `additionalProperties: false`");
        }
    }
    found
}
