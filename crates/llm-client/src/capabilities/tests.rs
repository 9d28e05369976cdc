use serde_json::json;

use super::*;
use crate::openai_chat::OpenAiChat;
use crate::provider::route;

fn of(settings: LlmSettings) -> Capabilities {
    let name = settings.model.clone();
    route(&settings, &OpenAiChat).expect(&name).capabilities
}

fn named(model: &str) -> Capabilities {
    of(LlmSettings {
        model: model.to_owned(),
        ..LlmSettings::default()
    })
}

#[test]
fn the_list_says_what_a_model_takes() {
    let opus = named("anthropic/claude-opus-5-5");
    assert_eq!(opus.thinking, Thinking::Always);
    assert!(!opus.sampling && !opus.forced_tool_choice && !opus.prefill && opus.native_tools);
    assert_eq!(opus.vision, Some(true));
    assert_eq!(opus.cache_min_tokens, Some(512));
    assert_eq!(opus.context_window, Some(1_000_000));
    assert_eq!(opus.max_output_tokens, Some(128_000));
    let levels: Vec<&str> = opus.effort_levels.iter().collect();
    assert_eq!(levels, ["low", "medium", "high", "xhigh", "max"]);
    assert!(!opus.reasoning_effort && opus.cache_control && !opus.responses);

    let gpt = named("gpt-6-sol");
    assert!(gpt.responses && gpt.reasoning_effort && gpt.reasons);
    assert_eq!(gpt.thinking, Thinking::None);
    assert_eq!(named("deepseek/deepseek-v4-pro").vision, Some(false));
    assert_eq!(
        named("moonshot/kimi-k3").effort_levels.closest("medium"),
        "low"
    );
}

#[test]
fn a_new_name_of_a_known_family_is_like_the_newest_of_it() {
    let table = [
        ("claude-opus-9", Thinking::Always, false, false),
        ("claude-next", Thinking::Always, false, false),
        (
            "openrouter/anthropic/claude-nova-5.4",
            Thinking::Adaptive,
            false,
            false,
        ),
        ("claude-nova-5", Thinking::Adaptive, false, true),
        ("claude-nova-4-6-20260101", Thinking::Adaptive, true, true),
        ("claude-4-nova", Thinking::Budget, true, true),
        ("claude-3.7-nova", Thinking::Budget, true, true),
        ("claude-3-5-nova", Thinking::None, true, true),
    ];
    for (name, thinking, sampling, forced) in table {
        let guessed = named(name);
        let seen = (
            guessed.thinking,
            guessed.sampling,
            guessed.forced_tool_choice,
        );
        assert_eq!(seen, (thinking, sampling, forced), "{name}");
        assert_eq!(guessed.context_window, None, "{name}");
    }
    for (name, responses) in [
        ("gpt-7-new", true),
        ("gemini-5-new", false),
        ("o4-new", false),
    ] {
        let guessed = named(name);
        assert!(guessed.reasoning_effort && guessed.reasons, "{name}");
        assert_eq!(guessed.responses, responses, "{name}");
    }
    assert_eq!(named("openai/whatever"), by_name::guessed("whatever"));
}

#[test]
fn overrides_win_with_the_keys_of_the_public_sdk() {
    let overridden = of(LlmSettings {
        model: "claude-opus-5-5".to_owned(),
        capability_overrides: serde_json::Map::from_iter([
            ("thinking_mode".to_owned(), json!("manual")),
            ("supports_sampling_params".to_owned(), json!(true)),
            ("supports_vision".to_owned(), json!(false)),
            ("supports_prompt_cache".to_owned(), json!(false)),
            ("supports_responses_api".to_owned(), json!(true)),
            ("supports_reasoning_effort".to_owned(), json!(true)),
            ("supports_function_calling".to_owned(), json!(false)),
            ("supports_assistant_prefill".to_owned(), json!("yes")),
            ("something_else".to_owned(), json!(true)),
        ]),
        ..LlmSettings::default()
    });
    let expected = Capabilities {
        thinking: Thinking::Budget,
        sampling: true,
        vision: Some(false),
        cache_control: false,
        responses: true,
        reasoning_effort: true,
        native_tools: false,
        ..named("claude-opus-5-5")
    };
    assert_eq!(overridden, expected);
}

#[test]
fn settings_may_name_the_model_behind_a_deployment() {
    let deployed = of(LlmSettings {
        model: "openai/team-blue".to_owned(),
        model_canonical_name: Some("anthropic/claude-opus-5-5".to_owned()),
        ..LlmSettings::default()
    });
    assert_eq!(deployed.thinking, Thinking::Always);
    let plain = of(LlmSettings {
        model: "gpt-6-sol".to_owned(),
        native_tool_calling: false,
        disable_vision: Some(true),
        force_string_serializer: Some(true),
        ..LlmSettings::default()
    });
    assert!(!plain.native_tools && !plain.takes_images() && plain.plain_content);
}

#[test]
fn the_window_of_a_model_on_ones_own_machine_is_not_its_makers() {
    let of_maker = named("openai/gpt-5");
    assert!(of_maker.context_window.is_some());
    let served = of(LlmSettings {
        model: "hosted_vllm/openai/gpt-oss-120b".to_owned(),
        base_url: Some("http://localhost:1/v1".to_owned()),
        ..LlmSettings::default()
    });
    assert_eq!(served.context_window, None);
    assert!(served.reasoning_effort);
}

#[test]
fn effort_is_brought_to_a_level_that_the_model_takes() {
    let levels = EffortLevels::new("low,high,max");
    for (asked, given) in [
        ("none", "low"),
        ("low", "low"),
        ("medium", "low"),
        ("xhigh", "high"),
        ("max", "max"),
        ("odd", "odd"),
    ] {
        assert_eq!(levels.closest(asked), given, "{asked}");
    }
    assert_eq!(EffortLevels::new("").closest("high"), "high");
}
