use std::sync::Arc;

use core_model::{LlmSettings, agent::ApiMode};

use crate::format::Format;
use crate::openai_chat::OpenAiChat;
use crate::scripted::Scripted;
use crate::text_calls::TextCalls;
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
    let model = Arc::new(HttpModel::new(settings, format_of(settings)?)?);
    Ok(Arc::new(TextCalls::new(
        model,
        !settings.native_tool_calling,
    )))
}

/// The wire format that these settings ask for.
fn format_of(settings: &LlmSettings) -> Result<&'static dyn Format, ModelError> {
    match settings.api_mode {
        ApiMode::Auto | ApiMode::Chat => Ok(&OpenAiChat),
        ApiMode::Responses => Err(ModelError::Configuration(
            "api_mode \"responses\" is not available in this build: use \"auto\" or \"chat\""
                .to_owned(),
        )),
    }
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
}
