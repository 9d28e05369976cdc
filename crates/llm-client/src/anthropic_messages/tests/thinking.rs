use core_model::LlmSettings;
use serde_json::{Value, json};

use super::{
    ADAPTIVE, ALWAYS, BUDGET, UNKNOWN, body, call, reply, result, settings, signed, text, thought,
    tool_use, user,
};
use crate::{
    Block, ModelMessage, anthropic_messages::AnthropicMessages, format::Format, provider::route,
};

/// The fields `thinking` and `output_config`.
fn told(settings: &LlmSettings) -> (Value, Value) {
    let body = body(settings, vec![user("hello")]);
    (
        body["thinking"].clone(),
        body["output_config"]["effort"].clone(),
    )
}

#[test]
fn each_model_is_told_to_think_as_it_takes_it() {
    let adaptive = json!({"type": "adaptive", "display": "summarized"});
    let budget = |tokens: u64| json!({"type": "enabled", "budget_tokens": tokens});
    let off = json!({"type": "disabled"});
    let null = Value::Null;
    let table = [
        (UNKNOWN, "high", &null, json!(null)),
        ("claude-3-5-haiku", "high", &null, json!(null)),
        ("claude-3-7-sonnet", "high", &budget(4_096), json!(null)),
        (BUDGET, "high", &budget(32_000), json!(null)),
        (BUDGET, "none", &null, json!(null)),
        ("claude-opus-4-5", "max", &budget(32_000), json!("high")),
        (ADAPTIVE, "high", &adaptive, json!("high")),
        (ADAPTIVE, "xhigh", &adaptive, json!("high")),
        (ADAPTIVE, "max", &adaptive, json!("max")),
        (ADAPTIVE, "none", &off, json!(null)),
        ("claude-sonnet-5", "minimal", &adaptive, json!("low")),
        ("claude-sonnet-5", "none", &off, json!(null)),
        (ALWAYS, "xhigh", &adaptive, json!("xhigh")),
        (ALWAYS, "none", &adaptive, json!("low")),
        (ALWAYS, "sometimes", &adaptive, json!(null)),
    ];
    for (model, effort, thinking, level) in table {
        let settings = LlmSettings {
            reasoning_effort: Some(effort.to_owned()),
            ..settings(model)
        };
        assert_eq!(
            told(&settings),
            (thinking.clone(), level),
            "{model}, {effort}"
        );
    }
    let unset = LlmSettings {
        reasoning_effort: None,
        ..settings(ALWAYS)
    };
    assert_eq!(told(&unset), (adaptive, Value::Null));
}

#[test]
fn a_budget_leaves_room_for_the_reply() {
    let budget = |budget, max_output_tokens| {
        let settings = LlmSettings {
            extended_thinking_budget: budget,
            max_output_tokens,
            ..settings(BUDGET)
        };
        told(&settings).0["budget_tokens"].clone()
    };
    assert_eq!(budget(Some(2_000), None), 2_000);
    assert_eq!(budget(Some(200_000), Some(4_096)), 2_048);
    assert_eq!(budget(Some(200_000), Some(2_000)), Value::Null);
    assert_eq!(budget(Some(1_000), None), Value::Null);
    assert_eq!(budget(None, None), Value::Null);
}

#[test]
fn thinking_between_calls_needs_a_header_only_with_a_budget() {
    let header = |model: &str| {
        let route = route(&settings(model), &AnthropicMessages).expect(model);
        let headers = AnthropicMessages.fixed_headers(&route);
        assert_eq!(headers[0], ("anthropic-version", "2023-06-01"));
        headers.get(1).copied()
    };
    let interleaved = Some(("anthropic-beta", "interleaved-thinking-2025-05-14"));
    assert_eq!(header(BUDGET), interleaved);
    for model in [UNKNOWN, ADAPTIVE, ALWAYS] {
        assert_eq!(header(model), None, "{model}");
    }
}

