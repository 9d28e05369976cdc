use super::*;
use crate::anthropic_messages::AnthropicMessages;
use crate::openai_chat::OpenAiChat;

const FORMAT: OpenAiChat = OpenAiChat;

fn routed(model: &str, base_url: Option<&str>) -> (String, String) {
    let settings = LlmSettings {
        model: model.to_owned(),
        base_url: base_url.map(str::to_owned),
        ..LlmSettings::default()
    };
    let route = route(&settings, &FORMAT).expect(model);
    (route.endpoint.to_string(), route.model)
}

#[test]
fn a_prefix_says_where_a_model_lives() {
    let table = [
        ("openai/gpt-5", "https://api.openai.com/v1", "gpt-5"),
        ("gpt-5.6", "https://api.openai.com/v1", "gpt-5.6"),
        ("openrouter/a/b", "https://openrouter.ai/api/v1", "a/b"),
        (
            "anthropic/claude-x",
            "https://api.anthropic.com/v1",
            "claude-x",
        ),
        ("claude-x", "https://api.anthropic.com/v1", "claude-x"),
        (
            "gemini/gemini-3",
            "https://generativelanguage.googleapis.com/v1beta/openai",
            "gemini-3",
        ),
        ("deepseek/v", "https://api.deepseek.com/v1", "v"),
        ("groq/a/b", "https://api.groq.com/openai/v1", "a/b"),
        ("mistral/m", "https://api.mistral.ai/v1", "m"),
        ("xai/grok", "https://api.x.ai/v1", "grok"),
        ("together_ai/a/b", "https://api.together.xyz/v1", "a/b"),
        ("ollama/q", "http://localhost:11434/v1", "q"),
        ("ollama_chat/q", "http://localhost:11434/v1", "q"),
        ("lm_studio/q", "http://localhost:1234/v1", "q"),
        ("moonshot/kimi", "https://api.moonshot.ai/v1", "kimi"),
        ("zai/glm", "https://api.z.ai/api/paas/v4", "glm"),
        ("cerebras/q", "https://api.cerebras.ai/v1", "q"),
        ("github_copilot/q", "https://api.githubcopilot.com", "q"),
        ("deepseek-v9", "https://api.deepseek.com/v1", "deepseek-v9"),
    ];
    for (model, base, sent) in table {
        let expected = (format!("{base}/chat/completions"), sent.to_owned());
        assert_eq!(routed(model, None), expected, "{model}");
    }
}

#[test]
fn a_base_url_wins_and_only_known_prefixes_are_stripped() {
    let table = [
        ("openai/fake", "http://h:1/v1", "http://h:1/v1", "fake"),
        ("litellm_proxy/a/b", "http://h:1/", "http://h:1", "a/b"),
        (
            "hosted_vllm/qwen/q",
            "http://h:1/v1/",
            "http://h:1/v1",
            "qwen/q",
        ),
        ("qwen/q", "http://h:1/v1", "http://h:1/v1", "qwen/q"),
        ("plain", "https://h/x", "https://h/x", "plain"),
        ("ollama/q", "http://h:1", "http://h:1/v1", "q"),
        (
            "anthropic/claude-x",
            "https://openrouter.ai/api/v1",
            "https://openrouter.ai/api/v1",
            "anthropic/claude-x",
        ),
        (
            "openai/vendor/m",
            "https://openrouter.ai/api/v1",
            "https://openrouter.ai/api/v1",
            "vendor/m",
        ),
    ];
    for (model, base, endpoint, sent) in table {
        let expected = (format!("{endpoint}/chat/completions"), sent.to_owned());
        assert_eq!(routed(model, Some(base)), expected, "{model} at {base}");
    }
    let whole = "http://h/v1/chat/completions?api-version=1";
    assert_eq!(routed("m", Some(whole)).0, whole);
}

#[test]
fn ollama_has_an_address_setting_of_its_own() {
    let settings = LlmSettings {
        model: "ollama/q".to_owned(),
        ollama_base_url: Some("http://box:11434".to_owned()),
        ..LlmSettings::default()
    };
    let endpoint = route(&settings, &FORMAT).expect("a route").endpoint;
    assert_eq!(endpoint.as_str(), "http://box:11434/v1/chat/completions");
}

#[test]
fn an_address_that_cannot_work_is_refused_without_showing_it() {
    for (model, base_url) in [
        ("m", Some("h:1?key=hunter2")),
        ("m", Some("ftp://user:hunter2@host")),
        ("m", Some("http://[hunter2")),
        ("litellm_proxy/m", None),
        ("vertex_ai/m", None),
    ] {
        let settings = LlmSettings {
            model: model.to_owned(),
            base_url: base_url.map(str::to_owned),
            ..LlmSettings::default()
        };
        let refused = route(&settings, &FORMAT).expect_err(model);
        assert!(matches!(refused, ModelError::Configuration(_)));
        assert!(!refused.to_string().contains("hunter2"), "{refused}");
    }
}

