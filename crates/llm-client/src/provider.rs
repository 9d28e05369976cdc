mod address;
mod table;

use core_model::{LlmSettings, message::Provenance};
use url::Url;

pub(crate) use table::{Provider, ReasoningField};

use crate::ModelError;
use crate::adjustments::Adjustments;
use crate::capabilities::Capabilities;
use crate::format::Format;
use table::PROVIDERS;

/// Where a model's requests go, and under which name.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) provider: &'static Provider,
    /// The full address that requests go to.
    pub(crate) endpoint: Url,
    /// The model's name as its provider knows it.
    pub(crate) model: String,
    /// What replies are marked with.
    pub(crate) made_by: Provenance,
    pub(crate) capabilities: Capabilities,
    /// What its refusals have taught.
    pub(crate) adjustments: Adjustments,
}

/// Where OpenAI offers its models itself.
pub(crate) const OPENAI_HOST: &str = "api.openai.com";

/// A model's provider, name and address, before it is known in which format it is asked.
pub(crate) struct Target {
    pub(crate) provider: &'static Provider,
    /// The model's name as its provider knows it.
    pub(crate) model: String,
    /// The start of its endpoint's address, or the whole of it.
    pub(crate) address: String,
}

/// Finds a model's provider and address. `base_url` outranks the provider's own.
///
/// # Errors
/// When no address is known.
pub(crate) fn target(settings: &LlmSettings) -> Result<Target, ModelError> {
    let name = settings.model.trim();
    if name.is_empty() {
        return Err(refuse("no model is named: set `model`"));
    }
    let own_address = settings.base_url.as_deref().filter(|url| !url.is_empty());
    let (provider, model) = provider_and_name(name, own_address)?;
    Ok(Target {
        provider,
        model: name_sent(name, model, provider),
        address: address::base(provider, settings)?,
    })
}

/// Where a model's requests in this format go.
///
/// # Errors
/// When no address is known, or the given one is not an `http` or `https` URL.
pub(crate) fn route(settings: &LlmSettings, format: &dyn Format) -> Result<Route, ModelError> {
    let Target {
        provider,
        model,
        address,
    } = target(settings)?;
    Ok(Route {
        provider,
        endpoint: address::endpoint(&address, format, &model, provider, settings)?,
        made_by: Provenance {
            model: settings.model.trim().to_owned(),
            format: format.name().to_owned(),
        },
        capabilities: Capabilities::of(settings, provider, &model),
        model,
        adjustments: Adjustments::of_provider(provider.prefix),
    })
}

/// All providers.
pub(crate) fn providers() -> &'static [Provider] {
    PROVIDERS
}

/// The provider of this prefix.
pub(crate) fn by_prefix(prefix: &str) -> Option<&'static Provider> {
    PROVIDERS.iter().find(|provider| provider.prefix == prefix)
}

fn provider_and_name<'a>(
    name: &'a str,
    own_address: Option<&str>,
) -> Result<(&'static Provider, &'a str), ModelError> {
    let has_address = own_address.is_some();
    // Whatever the name begins with, what answers there is OpenRouter.
    let at_openrouter = own_address.is_some_and(|url| url.contains("//openrouter.ai/"));
    if let Some((prefix, rest)) = name.split_once('/') {
        if let Some(provider) = by_prefix(prefix).filter(|_| !rest.is_empty()) {
            let provider = by_prefix("openrouter")
                .filter(|_| at_openrouter)
                .unwrap_or(provider);
            return Ok((provider, rest));
        }
        if !has_address {
            let known: Vec<&str> = PROVIDERS.iter().map(|known| known.prefix).collect();
            return Err(refuse(&format!(
                "`{prefix}/` is not a provider this build knows: set `base_url` to an \
                 OpenAI-compatible address, or name the model with one of {}",
                known.join(", ")
            )));
        }
    }
    // Behind an address of the user's own, any name may be served by anything.
    let guess = match name {
        _ if at_openrouter => "openrouter",
        _ if has_address => "custom_openai",
        _ if name.starts_with("claude-") => "anthropic",
        _ if name.starts_with("gemini-") => "gemini",
        _ if name.starts_with("deepseek-") => "deepseek",
        _ => "openai",
    };
    let provider = by_prefix(guess).unwrap_or(&PROVIDERS[0]);
    Ok((provider, name))
}

/// The name that a provider is asked for. OpenRouter's own names have a vendor before the slash, which must not be
/// taken for ours; Vertex' need one.
fn name_sent(full: &str, stripped: &str, provider: &Provider) -> String {
    let has_vendor = stripped.contains('/');
    match provider.prefix {
        "openrouter" if !has_vendor && !full.starts_with("openrouter/") => full.to_owned(),
        "vertex_ai" if !has_vendor => format!("google/{stripped}"),
        _ => stripped.to_owned(),
    }
}

fn refuse(reason: &str) -> ModelError {
    ModelError::Configuration(reason.to_owned())
}

#[cfg(test)]
mod tests;
