use core_model::{LlmSettings, usage::TokenUsage};

use crate::ModelReply;
use crate::prices;
use crate::provider::{Provider, Route, by_prefix};

/// What calls of one model cost, and how much it reads.
pub(super) struct Pricing {
    provider: &'static Provider,
    /// The model's name in the provider's price list.
    model: String,
    /// US dollars a token, as the settings have them.
    input: Option<f64>,
    output: Option<f64>,
    /// The longest prompt, in tokens, where the settings or the list of models say it.
    window: Option<u64>,
}

impl Pricing {
    pub(super) fn new(settings: &LlmSettings, route: &Route) -> Self {
        let canonical = settings.model_canonical_name.as_deref();
        let canonical = canonical.filter(|name| !name.is_empty());
        let named = canonical.and_then(|name| {
            let (prefix, rest) = name.split_once('/')?;
            Some((by_prefix(prefix)?, rest))
        });
        let (provider, model) =
            named.unwrap_or((route.provider, canonical.unwrap_or(&route.model)));
        Self {
            provider,
            model: model.to_owned(),
            input: settings.input_cost_per_token,
            output: settings.output_cost_per_token,
            window: settings
                .max_input_tokens
                .or(route.capabilities.context_window),
        }
    }

    /// A reply with its cost and the model's context window. Prices from settings outrank what the provider states,
    /// which outranks the list. The cost of a model that nobody has a price for stays unknown.
    pub(super) fn priced(&self, mut reply: ModelReply) -> ModelReply {
        reply.cost = match (self.input, self.output) {
            (None, None) => reply.cost.or_else(|| self.listed(&reply.usage)),
            (input, output) => Some(self.by_settings(input, output, &reply.usage)),
        };
        if reply.usage.context_window == 0 {
            reply.usage.context_window = self.context_window().unwrap_or(0);
        }
        reply
    }

    /// Whether anybody may have a price for a reply.
    pub(super) fn is_known(&self) -> bool {
        self.input.is_some()
            || self.output.is_some()
            || self.provider.states_costs
            || prices::price(self.provider, &self.model).is_some()
    }

    /// The longest prompt, in tokens: by the settings, else the list of models, else that of prices.
    pub(super) fn context_window(&self) -> Option<u64> {
        let listed = || prices::context_window(self.provider, &self.model);
        self.window
            .or_else(|| listed().filter(|_| !self.provider.local_limits))
    }

    fn listed(&self, usage: &TokenUsage) -> Option<f64> {
        prices::cost(self.provider, &self.model, usage)
    }

    /// A price from settings holds for cached tokens too; half a price is completed from the list.
    fn by_settings(&self, input: Option<f64>, output: Option<f64>, usage: &TokenUsage) -> f64 {
        let counted = |prompt_tokens, completion_tokens| TokenUsage {
            prompt_tokens,
            completion_tokens,
            ..TokenUsage::default()
        };
        let prompt = match input {
            Some(price) => usage.prompt_tokens as f64 * price,
            None => {
                let cached = TokenUsage {
                    completion_tokens: 0,
                    ..usage.clone()
                };
                self.listed(&cached).unwrap_or(0.0)
            }
        };
        let completion = match output {
            Some(price) => usage.completion_tokens as f64 * price,
            None => {
                let alone = counted(0, usage.completion_tokens);
                self.listed(&alone).unwrap_or(0.0)
            }
        };
        prompt + completion
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openai_chat::OpenAiChat;
    use crate::provider::route;

    fn usage(prompt: u64, cached: u64, completion: u64) -> TokenUsage {
        TokenUsage {
            prompt_tokens: prompt,
            cache_read_tokens: cached,
            completion_tokens: completion,
            ..TokenUsage::default()
        }
    }

    fn named(model: &str) -> LlmSettings {
        LlmSettings {
            model: model.to_owned(),
            ..LlmSettings::default()
        }
    }

    fn priced(settings: &LlmSettings, usage: TokenUsage, stated: Option<f64>) -> ModelReply {
        let route = route(settings, &OpenAiChat).expect("a route");
        let reply = ModelReply {
            usage,
            cost: stated,
            ..ModelReply::default()
        };
        Pricing::new(settings, &route).priced(reply)
    }

    fn close(cost: Option<f64>, expected: f64) {
        let cost = cost.expect("a cost");
        assert!((cost - expected).abs() < 1e-12, "{cost} is not {expected}");
    }

    #[test]
    fn a_price_from_settings_holds_for_every_prompt_token_and_wins() {
        let settings = LlmSettings {
            input_cost_per_token: Some(1e-6),
            output_cost_per_token: Some(2e-6),
            ..named("gpt-5")
        };
        let reply = priced(&settings, usage(3_961, 1_980, 50), Some(7.0));
        close(reply.cost, 0.004_061);
    }

    #[test]
    fn what_the_provider_states_outranks_the_list() {
        close(
            priced(&named("gpt-5"), usage(1_000, 0, 0), Some(7.0)).cost,
            7.0,
        );
        close(
            priced(&named("gpt-5"), usage(1_000, 400, 100), None).cost,
            0.001_8,
        );
        assert_eq!(
            priced(&named("openai/nobody-knows"), usage(1, 0, 1), None).cost,
            None
        );
    }

    #[test]
    fn half_a_price_is_completed_from_the_list() {
        let input = LlmSettings {
            input_cost_per_token: Some(9e-6),
            ..named("gpt-5")
        };
        close(
            priced(&input, usage(1_000, 500, 100), None).cost,
            0.009 + 0.001,
        );
        let output = LlmSettings {
            output_cost_per_token: Some(9e-6),
            ..named("gpt-5")
        };
        close(
            priced(&output, usage(1_000, 400, 100), None).cost,
            0.000_8 + 0.000_9,
        );
        let unlisted = LlmSettings {
            output_cost_per_token: Some(9e-6),
            ..named("openai/nobody-knows")
        };
        close(priced(&unlisted, usage(1_000, 0, 100), None).cost, 0.000_9);
    }

    #[test]
    fn the_window_is_the_settings_else_the_lists() {
        let window =
            |settings: &LlmSettings| priced(settings, usage(1, 0, 1), None).usage.context_window;
        assert_eq!(window(&named("anthropic/claude-opus-4-5")), 200_000);
        assert_eq!(
            window(&named("openrouter/anthropic/claude-opus-4.5")),
            200_000
        );
        assert_eq!(window(&named("openai/nobody-knows")), 0);
        assert_eq!(window(&named("ollama/qwen3")), 0);
        let limited = LlmSettings {
            max_input_tokens: Some(5_000),
            ..named("gpt-5")
        };
        assert_eq!(window(&limited), 5_000);
        let deployed = LlmSettings {
            model_canonical_name: Some("anthropic/claude-opus-4-5".to_owned()),
            base_url: Some("https://me.openai.azure.com".to_owned()),
            ..named("azure/blue")
        };
        assert_eq!(window(&deployed), 200_000);
        close(priced(&deployed, usage(1_000, 0, 0), None).cost, 0.005);
    }
}