#[test]
fn azure_takes_deployments_in_the_address_of_dated_versions_only() {
    let routed = |base: &str, version: Option<&str>| {
        let settings = LlmSettings {
            model: "azure/blue".to_owned(),
            base_url: Some(base.to_owned()),
            api_version: version.map(str::to_owned),
            ..LlmSettings::default()
        };
        let route = route(&settings, &FORMAT).expect(base);
        assert_eq!(route.model, "blue");
        route.endpoint.to_string()
    };
    let resource = "https://me.openai.azure.com";
    let new = format!("{resource}/openai/v1/chat/completions");
    let dated = format!(
        "{resource}/openai/deployments/blue/chat/completions?api-version=2025-04-01-preview"
    );
    assert_eq!(routed(resource, None), new);
    assert_eq!(routed(resource, Some("v1")), new);
    assert_eq!(
        routed(
            &format!("{resource}/openai/v1/"),
            Some("2025-04-01-preview")
        ),
        new
    );
    assert_eq!(routed(resource, Some("2025-04-01-preview")), dated);
    assert_eq!(
        routed(&format!("{resource}/"), Some("2025-04-01-preview")),
        dated
    );
    assert_eq!(routed(&dated, Some("2024-01-01")), dated);
}

#[test]
fn bedrock_is_reached_with_a_key_of_its_own() {
    let keyed = LlmSettings {
        model: "bedrock/openai.gpt-oss-120b".to_owned(),
        api_key: Some("key".to_owned()),
        aws_region_name: Some("eu-west-1".to_owned()),
        ..LlmSettings::default()
    };
    let at =
        |settings: &LlmSettings| route(settings, &FORMAT).map(|route| route.endpoint.to_string());
    assert_eq!(
        at(&keyed).expect("a route"),
        "https://bedrock-runtime.eu-west-1.amazonaws.com/openai/v1/chat/completions"
    );
    let own_host = LlmSettings {
        aws_bedrock_runtime_endpoint: Some("https://vpce.example".to_owned()),
        ..keyed.clone()
    };
    assert_eq!(
        at(&own_host).expect("a route"),
        "https://vpce.example/openai/v1/chat/completions"
    );
    let refused = [
        (
            LlmSettings {
                api_key: None,
                aws_profile_name: Some("me".to_owned()),
                ..keyed.clone()
            },
            "signing",
        ),
        (
            LlmSettings {
                aws_region_name: None,
                ..keyed.clone()
            },
            "aws_region_name",
        ),
        (
            LlmSettings {
                aws_region_name: Some("a.evil/".to_owned()),
                ..keyed
            },
            "not the name",
        ),
    ];
    for (settings, said) in refused {
        let text = at(&settings).expect_err(said).to_string();
        assert!(text.contains(said), "{text}");
    }
}

#[test]
fn vertex_is_reached_by_its_compatible_address() {
    let base = "https://r-aiplatform.googleapis.com/v1/projects/p/locations/r/endpoints/openapi";
    let sent = |model: &str| routed(model, Some(base));
    let endpoint = format!("{base}/chat/completions");
    assert_eq!(
        sent("vertex_ai/gemini-4"),
        (endpoint.clone(), "google/gemini-4".to_owned())
    );
    assert_eq!(
        sent("vertex_ai/meta/llama"),
        (endpoint, "meta/llama".to_owned())
    );
}

#[test]
fn what_answers_at_openrouters_address_is_openrouter() {
    let settings = LlmSettings {
        model: "openai/gpt-5".to_owned(),
        base_url: Some("https://openrouter.ai/api/v1".to_owned()),
        ..LlmSettings::default()
    };
    let route = route(&settings, &FORMAT).expect("a route");
    assert_eq!(route.provider.prefix, "openrouter");
    assert_eq!(route.model, "openai/gpt-5");
}

#[test]
fn the_version_is_added_where_an_address_lacks_it() {
    let table = [
        ("http://h:1", "http://h:1/v1/messages"),
        ("http://h:1/v1/", "http://h:1/v1/messages"),
        ("http://h:1/v1/messages", "http://h:1/v1/messages"),
        ("https://h/anthropic", "https://h/anthropic/v1/messages"),
        ("https://h/anthropic/v1", "https://h/anthropic/v1/messages"),
        ("https://h/api/v4?a=b", "https://h/api/v4/messages?a=b"),
        ("https://h/very", "https://h/very/v1/messages"),
    ];
    for (address, expected) in table {
        let settings = LlmSettings {
            model: "anthropic/claude-x".to_owned(),
            base_url: Some(address.to_owned()),
            ..LlmSettings::default()
        };
        let route = route(&settings, &AnthropicMessages).expect(address);
        assert_eq!(route.endpoint.as_str(), expected, "{address}");
        assert_eq!(route.model, "claude-x");
    }
}
