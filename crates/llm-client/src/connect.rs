use std::sync::Arc;

use core_model::{LlmSettings, agent::ApiMode};
use url::Url;

use crate::anthropic_messages::AnthropicMessages;
use crate::capabilities::Capabilities;
use crate::fallback::{FallbackModel, fallbacks};
use crate::format::Format;
use crate::openai_chat::OpenAiChat;
use crate::openai_responses::OpenAiResponses;
use crate::provider::{OPENAI_HOST, route, target};
use crate::scripted::Scripted;
use crate::text_calls::TextCalls;
use crate::transport::HttpModel;
use crate::{Model, ModelError};

/// Names of the built-in model that needs neither a key nor a network.
const SCRIPTED: [&str; 2] = ["scripted", "builtin/scripted"];

/// A model for these settings, with the others that its `fallback_strategy` names. Opens no connection: the first call does.
///
/// # Errors
/// [`ModelError::Configuration`] when the settings name no reachable model: an unknown provider
/// without a `base_url`, a malformed address or header.
pub fn connect(settings: &LlmSettings) -> Result<Arc<dyn Model>, ModelError> {
    let first = connect_one(settings)?;
    let others = fallbacks(settings)?;
    if others.is_empty() {
        return Ok(first);
    }
    let others = others.iter().map(connect_one).collect::<Result<_, _>>()?;
    Ok(Arc::new(FallbackModel::new(first, others)))
}

fn connect_one(settings: &LlmSettings) -> Result<Arc<dyn Model>, ModelError> {
    if SCRIPTED.contains(&settings.model.trim()) {
        return Ok(Arc::new(Scripted::new(settings)));
    }
    let model = HttpModel::new(settings, format_of(settings))?;
    let only_text = !model.takes_tools();
    Ok(Arc::new(TextCalls::new(Arc::new(model), only_text)))
}

/// Where the requests of these settings go. The rest of the address may hold a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// None for the built-in model.
    pub host: Option<String>,
    /// The wire format: `chat`, `responses` or `messages`.
    pub format: &'static str,
}

/// Where requests with these settings would go.
///
/// # Errors
/// As [`connect`].
pub fn destination(settings: &LlmSettings) -> Result<Destination, ModelError> {
    if SCRIPTED.contains(&settings.model.trim()) {
        return Ok(Destination {
            host: None,
            format: "scripted",
        });
    }
    let format = format_of(settings);
    let endpoint = route(settings, format)?.endpoint;
    let host = endpoint.host_str().map(|host| match endpoint.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    });
    Ok(Destination {
        host,
        format: format.name(),
    })
}

/// The wire format that these settings ask for.
pub(crate) fn format_of(settings: &LlmSettings) -> &'static dyn Format {
    match settings.api_mode {
        ApiMode::Auto => format_by_address(settings).unwrap_or_else(|| format_by_name(settings)),
        ApiMode::Chat => &OpenAiChat,
        ApiMode::Responses => &OpenAiResponses,
        ApiMode::Messages => &AnthropicMessages,
    }
}

/// The format that the settings' own address is one of, as far as its path tells.
fn format_by_address(settings: &LlmSettings) -> Option<&'static dyn Format> {
    let address = Url::parse(own_address(settings)?).ok()?;
    let path = address.path().trim_end_matches('/');
    let formats: [&'static dyn Format; 3] = [&OpenAiChat, &OpenAiResponses, &AnthropicMessages];
    let whole = formats
        .into_iter()
        .find(|format| path.ends_with(format.path()));
    // Several providers offer Anthropic's format beside their own below such a path.
    let base = path.trim_end_matches("/v1");
    whole.or_else(|| {
        base.ends_with("/anthropic")
            .then_some(&AnthropicMessages as _)
    })
}

/// The format in which a model of this name is best spoken to.
fn format_by_name(settings: &LlmSettings) -> &'static dyn Format {
    let name = settings.model.trim();
    let host = own_address(settings).and_then(|address| Url::parse(address).ok());
    let host = host.as_ref().and_then(Url::host_str);
    let claude = match name.split_once('/') {
        // There, `anthropic/` is a part of the name.
        Some((prefix, _)) => prefix == "anthropic" && host != Some("openrouter.ai"),
        None => name.starts_with("claude-") && matches!(host, None | Some("api.anthropic.com")),
    };
    if claude {
        &AnthropicMessages
    } else if needs_responses(settings) {
        &OpenAiResponses
    } else {
        &OpenAiChat
    }
}

/// Whether a model needs Responses and is asked at OpenAI itself: services that pass requests on often
/// speak only Chat Completions.
fn needs_responses(settings: &LlmSettings) -> bool {
    // A model without an address is refused when it is connected.
    let Ok(target) = target(settings) else {
        return false;
    };
    let Ok(address) = Url::parse(&target.address) else {
        return false;
    };
    let host = address.host_str().unwrap_or_default();
    let path = address.path().trim_end_matches('/');
    let at_openai = host == OPENAI_HOST || (is_azure(host) && path.ends_with("/openai/v1"));
    at_openai && Capabilities::of(settings, target.provider, &target.model).responses
}

