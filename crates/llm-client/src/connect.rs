use std::sync::Arc;

use core_model::{LlmSettings, agent::ApiMode};
use url::Url;

use crate::capabilities::Capabilities;
use crate::format::Format;
use crate::openai_chat::OpenAiChat;
use crate::openai_responses::OpenAiResponses;
use crate::provider::{OPENAI_HOST, Target, target};
use crate::scripted::Scripted;
use crate::transport::HttpModel;
use crate::{Model, ModelError};

/// Names of the built-in model that needs neither a key nor a network.
const SCRIPTED: [&str; 2] = ["scripted", "builtin/scripted"];

/// A model for these settings. Opens no connection: the first call does.
///
/// # Errors
/// [`ModelError::Configuration`] when the settings name no reachable model: an unknown provider
/// without a `base_url`, a malformed address or header.
pub fn connect(settings: &LlmSettings) -> Result<Arc<dyn Model>, ModelError> {
    if SCRIPTED.contains(&settings.model.trim()) {
        return Ok(Arc::new(Scripted::new(settings)));
    }
    Ok(Arc::new(HttpModel::new(settings, format_of(settings)?)?))
}

/// The wire format that these settings ask for.
///
/// # Errors
/// [`ModelError::Configuration`] when it follows from the provider, and that is unknown.
fn format_of(settings: &LlmSettings) -> Result<&'static dyn Format, ModelError> {
    let format: &'static dyn Format = match settings.api_mode {
        ApiMode::Chat => &OpenAiChat,
        ApiMode::Responses => &OpenAiResponses,
        ApiMode::Auto => {
            let target = target(settings)?;
            if speaks_responses(settings, &target) {
                &OpenAiResponses
            } else {
                &OpenAiChat
            }
        }
    };
    Ok(format)
}

/// Whether a model is asked over Responses without being told to: its address says so, or it needs
/// that and is asked at OpenAI itself. Services that pass requests on often speak only Chat
/// Completions.
fn speaks_responses(settings: &LlmSettings, target: &Target<'_>) -> bool {
    let Ok(address) = Url::parse(target.address) else {
        return false;
    };
    let path = address.path().trim_end_matches('/');
    if path.ends_with(OpenAiResponses.path()) {
        return true;
    }
    if path.ends_with(OpenAiChat.path()) {
        return false;
    }
    let host = address.host_str().unwrap_or_default();
    let at_openai = host == OPENAI_HOST || (is_azure(host) && path.ends_with("/openai/v1"));
    at_openai && Capabilities::of(settings, target.provider, target.model).responses
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
    fn the_format_follows_from_the_setting_the_address_and_the_model() {
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
            let format = format_of(&settings).expect(model);
            assert_eq!(format.name(), expected, "{api_mode:?} {model} {base_url}");
        }
    }
}
