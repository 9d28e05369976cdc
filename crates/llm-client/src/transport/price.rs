use core_model::{LlmSettings, usage::TokenUsage};

use crate::ModelReply;

/// What calls of one model cost.
pub(super) struct Pricing {
    price: Option<Price>,
    /// Whether the settings give a price.
    by_settings: bool,
}

impl Pricing {
    pub(super) fn new(settings: &LlmSettings) -> Self {
        Self {
            price: price_of(settings),
            by_settings: settings.input_cost_per_token.is_some()
                || settings.output_cost_per_token.is_some(),
        }
    }

    /// A reply with its cost: prices from settings outrank what the provider states, which outranks
    /// the list.
    pub(super) fn priced(&self, reply: ModelReply) -> ModelReply {
        let stated = reply.cost.filter(|_| !self.by_settings);
        let cost = stated.or_else(|| Some(self.price?.cost(&reply.usage)));
        ModelReply { cost, ..reply }
    }
}

/// US dollars a token.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Price {
    input: f64,
    /// For prompt tokens that the provider had cached.
    cached_input: f64,
    output: f64,
}

impl Price {
    /// What a call cost. `prompt_tokens` include the cached ones.
    fn cost(&self, usage: &TokenUsage) -> f64 {
        let cached = usage.cache_read_tokens.min(usage.prompt_tokens);
        let fresh = usage.prompt_tokens - cached;
        fresh as f64 * self.input
            + cached as f64 * self.cached_input
            + usage.completion_tokens as f64 * self.output
    }
}

/// The price of these settings' model: what they say themselves, else the list price when it is
/// known here, else `None`. A price from settings holds for cached tokens too.
fn price_of(settings: &LlmSettings) -> Option<Price> {
    let name = settings.model_canonical_name.as_ref();
    let listed = list_price(name.unwrap_or(&settings.model));
    let (input, output) = (
        settings.input_cost_per_token,
        settings.output_cost_per_token,
    );
    if input.is_none() && output.is_none() {
        return listed;
    }
    let input = input.or(listed.map(|price| price.input)).unwrap_or(0.0);
    Some(Price {
        input,
        cached_input: input,
        output: output.or(listed.map(|price| price.output)).unwrap_or(0.0),
    })
}

/// List prices in US dollars a million tokens: input, cached input, output. From the providers'
/// public price pages; a model that is not here has no known price rather than a guessed one.
#[rustfmt::skip]
const LIST: [(&str, f64, f64, f64); 31] = [
    ("gpt-4.1", 2.0, 0.5, 8.0),
    ("gpt-4.1-mini", 0.4, 0.1, 1.6),
    ("gpt-4.1-nano", 0.1, 0.025, 0.4),
    ("gpt-4o", 2.5, 1.25, 10.0),
    ("gpt-4o-mini", 0.15, 0.075, 0.6),
    ("gpt-5", 1.25, 0.125, 10.0),
    ("gpt-5-mini", 0.25, 0.025, 2.0),
    ("gpt-5-nano", 0.05, 0.005, 0.4),
    ("gpt-5-codex", 1.25, 0.125, 10.0),
    ("gpt-5.1", 1.25, 0.125, 10.0),
    ("gpt-5.1-codex", 1.25, 0.125, 10.0),
    ("gpt-5.2", 1.75, 0.175, 14.0),
    ("o1", 15.0, 7.5, 60.0),
    ("o3", 2.0, 0.5, 8.0),
    ("o3-mini", 1.1, 0.55, 4.4),
    ("o4-mini", 1.1, 0.275, 4.4),
    ("claude-3-5-haiku", 0.8, 0.08, 4.0),
    ("claude-3-5-sonnet", 3.0, 0.3, 15.0),
    ("claude-3-7-sonnet", 3.0, 0.3, 15.0),
    ("claude-haiku-4-5", 1.0, 0.1, 5.0),
    ("claude-sonnet-4", 3.0, 0.3, 15.0),
    ("claude-sonnet-4-5", 3.0, 0.3, 15.0),
    ("claude-opus-4", 15.0, 1.5, 75.0),
    ("claude-opus-4-1", 15.0, 1.5, 75.0),
    ("claude-opus-4-5", 5.0, 0.5, 25.0),
    ("gemini-2.5-flash-lite", 0.1, 0.01, 0.4),
    ("gemini-2.5-flash", 0.3, 0.03, 2.5),
    ("gemini-2.5-pro", 1.25, 0.125, 10.0),
    ("gemini-3-pro-preview", 2.0, 0.2, 12.0),
    ("deepseek-chat", 0.28, 0.028, 0.42),
    ("deepseek-reasoner", 0.28, 0.028, 0.42),
];

fn list_price(model: &str) -> Option<Price> {
    let name = model.rsplit('/').next().unwrap_or(model);
    let (_, input, cached_input, output) = LIST.iter().find(|(listed, ..)| {
        name.strip_prefix(listed)
            .is_some_and(|suffix| suffix.is_empty() || is_release(suffix))
    })?;
    Some(Price {
        input: input / 1e6,
        cached_input: cached_input / 1e6,
        output: output / 1e6,
    })
}

/// `-2025-08-07`, `-20250929` or `-latest`: the same model, one release of it.
fn is_release(suffix: &str) -> bool {
    let Some(release) = suffix.strip_prefix('-') else {
        return false;
    };
    let digits = release.replace('-', "");
    release == "latest" || (digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(prompt: u64, cached: u64, completion: u64) -> TokenUsage {
        TokenUsage {
            prompt_tokens: prompt,
            cache_read_tokens: cached,
            completion_tokens: completion,
            ..TokenUsage::default()
        }
    }

    fn settings(model: &str, input: Option<f64>, output: Option<f64>) -> LlmSettings {
        LlmSettings {
            model: model.to_owned(),
            input_cost_per_token: input,
            output_cost_per_token: output,
            ..LlmSettings::default()
        }
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-12
    }

    #[test]
    fn a_price_from_settings_holds_for_every_prompt_token() {
        let price = price_of(&settings("gpt-5", Some(1e-6), Some(2e-6))).expect("a price");
        assert!(close(price.cost(&usage(3_961, 1_980, 50)), 0.004_061));
    }

    #[test]
    fn a_listed_model_is_cheaper_where_it_was_cached() {
        let price = price_of(&settings("openai/gpt-5", None, None)).expect("a price");
        assert!(close(
            price.cost(&usage(1_000, 400, 100)),
            0.000_75 + 0.000_05 + 0.001
        ));
    }

    #[test]
    fn releases_share_a_price_and_unknown_models_have_none() {
        let price = |model: &str| price_of(&settings(model, None, None));
        assert_eq!(
            price("claude-sonnet-4-5-20250929"),
            price("claude-sonnet-4")
        );
        assert_eq!(price("gpt-5-2025-08-07"), price("openrouter/openai/gpt-5"));
        assert_ne!(price("claude-opus-4-5"), price("claude-opus-4"));
        assert_eq!(price("gpt-5.6"), None);
        assert_eq!(price("gpt-5-mini-turbo"), None);
        assert_eq!(price("llama"), None);
    }

    #[test]
    fn half_a_price_is_completed_from_the_list() {
        let price = price_of(&settings("gpt-5", Some(9e-6), None)).expect("a price");
        assert!(close(price.input, 9e-6) && close(price.output, 1e-5));
        let price = price_of(&settings("llama", None, Some(9e-6))).expect("a price");
        assert!(close(price.input, 0.0) && close(price.output, 9e-6));
    }
}
