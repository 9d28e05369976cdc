use core_model::LlmSettings;
use url::Url;

use crate::ModelError;

/// A service that speaks Chat Completions, by the prefix model names give it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Provider {
    pub(crate) prefix: &'static str,
    /// Where it is, unless the settings say otherwise. `None`: only they know.
    base_url: Option<&'static str>,
    /// Hosted services refuse calls without a key; those on one's own machine need none.
    pub(crate) needs_key: bool,
    /// What it calls the limit on a reply's length.
    pub(crate) length_limit: &'static str,
    /// Whether message content must be a string where it could be a list of parts.
    pub(crate) plain_content: bool,
}

/// Where a model's requests go, and under which name.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) provider: &'static Provider,
    /// The full address of the chat completions endpoint.
    pub(crate) endpoint: Url,
    /// The model's name as its provider knows it.
    pub(crate) model: String,
}

const NEW_LIMIT: &str = "max_completion_tokens";
const OLD_LIMIT: &str = "max_tokens";

/// Addresses from the providers' own documentation of their OpenAI-compatible endpoints.
#[rustfmt::skip]
static PROVIDERS: [Provider; 16] = [
    hosted("openai", "https://api.openai.com/v1", NEW_LIMIT),
    hosted("openrouter", "https://openrouter.ai/api/v1", OLD_LIMIT),
    hosted("anthropic", "https://api.anthropic.com/v1", OLD_LIMIT),
    hosted("gemini", "https://generativelanguage.googleapis.com/v1beta/openai", OLD_LIMIT),
    Provider { plain_content: true, ..hosted("deepseek", "https://api.deepseek.com/v1", OLD_LIMIT) },
    hosted("groq", "https://api.groq.com/openai/v1", NEW_LIMIT),
    hosted("mistral", "https://api.mistral.ai/v1", OLD_LIMIT),
    hosted("xai", "https://api.x.ai/v1", NEW_LIMIT),
    hosted("together_ai", "https://api.together.xyz/v1", OLD_LIMIT),
    hosted("fireworks_ai", "https://api.fireworks.ai/inference/v1", OLD_LIMIT),
    Provider { plain_content: true, ..local("ollama", Some("http://localhost:11434/v1")) },
    Provider { plain_content: true, ..local("ollama_chat", Some("http://localhost:11434/v1")) },
    Provider { plain_content: true, ..local("lm_studio", Some("http://localhost:1234/v1")) },
    Provider { length_limit: NEW_LIMIT, ..local("hosted_vllm", None) },
    Provider { length_limit: NEW_LIMIT, ..local("litellm_proxy", None) },
    Provider { length_limit: NEW_LIMIT, ..local("custom_openai", None) },
];

const fn hosted(
    prefix: &'static str,
    base_url: &'static str,
    length_limit: &'static str,
) -> Provider {
    Provider {
        prefix,
        base_url: Some(base_url),
        needs_key: true,
        length_limit,
        plain_content: false,
    }
}

const fn local(prefix: &'static str, base_url: Option<&'static str>) -> Provider {
    Provider {
        prefix,
        base_url,
        needs_key: false,
        length_limit: OLD_LIMIT,
        plain_content: false,
    }
}

/// Finds a model's provider and address. `base_url` outranks the provider's own.
///
/// # Errors
/// When no address is known, or the given one is not an `http` or `https` URL.
pub(crate) fn route(settings: &LlmSettings) -> Result<Route, ModelError> {
    let name = settings.model.trim();
    if name.is_empty() {
        return Err(refuse("no model is named: set `model`"));
    }
    let own_address = settings.base_url.as_deref().filter(|url| !url.is_empty());
    let (provider, model) = provider_and_name(name, own_address.is_some())?;
    let ollama = provider.prefix.starts_with("ollama");
    let own_address = own_address.or(match ollama {
        true => settings.ollama_base_url.as_deref(),
        false => None,
    });
    let Some(address) = own_address.or(provider.base_url) else {
        let prefix = provider.prefix;
        return Err(refuse(&format!("models of `{prefix}/` need a `base_url`")));
    };
    Ok(Route {
        provider,
        endpoint: endpoint(address, ollama)?,
        model: name_sent(name, model, address).to_owned(),
    })
}

fn provider_and_name(
    name: &str,
    has_address: bool,
) -> Result<(&'static Provider, &str), ModelError> {
    if let Some((prefix, rest)) = name.split_once('/') {
        if let Some(provider) = by_prefix(prefix).filter(|_| !rest.is_empty()) {
            return Ok((provider, rest));
        }
        if !has_address {
            return Err(refuse(&format!(
                "`{prefix}/` is no provider this build knows: set `base_url` to an \
                 OpenAI-compatible address, or name the model with one of {}",
                PROVIDERS.each_ref().map(|known| known.prefix).join(", ")
            )));
        }
    }
    // Behind an address of the user's own, any name may be served by anything.
    let guess = match name {
        _ if has_address => "custom_openai",
        _ if name.starts_with("claude-") => "anthropic",
        _ if name.starts_with("gemini-") => "gemini",
        "deepseek-chat" | "deepseek-reasoner" => "deepseek",
        _ => "openai",
    };
    let provider = by_prefix(guess).unwrap_or(&PROVIDERS[0]);
    Ok((provider, name))
}

fn by_prefix(prefix: &str) -> Option<&'static Provider> {
    PROVIDERS.iter().find(|provider| provider.prefix == prefix)
}

/// OpenRouter's own names have a vendor before the slash, which must not be taken for ours.
fn name_sent<'a>(full: &'a str, stripped: &'a str, address: &str) -> &'a str {
    let vendor_needed = address.contains("//openrouter.ai/") && !stripped.contains('/');
    if vendor_needed && !full.starts_with("openrouter/") {
        return full;
    }
    stripped
}

fn endpoint(address: &str, ollama: bool) -> Result<Url, ModelError> {
    const SUFFIX: &str = "/chat/completions";
    // The address itself stays out of the message: it may hold a password or a key.
    let mut url =
        Url::parse(address).map_err(|e| refuse(&format!("`base_url` is not a URL: {e}")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(refuse("`base_url` must start with http:// or https://"));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    if path.ends_with(SUFFIX) {
        url.set_path(&path);
    } else if path.is_empty() && ollama {
        url.set_path(&format!("/v1{SUFFIX}"));
    } else {
        url.set_path(&format!("{path}{SUFFIX}"));
    }
    Ok(url)
}

fn refuse(reason: &str) -> ModelError {
    ModelError::Configuration(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routed(model: &str, base_url: Option<&str>) -> (String, String) {
        let settings = LlmSettings {
            model: model.to_owned(),
            base_url: base_url.map(str::to_owned),
            ..LlmSettings::default()
        };
        let route = route(&settings).expect(model);
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
        let endpoint = route(&settings).expect("a route").endpoint;
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
            let refused = route(&settings).expect_err(model);
            assert!(matches!(refused, ModelError::Configuration(_)));
            assert!(!refused.to_string().contains("hunter2"), "{refused}");
        }
    }
}
