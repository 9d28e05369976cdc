use core_model::{LlmSettings, message::Provenance};
use url::Url;

use crate::ModelError;
use crate::adjustments::Adjustments;
use crate::capabilities::Capabilities;
use crate::format::Format;

/// A service that offers models, by the prefix that model names give it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Provider {
    pub(crate) prefix: &'static str,
    /// Where it is, unless the settings say otherwise. `None`: only they know.
    base_url: Option<&'static str>,
    /// Hosted services refuse calls without a key; those on one's own machine do without.
    pub(crate) needs_key: bool,
    /// What it calls the limit on a reply's length.
    pub(crate) length_limit: &'static str,
    /// Whether message content must be a string where it could be a list of parts.
    pub(crate) plain_content: bool,
    /// Whether the user runs it, and with it chooses how long prompts may be.
    pub(crate) local_limits: bool,
    /// Whether it takes a key as a bearer token in every wire format.
    pub(crate) bearer: bool,
}

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

const NEW_LIMIT: &str = "max_completion_tokens";
const OLD_LIMIT: &str = "max_tokens";

/// Addresses from the providers' own documentation of their OpenAI-compatible endpoints.
#[rustfmt::skip]
static PROVIDERS: [Provider; 21] = [
    hosted("openai", "https://api.openai.com/v1", NEW_LIMIT),
    Provider { bearer: true, ..hosted("openrouter", "https://openrouter.ai/api/v1", OLD_LIMIT) },
    hosted("anthropic", "https://api.anthropic.com/v1", OLD_LIMIT),
    hosted("gemini", "https://generativelanguage.googleapis.com/v1beta/openai", OLD_LIMIT),
    Provider { plain_content: true, ..hosted("deepseek", "https://api.deepseek.com/v1", OLD_LIMIT) },
    hosted("groq", "https://api.groq.com/openai/v1", NEW_LIMIT),
    hosted("mistral", "https://api.mistral.ai/v1", OLD_LIMIT),
    hosted("xai", "https://api.x.ai/v1", NEW_LIMIT),
    hosted("together_ai", "https://api.together.xyz/v1", OLD_LIMIT),
    hosted("moonshot", "https://api.moonshot.ai/v1", OLD_LIMIT),
    hosted("zai", "https://api.z.ai/api/paas/v4", OLD_LIMIT),
    hosted("cerebras", "https://api.cerebras.ai/v1", NEW_LIMIT),
    hosted("dashscope", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1", OLD_LIMIT),
    hosted("minimax", "https://api.minimax.io/v1", OLD_LIMIT),
    hosted("fireworks_ai", "https://api.fireworks.ai/inference/v1", OLD_LIMIT),
    Provider { plain_content: true, ..local("ollama", Some("http://localhost:11434/v1")) },
    Provider { plain_content: true, ..local("ollama_chat", Some("http://localhost:11434/v1")) },
    Provider { plain_content: true, ..local("lm_studio", Some("http://localhost:1234/v1")) },
    Provider { length_limit: NEW_LIMIT, ..local("hosted_vllm", None) },
    Provider { length_limit: NEW_LIMIT, local_limits: false, ..local("litellm_proxy", None) },
    Provider { length_limit: NEW_LIMIT, local_limits: false, ..local("custom_openai", None) },
];

const fn hosted(
    prefix: &'static str,
    base_url: &'static str,
    length_limit: &'static str,
) -> Provider {
    Provider {
        prefix,
        base_url: Some(base_url),
        needs_key: true,
        length_limit,
        plain_content: false,
        local_limits: false,
        bearer: false,
    }
}

const fn local(prefix: &'static str, base_url: Option<&'static str>) -> Provider {
    Provider {
        prefix,
        base_url,
        needs_key: false,
        length_limit: OLD_LIMIT,
        plain_content: false,
        local_limits: true,
        bearer: false,
    }
}

/// Where OpenAI offers its models itself.
pub(crate) const OPENAI_HOST: &str = "api.openai.com";

/// A model's provider, name and address, before it is known in which format it is asked.
pub(crate) struct Target<'a> {
    pub(crate) provider: &'static Provider,
    /// The model's name as its provider knows it.
    pub(crate) model: &'a str,
    /// The start of its endpoint's address, or the whole of it.
    pub(crate) address: &'a str,
}

