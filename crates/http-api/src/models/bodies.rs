use std::collections::BTreeMap;

use agent_runtime::{KnownModel, KnownPrice};
use schemars::JsonSchema;
use serde::Serialize;

/// Prefixes of providers, in alphabetical order.
#[derive(Serialize, JsonSchema)]
pub(super) struct ProviderNames {
    pub(super) providers: Vec<&'static str>,
}

/// Names of models, provider by provider.
#[derive(Serialize, JsonSchema)]
pub(super) struct ModelNames {
    pub(super) models: Vec<String>,
}

/// Names of models without their prefix, by provider.
#[derive(Serialize, JsonSchema)]
pub(super) struct ModelsByProvider {
    pub(super) models: BTreeMap<&'static str, Vec<String>>,
}

/// What is known of a provider's models.
#[derive(Serialize, JsonSchema)]
pub(super) struct DescribedModels {
    pub(super) models: Vec<DescribedModel>,
}

/// What is known of a model.
#[derive(Serialize, JsonSchema)]
pub(super) struct DescribedModel {
    /// As the `model` of an agent's `llm` has it.
    name: String,
    provider: &'static str,
    /// The wire format it is asked in: `chat`, `responses` or `messages`.
    format: &'static str,
    /// The longest prompt, in tokens.
    context_window: Option<u64>,
    /// The longest reply, in tokens.
    max_output_tokens: Option<u64>,
    /// Null when it is not known.
    price: Option<TokenPrice>,
    /// Whether it takes images.
    vision: Option<bool>,
    tools: bool,
    reasoning: bool,
    /// The levels of `reasoning_effort` that it takes, the least first.
    effort_levels: Vec<&'static str>,
}

/// US dollars a million tokens, of short prompts at this hour.
#[derive(Serialize, JsonSchema)]
pub(super) struct TokenPrice {
    input: f64,
    output: f64,
    cache_read: f64,
    cache_write: f64,
}

impl From<KnownModel> for DescribedModel {
    fn from(known: KnownModel) -> Self {
        Self {
            name: known.name,
            provider: known.provider,
            format: known.format,
            context_window: known.context_window,
            max_output_tokens: known.max_output_tokens,
            price: known.price.map(TokenPrice::from),
            vision: known.vision,
            tools: known.tools,
            reasoning: known.reasoning,
            effort_levels: known.effort_levels,
        }
    }
}

impl From<KnownPrice> for TokenPrice {
    fn from(price: KnownPrice) -> Self {
        Self {
            input: price.input,
            output: price.output,
            cache_read: price.cache_read,
            cache_write: price.cache_write,
        }
    }
}