/// Whether a host is one of those where Azure offers OpenAI's models.
fn is_azure(host: &str) -> bool {
    [
        ".openai.azure.com",
        ".services.ai.azure.com",
        ".cognitiveservices.azure.com",
    ]
    .iter()
    .any(|end| host.ends_with(end))
}

fn own_address(settings: &LlmSettings) -> Option<&str> {
    settings
        .base_url
        .as_deref()
        .filter(|address| !address.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(model: &str) -> LlmSettings {
        LlmSettings {
            model: model.to_owned(),
            ..LlmSettings::default()
        }
    }

    #[test]
    fn a_model_keeps_the_name_its_settings_give_it() {
        for name in ["scripted", "builtin/scripted", "openai/gpt-5", "gpt-4o"] {
            let model = connect(&named(name)).expect(name);
            assert_eq!(model.name(), name);
        }
    }

    #[test]
    fn settings_that_name_no_reachable_model_are_refused() {
        for settings in [named("bedrock/claude"), named("")] {
            let refused = connect(&settings).err().expect("an error");
            assert!(
                matches!(refused, ModelError::Configuration(_)),
                "{refused:?}"
            );
        }
    }

    #[test]
    fn openai_itself_is_asked_over_responses() {
        use ApiMode::{Auto, Chat, Responses};
        let openai = "https://api.openai.com/v1";
        let azure = "https://us.openai.azure.com/openai";
        let azure_v1 = format!("{azure}/v1/");
        let azure_old = format!("{azure}/deployments/d");
        let table = [
            (Auto, "gpt-5.6", "", "responses"),
            (Auto, "openai/gpt-5.4", openai, "responses"),
            (Auto, "openai/gpt-6", "", "responses"),
            (Auto, "gpt-4o", "", "chat"),
            (Chat, "gpt-5.6", "", "chat"),
            (Responses, "gpt-5", "", "responses"),
            (Responses, "anything", "http://h:1/v1", "responses"),
            // Only OpenAI itself is known to speak it.
            (Auto, "openai/gpt-5.6", "http://h:1/v1", "chat"),
            (Auto, "openrouter/openai/gpt-5.6", "", "chat"),
            (Auto, "m", "http://h:1/v1/responses/?v=1", "responses"),
            (Chat, "m", "http://h:1/v1/responses", "chat"),
            (
                Auto,
                "gpt-5.6",
                &format!("{openai}/chat/completions"),
                "chat",
            ),
            (Auto, "gpt-5.6", &azure_v1, "responses"),
            (Auto, "gpt-5.6", &azure_old, "chat"),
            (Auto, "scripted-like", "not a URL", "chat"),
        ];
        for (api_mode, model, base_url, expected) in table {
            let settings = LlmSettings {
                api_mode,
                base_url: Some(base_url.to_owned()),
                ..named(model)
            };
            let format = format_of(&settings);
            assert_eq!(format.name(), expected, "{api_mode:?} {model} {base_url}");
        }
    }

    #[test]
    fn the_wire_format_follows_from_address_name_and_setting() {
        use ApiMode::{Auto, Chat, Messages};
        let table = [
            ("gpt-4o", None, Auto, "chat"),
            ("anthropic/claude-x", None, Auto, "messages"),
            ("claude-x", None, Auto, "messages"),
            ("claude-x", Some(""), Auto, "messages"),
            ("anthropic/claude-x", Some("http://h:1"), Auto, "messages"),
            ("claude-x", Some("http://h:1"), Auto, "chat"),
            (
                "claude-x",
                Some("https://api.anthropic.com"),
                Auto,
                "messages",
            ),
            (
                "openai/claude-x",
                Some("https://api.anthropic.com/v1"),
                Auto,
                "chat",
            ),
            ("openrouter/anthropic/claude-x", None, Auto, "chat"),
            (
                "anthropic/claude-x",
                Some("https://openrouter.ai/api/v1"),
                Auto,
                "chat",
            ),
            ("qwen", Some("http://h:1/v1/messages"), Auto, "messages"),
            (
                "qwen",
                Some("http://h:1/v1/messages/?a=b"),
                Auto,
                "messages",
            ),
            ("qwen", Some("https://h/anthropic"), Auto, "messages"),
            ("qwen", Some("https://h/anthropic/v1/"), Auto, "messages"),
            (
                "anthropic/claude-x",
                Some("http://h:1/v1/chat/completions"),
                Auto,
                "chat",
            ),
            ("anthropic/claude-x", None, Chat, "chat"),
            ("gpt-5", Some("http://h:1/v1"), Messages, "messages"),
        ];
        for (model, base_url, api_mode, format) in table {
            let settings = LlmSettings {
                base_url: base_url.map(str::to_owned),
                api_mode,
                ..named(model)
            };
            let found = format_of(&settings).name();
            assert_eq!(found, format, "{model} at {base_url:?}, {api_mode:?}");
        }
    }
}
