use core_model::LlmSettings;
use url::Url;

use super::table::{Address, Provider};
use crate::ModelError;
use crate::format::Format;

/// Versions of Azure's API that are not part of a request's address any more.
const AZURE_V1: [&str; 3] = ["v1", "latest", "preview"];

/// The address below which a provider's API is: the settings' own, else the provider's.
///
/// # Errors
/// When only the user can know it and the settings do not say.
pub(super) fn base(provider: &Provider, settings: &LlmSettings) -> Result<String, ModelError> {
    if provider.address == Address::Bedrock {
        needs_bearer_key(settings)?;
    }
    if let Some(own) = own(provider, settings) {
        let is_resource = !own.contains("/openai") && !own.contains(['?', '#']);
        if provider.address == Address::Azure && is_resource && dated(settings).is_none() {
            return Ok(format!("{}/openai/v1", own.trim_end_matches('/')));
        }
        return Ok(own.to_owned());
    }
    let prefix = provider.prefix;
    let ask_for = |looks: &str| {
        let text = format!("models of `{prefix}/` need a `base_url`: {looks}");
        Err(ModelError::Configuration(text))
    };
    match provider.address {
        Address::At(address) => Ok(address.to_owned()),
        Address::Given(looks) => ask_for(looks),
        Address::Azure => ask_for("the address of your resource, https://NAME.openai.azure.com"),
        Address::Bedrock => match filled(settings.aws_region_name.as_deref()) {
            Some(region)
                if region
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-') =>
            {
                Ok(format!(
                    "https://bedrock-runtime.{region}.amazonaws.com/openai/v1"
                ))
            }
            Some(_) => Err(ModelError::Configuration(
                "`aws_region_name` is not the name of a region".to_owned(),
            )),
            None => Err(ModelError::Configuration(
                "models of `bedrock/` need `aws_region_name`, or a `base_url`".to_owned(),
            )),
        },
    }
}

/// The address that the settings give.
pub(super) fn own<'a>(provider: &Provider, settings: &'a LlmSettings) -> Option<&'a str> {
    let special = match provider.prefix {
        "ollama" | "ollama_chat" => settings.ollama_base_url.as_deref(),
        "bedrock" => settings.aws_bedrock_runtime_endpoint.as_deref(),
        _ => None,
    };
    filled(settings.base_url.as_deref()).or(filled(special))
}

/// The full address that requests for `model` go to, `path` being the format's.
///
/// # Errors
/// When the base is not an `http` or `https` URL. The address stays out of the message: it may hold a password or
/// a key.
pub(super) fn endpoint(
    base: &str,
    format: &dyn Format,
    model: &str,
    provider: &Provider,
    settings: &LlmSettings,
) -> Result<Url, ModelError> {
    let path = format.path();
    let refuse = |reason: String| ModelError::Configuration(reason);
    let mut url = Url::parse(base).map_err(|e| refuse(format!("`base_url` is not a URL: {e}")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        let reason = "`base_url` must start with http:// or https://";
        return Err(refuse(reason.to_owned()));
    }
    let start = url.path().trim_end_matches('/').to_owned();
    if start.ends_with(path) {
        url.set_path(&start);
    } else if provider.address == Address::Azure && format.version_path().is_empty() {
        azure(&mut url, &start, path, model, dated(settings));
    } else if start.is_empty() && !root(provider).is_empty() {
        url.set_path(&format!("{}{path}", root(provider)));
    } else if !ends_in_version(&start) {
        let version = format.version_path();
        url.set_path(&format!("{start}{version}{path}"));
    } else {
        url.set_path(&format!("{start}{path}"));
    }
    Ok(url)
}

/// Where the API is on a host whose address says nothing of it.
fn root(provider: &Provider) -> &'static str {
    match provider.prefix {
        "ollama" | "ollama_chat" => "/v1",
        "bedrock" => "/openai/v1",
        _ => "",
    }
}

/// Whether a path ends in `/v1` or another version.
fn ends_in_version(path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    let digits = last.strip_prefix('v').unwrap_or_default();
    digits.starts_with(|c: char| c.is_ascii_digit())
}

/// Without a dated version the new API is meant, which takes the deployment's name from the body.
fn azure(url: &mut Url, start: &str, path: &str, model: &str, dated: Option<&str>) {
    let inside = start.contains("/openai");
    let deployed = path == "/chat/completions";
    let folder = match dated {
        _ if inside => start.to_owned(),
        None => format!("{start}/openai/v1"),
        Some(_) if deployed => format!("{start}/openai/deployments/{model}"),
        Some(_) => format!("{start}/openai"),
    };
    let is_new = folder.ends_with("/openai/v1");
    url.set_path(&format!("{folder}{path}"));
    let stated = url.query_pairs().any(|(name, _)| name == "api-version");
    if let Some(version) = dated.filter(|_| !is_new && !stated) {
        url.query_pairs_mut().append_pair("api-version", version);
    }
}

/// The version of Azure's API that an address has to name.
fn dated(settings: &LlmSettings) -> Option<&str> {
    let version = filled(settings.api_version.as_deref());
    version.filter(|version| !AZURE_V1.contains(version))
}

/// AWS takes a key of Bedrock, or a signature of each request; this build does not sign.
fn needs_bearer_key(settings: &LlmSettings) -> Result<(), ModelError> {
    if filled(settings.api_key.as_deref()).is_some() {
        return Ok(());
    }
    Err(ModelError::Configuration(
        "models of `bedrock/` need an `api_key` made in the Bedrock console: signing requests with AWS access keys, \
         profiles or roles is not available in this build"
            .to_owned(),
    ))
}

fn filled(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}
