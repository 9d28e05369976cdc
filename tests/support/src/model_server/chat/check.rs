use std::collections::BTreeSet;

use super::super::rule::{
    Asked, Rule, cache_marks, is_identifier, list, non_empty, some, usual, when,
};
use super::{messages, rules_of_some};

/// What providers of Chat Completions refuse.
pub(crate) static RULES: [Rule; 19] = [
    usual("chat.model", |asked| {
        when(!non_empty(&asked.body["model"]), "`model` is not a name")
    }),
    usual("chat.stream_options", |asked| {
        let alone = asked.body["stream_options"].is_object() && asked.body["stream"] != true;
        when(alone, "`stream_options` without `stream`")
    }),
    usual("chat.messages", messages::broken),
    usual("chat.calls_answered", messages::unanswered),
    usual("chat.call_ids", |asked| {
        messages::illegal_ids(asked, "legal", |id| is_identifier(id, 64))
    }),
    usual("chat.tools", tools),
    usual("chat.four_cache_marks", |asked| {
        let marks = cache_marks(asked.body);
        when(
            marks > 4,
            &format!("{marks} blocks have `cache_control`; 4 may"),
        )
    }),
    // Mistral.
    some("chat.call_ids_of_nine", |asked| {
        messages::illegal_ids(asked, "nine letters or digits", |id| {
            let id = id.as_str().unwrap_or_default();
            id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
    }),
    some("chat.no_user_after_tool", rules_of_some::user_after_tool),
    // DeepSeek and Kimi, beside calls; DeepSeek on every message.
    some("chat.reasoning_back", rules_of_some::lost_reasoning),
    some(
        "chat.reasoning_everywhere",
        rules_of_some::without_reasoning,
    ),
    // Gemini.
    some("chat.thought_signatures", rules_of_some::lost_signatures),
    // OpenRouter.
    some("chat.reasoning_details", rules_of_some::lost_details),
    // OpenAI since GPT-5.4.
    some("chat.no_effort_beside_tools", |asked| {
        let effort = asked.body["reasoning_effort"].as_str();
        let both = asked.has("tools") && effort.is_some_and(|effort| effort != "none");
        when(
            both,
            "tools with `reasoning_effort` are not supported; use /v1/responses",
        )
    }),
    some("chat.no_sampling", |asked| {
        asked.refused(&["temperature", "top_p", "top_k"])
    }),
    some("chat.no_images", |asked| {
        when(
            messages::has_images(asked),
            "this model does not support image input",
        )
    }),
    some("chat.plain_content", rules_of_some::lists),
    some("chat.content_beside_calls", rules_of_some::without_content),
    some("chat.old_length_limit", |asked| {
        asked.refused(&["max_completion_tokens"])
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
        let function = &tool["function"];
        let mut wrong = |reason: &str| found.push(format!("tool {at} {reason}"));
        if tool["type"] != "function" || !is_identifier(&function["name"], 64) {
            wrong("is no named function");
        }
        if !names.insert(function["name"].as_str().unwrap_or_default()) {
            wrong("has another's name");
        }
        if !non_empty(&function["description"]) {
            wrong("has no description");
        }
        if function["parameters"]["type"] != "object" {
            wrong("has parameters that are not of type object");
        }
    }
    found
}
