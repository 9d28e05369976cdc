//! What the types of a model's settings cannot say.

use serde_json::Value;
use thiserror::Error;

use crate::LlmSettings;

/// A setting of a model that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{} should be {expected}", path.join("."))]
pub struct InvalidLlmSetting {
    /// Where it is in [`LlmSettings`].
    pub path: Vec<String>,
    /// What would do. Does not quote the value, which may be a secret.
    pub expected: &'static str,
}

impl LlmSettings {
    /// Whether a model can be asked with these settings, as far as they tell by themselves.
    ///
    /// # Errors
    /// The first setting that cannot work.
    pub fn check(&self) -> Result<(), InvalidLlmSetting> {
        let wrong = |path: &[&str], expected| InvalidLlmSetting {
            path: path.iter().map(|name| (*name).to_owned()).collect(),
            expected,
        };
        if self.model.trim().is_empty() {
            return Err(wrong(&["model"], "the name of a model"));
        }
        if self.model.contains(char::is_control) {
            return Err(wrong(&["model"], "a name without control characters"));
        }
        let numbers = [
            ("retry_multiplier", Some(self.retry_multiplier)),
            ("stream_idle_timeout", self.stream_idle_timeout),
            ("input_cost_per_token", self.input_cost_per_token),
            ("output_cost_per_token", self.output_cost_per_token),
        ];
        for (name, number) in numbers {
            if number.is_some_and(|number| number < 0.0) {
                return Err(wrong(&[name], "a number, zero or more"));
            }
        }
        for (name, value) in self.extra_headers.iter().flatten() {
            let path = ["extra_headers", name];
            if name.is_empty() || !name.bytes().all(is_in_header_name) {
                return Err(wrong(&path, "named by letters, digits and dashes"));
            }
            if !value.bytes().all(is_in_header_value) {
                return Err(wrong(&path, "text of visible ASCII characters and spaces"));
            }
        }
        if self.fallback_strategy.as_ref().is_some_and(names_no_models) {
            let path = ["fallback_strategy", "fallback_llms"];
            return Err(wrong(
                &path,
                "a list of names of models, or of settings with `model`",
            ));
        }
        Ok(())
    }
}

/// Whether the models that answer in place of one that fails cannot be told.
fn names_no_models(strategy: &Value) -> bool {
    let is_name = |value: &Value| value.as_str().is_some_and(|name| !name.trim().is_empty());
    let named = |model: &Value| is_name(model) || is_name(&model["model"]);
    let listed = &strategy["fallback_llms"];
    let models = listed.as_array();
    !strategy.is_object()
        || !listed.is_null() && !models.is_some_and(|models| models.iter().all(named))
}

/// <https://www.rfc-editor.org/rfc/rfc9110#name-tokens>
fn is_in_header_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_in_header_value(byte: u8) -> bool {
    byte.is_ascii_graphic() || byte == b' ' || byte == b'\t'
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    fn refused(settings: &LlmSettings) -> String {
        settings.check().unwrap_err().to_string()
    }

    fn with_header(name: &str, value: &str) -> LlmSettings {
        LlmSettings {
            extra_headers: Some(BTreeMap::from([(name.to_owned(), value.to_owned())])),
            ..LlmSettings::default()
        }
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        assert_eq!(LlmSettings::default().check(), Ok(()));
        assert_eq!(with_header("X-Team_1", "a \tb").check(), Ok(()));
        let nameless = LlmSettings {
            model: " ".to_owned(),
            ..LlmSettings::default()
        };
        assert_eq!(refused(&nameless), "model should be the name of a model");
        let odd = LlmSettings {
            model: "openai/gpt\0".to_owned(),
            ..LlmSettings::default()
        };
        assert_eq!(
            refused(&odd),
            "model should be a name without control characters"
        );
        let backwards = LlmSettings {
            retry_multiplier: -1.0,
            ..LlmSettings::default()
        };
        assert_eq!(
            refused(&backwards),
            "retry_multiplier should be a number, zero or more"
        );
        for fallback in [
            json!("x"),
            json!([]),
            json!({"fallback_llms": "x"}),
            json!({"fallback_llms": [5]}),
            json!({"fallback_llms": [" "]}),
            json!({"fallback_llms": [{"base_url": "http://localhost"}]}),
        ] {
            let settings = LlmSettings {
                fallback_strategy: Some(fallback.clone()),
                ..LlmSettings::default()
            };
            let why = refused(&settings);
            assert!(why.starts_with("fallback_strategy."), "{fallback}: {why}");
        }
        let fallback = LlmSettings {
            fallback_strategy: Some(json!({"fallback_llms": ["a/b", {"model": "c"}]})),
            ..LlmSettings::default()
        };
        assert_eq!(fallback.check(), Ok(()));
        for (name, value) in [
            ("a b", "c"),
            ("", "c"),
            ("a", "hush\r\nb: c"),
            ("a", "hüsh"),
        ] {
            let why = refused(&with_header(name, value));
            assert!(
                why.starts_with("extra_headers.") && !why.contains("hush") && !why.contains("hüsh"),
                "{why}"
            );
        }
    }
}
