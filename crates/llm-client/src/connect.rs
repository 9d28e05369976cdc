use std::sync::Arc;

use core_model::{LlmSettings, agent::ApiMode};
use url::Url;

use crate::anthropic_messages::AnthropicMessages;
use crate::format::Format;
use crate::openai_chat::OpenAiChat;
use crate::scripted::Scripted;
use crate::transport::HttpModel;
use crate::{Model, ModelError};

/// Names of the built-in model that needs neither a key nor a network.
const SCRIPTED: [&str; 2] = ["scripted", "builtin/scripted"];

/// A model for these settings. Opens no connection: the first call does.
///
/// # Errors
/// [`ModelError::Configuration`] when the settings name no reachable model: an unknown provider
/// without a `base_url`, a malformed address or header, a wire format this build does not speak.
pub fn connect(settings: &LlmSettings) -> Result<Arc<dyn Model>, ModelError> {
    if SCRIPTED.contains(&settings.model.trim()) {
        return Ok(Arc::new(Scripted::new(settings)));
    }
    Ok(Arc::new(HttpModel::new(settings, format_of(settings)?)?))
}

/// The wire format that these settings ask for.
fn format_of(settings: &LlmSettings) -> Result<&'static dyn Format, ModelError> {
    match settings.api_mode {
        ApiMode::Auto => {
            Ok(format_by_address(settings).unwrap_or_else(|| format_by_name(settings)))
        }
        ApiMode::Chat => Ok(&OpenAiChat),
        ApiMode::Messages => Ok(&AnthropicMessages),
        ApiMode::Responses => Err(ModelError::Configuration(
            "api_mode \"responses\" is not available in this build: use \"auto\", \"chat\" \
             or \"messages\""
                .to_owned(),
        )),
    }
}

/// The format that the settings' own address is one of, as far as its path tells.
fn format_by_address(settings: &LlmSettings) -> Option<&'static dyn Format> {
    let address = Url::parse(own_address(settings)?).ok()?;
    let path = address.path().trim_end_matches('/');
    let formats: [&'static dyn Format; 2] = [&OpenAiChat, &AnthropicMessages];
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
    } else {
        &OpenAiChat
    }
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
        let responses = LlmSettings {
            api_mode: ApiMode::Responses,
            ..named("gpt-5")
        };
        for settings in [named("bedrock/claude"), named(""), responses] {
            let refused = connect(&settings).err().expect("an error");
            assert!(
                matches!(refused, ModelError::Configuration(_)),
                "{refused:?}"
            );
        }
    }

    #[test]
    fn the_wire_format_follows_from_address_name_and_setting() {
        use ApiMode::{Auto, Chat, Messages};
        let table = [
            ("gpt-5", None, Auto, "chat"),
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
            let found = format_of(&settings).expect(model).name();
            assert_eq!(found, format, "{model} at {base_url:?}, {api_mode:?}");
        }
    }
}