#[test]
fn thoughts_go_back_unchanged_and_in_place_to_the_model_that_had_them() {
    let redacted = json!({"type": "redacted_thinking", "data": "ZGF0YQ"});
    let unsigned = json!({"type": "thinking", "thinking": "cut", "signature": ""});
    let blocks = vec![
        thought(signed("first")),
        Block::text("aloud"),
        Block::reasoning("of another provider"),
        thought(redacted.clone()),
        thought(unsigned),
        thought(json!({"type": "reasoning", "encrypted_content": "x"})),
        call("c"),
    ];
    let content = |made_by: &str| {
        let messages = vec![user("a"), reply(made_by, blocks.clone()), result("c", "b")];
        body(&settings(ALWAYS), messages)["messages"][1]["content"].clone()
    };
    assert_eq!(
        content(ALWAYS),
        json!([signed("first"), text("aloud"), redacted, tool_use("c")])
    );
    assert_eq!(content(ADAPTIVE), json!([text("aloud"), tool_use("c")]));
}

#[test]
fn a_reply_that_was_cut_in_a_thought_ends_before_it() {
    let messages = |blocks| vec![user("a"), reply(ALWAYS, blocks), user("b")];
    let body_of = |blocks| body(&settings(ALWAYS), messages(blocks))["messages"].clone();
    let cut = body_of(vec![
        thought(signed("x")),
        Block::text("said"),
        thought(signed("y")),
    ]);
    assert_eq!(cut[1]["content"], json!([signed("x"), text("said")]));
    // Nothing is left of this one.
    let only_thoughts = body_of(vec![thought(signed("x")), Block::text(" \n")]);
    assert_eq!(only_thoughts.as_array().map(Vec::len), Some(1));
    assert_eq!(
        only_thoughts[0]["content"].as_array().map(Vec::len),
        Some(2)
    );
}

#[test]
fn a_budget_is_not_given_in_a_turn_that_began_without_a_thought() {
    let told = |model: &str, rest: Vec<ModelMessage>| {
        let mut messages = vec![user("a")];
        messages.extend(rest);
        body(&settings(model), messages)["thinking"]["type"].clone()
    };
    let calls = |blocks: &[Block], id: &str| {
        let mut blocks = blocks.to_vec();
        blocks.push(call(id));
        [reply(BUDGET, blocks), result(id, "b")]
    };
    let thinks = || thought(signed("x"));
    let without = calls(&[], "c");
    assert_eq!(told(BUDGET, without.to_vec()), Value::Null);
    assert_eq!(told(ADAPTIVE, without.to_vec()), "adaptive");
    let late = calls(&[Block::text("well"), thinks()], "c");
    assert_eq!(told(BUDGET, late.to_vec()), Value::Null);
    assert_eq!(told(BUDGET, calls(&[thinks()], "c").to_vec()), "enabled");
    // The thought at the beginning is the whole turn's.
    let steps = [calls(&[thinks()], "c"), calls(&[], "d")].concat();
    assert_eq!(told(BUDGET, steps), "enabled");
    // The turn before does not matter.
    let said = vec![reply(BUDGET, vec![Block::text("x")]), user("b")];
    assert_eq!(told(BUDGET, [without.to_vec(), said].concat()), "enabled");
    assert_eq!(
        told(BUDGET, [calls(&[thinks()], "c"), without].concat()),
        "enabled"
    );
}

#[test]
fn no_thought_goes_back_where_thinking_is_off() {
    let content = |model: &str, effort: &str| {
        let settings = LlmSettings {
            reasoning_effort: Some(effort.to_owned()),
            ..settings(model)
        };
        let said = reply(model, vec![thought(signed("x")), call("c")]);
        let body = body(&settings, vec![user("a"), said, result("c", "b")]);
        body["messages"][1]["content"].clone()
    };
    for model in [BUDGET, ADAPTIVE] {
        assert_eq!(content(model, "high"), json!([signed("x"), tool_use("c")]));
        assert_eq!(content(model, "none"), json!([tool_use("c")]), "{model}");
    }
    // These always think, or are not told whether to.
    for model in [ALWAYS, UNKNOWN] {
        assert_eq!(
            content(model, "none"),
            json!([signed("x"), tool_use("c")]),
            "{model}"
        );
    }
}
