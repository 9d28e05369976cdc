use std::collections::BTreeSet;

use super::super::rule::{
    Asked, Rule, cache_marks, is_identifier, list, non_empty, some, usual, when,
};
use super::{blocks, thoughts};

const FIELDS: [&str; 19] = [
    "model",
    "max_tokens",
    "messages",
    "system",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "temperature",
    "top_p",
    "top_k",
    "stream",
    "stop_sequences",
    "metadata",
    "service_tier",
    "container",
    "mcp_servers",
    "context_management",
    "cache_control",
];

/// What providers of Messages refuse.
pub(crate) static RULES: [Rule; 29] = [
    usual("messages.version_header", |asked| {
        let version = asked.headers.get("anthropic-version");
        when(version.is_none(), "anthropic-version: header is required")
    }),
    usual("messages.fields", |asked| asked.unknown_fields(&FIELDS)),
    usual("messages.model", |asked| {
        when(!non_empty(&asked.body["model"]), "`model` is not a name")
    }),
    usual("messages.max_tokens", |asked| {
        let limit = asked.body["max_tokens"].as_u64();
        when(
            limit.is_none_or(|limit| limit == 0),
            "max_tokens: field required",
        )
    }),
    usual("messages.roles_alternate", blocks::not_by_turns),
    usual("messages.user_first", |asked| {
        let first = &asked.body["messages"][0]["role"];
        when(first != "user", "the first message must use the user role")
    }),
    usual("messages.content", blocks::broken_content),
    usual("messages.system", blocks::broken_system),
    usual("messages.calls_answered", blocks::unanswered),
    usual("messages.results_first", blocks::results_not_first),
    usual("messages.call_ids", blocks::illegal_ids),
    usual("messages.images", blocks::broken_images),
    usual("messages.tools", tools),
    usual("messages.tools_of_calls", |asked| {
        let called = blocks::all(asked).any(|block| block["type"] == "tool_use");
        let none = called && list(&asked.body["tools"]).is_empty();
        when(
            none,
            "requests which have `tool_use` blocks must define tools",
        )
    }),
    usual("messages.four_cache_marks", |asked| {
        let marks = cache_marks(asked.body);
        when(
            marks > 4,
            &format!("{marks} blocks have `cache_control`; 4 may"),
        )
    }),
    usual("messages.no_cached_thoughts", |asked| {
        let marked = blocks::all(asked)
            .any(|block| thoughts::is_thought(block) && !block["cache_control"].is_null());
        when(marked, "a thinking block has `cache_control`")
    }),
    usual("messages.thoughts_unchanged", thoughts::changed),
    usual("messages.thoughts_in_place", thoughts::out_of_place),
    usual("messages.thoughts_of_this_turn", thoughts::missing),
    usual("messages.thoughts_asked", thoughts::unasked),
    usual("messages.thinking_budget", |asked| {
        let thinking = &asked.body["thinking"];
        let budget = thinking["budget_tokens"].as_u64().unwrap_or(0);
        let limit = asked.body["max_tokens"].as_u64().unwrap_or(0);
        let wrong = thinking["type"] == "enabled" && !(1_024..limit).contains(&budget);
        when(
            wrong,
            "thinking.budget_tokens must be 1024 at least and below max_tokens",
        )
    }),
    usual("messages.thinking_with_sampling", |asked| {
        if !thoughts::is_on(asked) {
            return Vec::new();
        }
        asked.refused(&["temperature", "top_k"])
    }),
    usual("messages.one_sampling", |asked| {
        let both = asked.has("temperature") && asked.has("top_p");
        when(both, "`temperature` and `top_p` cannot both be specified")
    }),
    // Claude since 4.6 or 4.7.
    some("messages.no_prefill", |asked| {
        let last = list(&asked.body["messages"]).last();
        let assistant = last.is_some_and(|last| last["role"] == "assistant");
        when(assistant, "the conversation must end with a user message")
    }),
    some("messages.no_sampling", |asked| {
        asked.refused(&["temperature", "top_p", "top_k"])
    }),
    // Claude since 5.1 or 5.5.
    some("messages.always_thinks", |asked| {
        let thinking = &asked.body["thinking"]["type"];
        let wrong = thinking == "disabled" || thinking == "enabled";
        when(wrong, "thinking.type: only `adaptive` is supported")
    }),
    some("messages.no_forced_tool", |asked| {
        let choice = asked.body["tool_choice"]["type"].as_str();
        when(
            matches!(choice, Some("any" | "tool")),
            "a tool cannot be forced",
        )
    }),
    some(
        "messages.thoughts_of_this_prefix",
        thoughts::of_another_prefix,
    ),
    some("messages.no_images", |asked| {
        let shown = blocks::with_results(asked).any(|block| block["type"] == "image");
        when(shown, "this model does not support image input")
    }),
];

fn tools(asked: &Asked<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let mut names = BTreeSet::new();
    for (at, tool) in list(&asked.body["tools"]).iter().enumerate() {
        let mut wrong = |reason: &str| found.push(format!("tool {at} {reason}"));
        if !is_identifier(&tool["name"], 128) {
            wrong("has no legal name");
        }
        if !names.insert(tool["name"].as_str().unwrap_or_default()) {
            wrong("has another's name");
        }
        let schema = &tool["input_schema"];
        let alternatives = ["oneOf", "anyOf", "allOf"];
        let alternatives = alternatives.iter().any(|name| !schema[name].is_null());
        if schema["type"] != "object" || alternatives {
            wrong("has an input_schema that is not of an object");
        }
    }
    found
}
