#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use core_model::LlmSettings;

use crate::connect::format_of;
use crate::models;
use crate::prices;
use crate::provider::{Provider, Route, providers, route, target};

/// An address of the form that Azure's have, of which models are described that only users know where to reach.
const USERS_OWN_ADDRESS: &str = "https://name.openai.azure.com";

/// A model of the lists, as settings with nothing but its name would reach it.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownModel {
    pub provider: &'static str,
    /// With the provider's prefix, as `model` in settings has it.
    pub name: String,
    /// The longest prompt, in tokens; None when it is not known.
    pub context_window: Option<u64>,
    /// The longest reply, in tokens; None when it is not known.
    pub max_output_tokens: Option<u64>,
    /// None when it is not known.
    pub price: Option<KnownPrice>,
    /// The wire format it is asked in: `chat`, `responses` or `messages`.
    pub format: &'static str,
    /// None when it is not known.
    pub vision: Option<bool>,
    pub tools: bool,
    pub reasoning: bool,
    /// The levels of reasoning effort that it takes, the least first.
    pub effort_levels: Vec<&'static str>,
}

/// US dollars a million tokens, of short prompts at this hour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KnownPrice {
    pub input: f64,
    pub output: f64,
    pub cache_read: f64,
    pub cache_write: f64,
}

/// The prefixes of all providers, in alphabetical order.
#[must_use]
pub fn provider_names() -> Vec<&'static str> {
    let mut names: Vec<_> = providers().iter().map(|provider| provider.prefix).collect();
    names.sort_unstable();
    names
}

/// The names of all known models with their prefixes, those of one provider if it is given.
#[must_use]
pub fn model_names(provider: Option<&str>) -> Vec<String> {
    let wanted = providers()
        .iter()
        .filter(|it| provider.is_none_or(|name| name == it.prefix));
    wanted
        .flat_map(|provider| {
            let names = names_of(provider).into_iter();
            names.map(|name| format!("{}/{name}", provider.prefix))
        })
        .collect()
}

/// What is known of a model, by its name with the provider's prefix. None when it is in no list.
#[must_use]
pub fn known_model(name: &str) -> Option<KnownModel> {
    let mut settings = LlmSettings {
        model: name.to_owned(),
        // Some providers are only reached with these; what is known of a model does not depend on them.
        api_key: Some("none".to_owned()),
        aws_region_name: Some("us-east-1".to_owned()),
        ..LlmSettings::default()
    };
    if target(&settings).is_err() {
        settings.base_url = Some(USERS_OWN_ADDRESS.to_owned());
    }
    let format = format_of(&settings);
    let Route {
        provider,
        model,
        capabilities,
        ..
    } = route(&settings, format).ok()?;
    let price = prices::price(provider, &model).map(|price| KnownPrice {
        input: price.input,
        output: price.output,
        cache_read: price.cache_read,
        cache_write: price.cache_write,
    });
    if price.is_none() && models::row_of(provider.prefix, &model).is_none() {
        return None;
    }
    let listed_window = || prices::context_window(provider, &model);
    Some(KnownModel {
        provider: provider.prefix,
        name: name.to_owned(),
        context_window: capabilities.context_window.or_else(listed_window),
        max_output_tokens: capabilities.max_output_tokens,
        price,
        format: format.name(),
        vision: capabilities.vision,
        tools: capabilities.native_tools,
        reasoning: capabilities.reasons,
        effort_levels: capabilities.effort_levels.iter().collect(),
    })
}

/// What makers of models offer for agents: those that take tools and long prompts, by provider.
#[must_use]
pub fn models_for_agents() -> Vec<(&'static str, Vec<String>)> {
    const MAKERS: [&str; 9] = [
        "anthropic",
        "deepseek",
        "gemini",
        "minimax",
        "mistral",
        "moonshot",
        "openai",
        "xai",
        "zai",
    ];
    const SHORTEST_WINDOW: u64 = 100_000;
    let fit = |row: &models::ModelRow| {
        row.says("tools")
            && row
                .longest_prompt()
                .is_some_and(|tokens| tokens >= SHORTEST_WINDOW)
    };
    let of = |prefix: &'static str| {
        let offers = models::rows()
            .filter(fit)
            .flat_map(models::ModelRow::offers);
        let own = offers.filter(|offer| offer.prefix == prefix);
        (prefix, own.map(models::Offer::model).collect())
    };
    MAKERS.into_iter().map(of).collect()
}

/// From the list of models; from that of prices where it has none.
fn names_of(provider: &Provider) -> BTreeSet<String> {
    let offers = models::rows().flat_map(models::ModelRow::offers);
    let own = offers.filter(|offer| offer.prefix == provider.prefix);
    let names: BTreeSet<String> = own.map(models::Offer::model).collect();
    if names.is_empty() {
        return prices::listed(provider).map(str::to_owned).collect();
    }
    names
}
