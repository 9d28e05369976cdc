use std::sync::Arc;

use async_trait::async_trait;
use core_model::LlmSettings;
use serde_json::Value;

use crate::{Delta, Fallback, Model, ModelError, ModelLimits, ModelReply, ModelRequest};

/// A model, and others that answer in its place when it cannot. Each call starts with the first.
pub(crate) struct FallbackModel {
    first: Arc<dyn Model>,
    others: Vec<Arc<dyn Model>>,
}

impl FallbackModel {
    pub(crate) fn new(first: Arc<dyn Model>, others: Vec<Arc<dyn Model>>) -> Self {
        Self { first, others }
    }
}

#[async_trait]
impl Model for FallbackModel {
    fn name(&self) -> &str {
        self.first.name()
    }

    fn limits(&self) -> ModelLimits {
        self.first.limits()
    }

    fn has_price(&self) -> bool {
        self.first.has_price() && self.others.iter().all(|other| other.has_price())
    }

    fn writes_texts(&self) -> bool {
        self.first.writes_texts()
    }

    async fn reply(
        &self,
        request: &ModelRequest,
        on_delta: &(dyn Fn(Delta) + Send + Sync),
    ) -> Result<ModelReply, ModelError> {
        let first_error = match self.first.reply(request, on_delta).await {
            Ok(reply) => return Ok(reply),
            Err(error) => error,
        };
        if !another_may_help(&first_error) {
            return Err(first_error);
        }
        for other in &self.others {
            tracing::warn!(
                model = self.first.name(),
                code = first_error.code(),
                fallback = other.name(),
                "the model failed; the next one is asked"
            );
            match other.reply(request, on_delta).await {
                Ok(reply) => {
                    return Ok(ModelReply {
                        fallback: Some(Fallback {
                            from: self.first.name().to_owned(),
                            to: other.name().to_owned(),
                            code: first_error.code(),
                        }),
                        ..reply
                    });
                }
                Err(error) => {
                    tracing::warn!(model = other.name(), code = error.code(), "it failed, too");
                }
            }
        }
        Err(first_error)
    }
}

/// Whether another model may answer what this one could not: it is overloaded or out of reach, or its
/// window is too small.
fn another_may_help(error: &ModelError) -> bool {
    match error {
        ModelError::RateLimit { .. }
        | ModelError::Unavailable { .. }
        | ModelError::Timeout(_)
        | ModelError::NoResponse(_)
        | ModelError::ContextWindow(_) => true,
        ModelError::Configuration(_)
        | ModelError::Authentication(_)
        | ModelError::Quota(_)
        | ModelError::BadRequest { .. } => false,
    }
}

/// The settings of the models that `fallback_strategy` names, in order: `fallback_llms` holds names of
/// models, which have the first one's key where their provider is the same, or settings of their own.
///
/// # Errors
/// [`ModelError::Configuration`] when it holds anything else.
pub(crate) fn fallbacks(settings: &LlmSettings) -> Result<Vec<LlmSettings>, ModelError> {
    let Some(strategy) = &settings.fallback_strategy else {
        return Ok(Vec::new());
    };
    let listed = &strategy["fallback_llms"];
    if listed.is_null() {
        return Ok(Vec::new());
    }
    let no_list = || malformed("`fallback_strategy.fallback_llms` is a list");
    let listed = listed.as_array().ok_or_else(no_list)?;
    listed.iter().map(|item| fallback(settings, item)).collect()
}

fn fallback(first: &LlmSettings, item: &Value) -> Result<LlmSettings, ModelError> {
    let settings = if let Some(model) = item.as_str() {
        named(first, model)
    } else if item.is_object() {
        serde_json::from_value(item.clone())
            .map_err(|error| malformed(&format!("a model of `fallback_llms`: {error}")))?
    } else {
        return Err(malformed(
            "`fallback_strategy.fallback_llms` holds names of models or LLM settings",
        ));
    };
    Ok(LlmSettings {
        // No fallback of a fallback.
        fallback_strategy: None,
        stream: first.stream,
        ..settings
    })
}

/// Another model by its name alone: with what holds for any model, and, where the provider is the same,
/// with its address and key. Those of one provider are nothing for another.
fn named(first: &LlmSettings, model: &str) -> LlmSettings {
    let neutral = LlmSettings {
        model: model.to_owned(),
        num_retries: first.num_retries,
        retry_multiplier: first.retry_multiplier,
        retry_min_wait: first.retry_min_wait,
        retry_max_wait: first.retry_max_wait,
        timeout: first.timeout,
        stream_idle_timeout: first.stream_idle_timeout,
        temperature: first.temperature,
        drop_params: first.drop_params,
        caching_prompt: first.caching_prompt,
        reasoning_effort: first.reasoning_effort.clone(),
        usage_id: first.usage_id.clone(),
        ..LlmSettings::default()
    };
    if provider_of(&first.model) != provider_of(model) {
        return neutral;
    }
    LlmSettings {
        api_key: first.api_key.clone(),
        base_url: first.base_url.clone(),
        api_version: first.api_version.clone(),
        ollama_base_url: first.ollama_base_url.clone(),
        extra_headers: first.extra_headers.clone(),
        aws_region_name: first.aws_region_name.clone(),
        ..neutral
    }
}

/// What stands before the slash; a name without one may be of any provider.
fn provider_of(model: &str) -> Option<&str> {
    model.trim().split_once('/').map(|(prefix, _)| prefix)
}

fn malformed(reason: &str) -> ModelError {
    ModelError::Configuration(reason.to_owned())
}

#[cfg(test)]
mod tests;