/// Finds a model's provider and address. `base_url` outranks the provider's own.
///
/// # Errors
/// When no address is known.
pub(crate) fn target(settings: &LlmSettings) -> Result<Target<'_>, ModelError> {
    let name = settings.model.trim();
    if name.is_empty() {
        return Err(refuse("no model is named: set `model`"));
    }
    let own_address = settings.base_url.as_deref().filter(|url| !url.is_empty());
    let (provider, model) = provider_and_name(name, own_address.is_some())?;
    let ollama = provider.prefix.starts_with("ollama");
    let ollama_address = settings.ollama_base_url.as_deref().filter(|_| ollama);
    let own_address = own_address.or(ollama_address);
    let Some(address) = own_address.or(provider.base_url) else {
        let prefix = provider.prefix;
        return Err(refuse(&format!("models of `{prefix}/` need a `base_url`")));
    };
    Ok(Target {
        provider,
        model: name_sent(name, model, address),
        address,
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
    let ollama = provider.prefix.starts_with("ollama");
    Ok(Route {
        provider,
        endpoint: endpoint(address, format, ollama)?,
        model: model.to_owned(),
        made_by: Provenance {
            model: settings.model.trim().to_owned(),
            format: format.name().to_owned(),
        },
        capabilities: Capabilities::of(settings, provider, model),
        adjustments: Adjustments::of_provider(provider.prefix),
    })
}

fn provider_and_name(
    name: &str,
    has_address: bool,
) -> Result<(&'static Provider, &str), ModelError> {
    if let Some((prefix, rest)) = name.split_once('/') {
        if let Some(provider) = by_prefix(prefix).filter(|_| !rest.is_empty()) {
            return Ok((provider, rest));
        }
        if !has_address {
            return Err(refuse(&format!(
                "`{prefix}/` is not a provider this build knows: set `base_url` to an \
                 OpenAI-compatible address, or name the model with one of {}",
                PROVIDERS.each_ref().map(|known| known.prefix).join(", ")
            )));
        }
    }
    // Behind an address of the user's own, any name may be served by anything.
    let guess = match name {
        _ if has_address => "custom_openai",
        _ if name.starts_with("claude-") => "anthropic",
        _ if name.starts_with("gemini-") => "gemini",
        "deepseek-chat" | "deepseek-reasoner" => "deepseek",
        _ => "openai",
    };
    let provider = by_prefix(guess).unwrap_or(&PROVIDERS[0]);
    Ok((provider, name))
}

fn by_prefix(prefix: &str) -> Option<&'static Provider> {
    PROVIDERS.iter().find(|provider| provider.prefix == prefix)
}

/// OpenRouter's own names have a vendor before the slash, which must not be taken for ours.
fn name_sent<'a>(full: &'a str, stripped: &'a str, address: &str) -> &'a str {
    let vendor_needed = address.contains("//openrouter.ai/") && !stripped.contains('/');
    if vendor_needed && !full.starts_with("openrouter/") {
        return full;
    }
    stripped
}

fn endpoint(address: &str, format: &dyn Format, ollama: bool) -> Result<Url, ModelError> {
    let path = format.path();
    // The address itself stays out of the message: it may hold a password or a key.
    let mut url =
        Url::parse(address).map_err(|e| refuse(&format!("`base_url` is not a URL: {e}")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(refuse("`base_url` must start with http:// or https://"));
    }
    let base = url.path().trim_end_matches('/').to_owned();
    if base.ends_with(path) {
        url.set_path(&base);
    } else if base.is_empty() && ollama {
        url.set_path(&format!("/v1{path}"));
    } else if !ends_in_version(&base) {
        let version = format.version_path();
        url.set_path(&format!("{base}{version}{path}"));
    } else {
        url.set_path(&format!("{base}{path}"));
    }
    Ok(url)
}

/// Whether a path ends in `/v1` or another version.
fn ends_in_version(path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    let digits = last.strip_prefix('v').unwrap_or_default();
    digits.starts_with(|c: char| c.is_ascii_digit())
}

fn refuse(reason: &str) -> ModelError {
    ModelError::Configuration(reason.to_owned())
}

#[cfg(test)]
mod tests;
