pub(crate) mod complete;
mod exchange;
mod headers;
mod http;
mod learned;
mod outgoing;
mod price;
mod refusals;
mod retry;
mod sse;
pub(crate) mod stream;
mod surrogates;
#[cfg(test)]
mod tests;
mod truncation;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use core_model::{LlmSettings, masking::SecretMask};
use reqwest::header::HeaderMap;
use serde_json::{Map, Value};

use crate::error::clip;
use crate::format::Format;
use crate::model::OnDelta;
use crate::provider::{Route, route};
use crate::{
    Delta, Model, ModelError, ModelLimits, ModelMessage, ModelReply, ModelRequest, Notice,
};

use complete::{Completion, complete};
use exchange::{ERROR_BODY_LIMIT, Exchange, Failure};
use outgoing::outgoing;
use price::Pricing;
use refusals::{Lesson, Lessons, Refusal};
use retry::{Schedule, retrying};

/// How much of an error's text is searched for secrets; what follows is cut off in any case.
const SEARCHED_BYTES: usize = ERROR_BODY_LIMIT;

/// A model behind an HTTP endpoint, in whichever wire format.
pub(crate) struct HttpModel {
    format: &'static dyn Format,
    settings: LlmSettings,
    route: Route,
    headers: HeaderMap,
    /// What providers may repeat and nobody may read.
    mask: SecretMask,
    schedule: Schedule,
    pricing: Pricing,
}

impl HttpModel {
    /// # Errors
    /// [`ModelError::Configuration`] when the address or a header is malformed.
    pub(crate) fn new(
        settings: &LlmSettings,
        format: &'static dyn Format,
    ) -> Result<Self, ModelError> {
        let route = route(settings, format)?;
        let (headers, mut secrets) = headers::headers(settings, &route, format)?;
        secrets.extend(headers::secrets_in_settings(settings));
        Ok(Self {
            format,
            schedule: Schedule::new(settings),
            pricing: Pricing::new(settings, &route),
            // The key is in the headers, marked as sensitive, and nowhere else.
            settings: LlmSettings {
                api_key: None,
                extra_headers: None,
                ..settings.clone()
            },
            route,
            headers,
            mask: SecretMask::new(secrets),
        })
    }

    /// Whether it takes tools as such; else its calls are text.
    pub(crate) fn takes_tools(&self) -> bool {
        self.route.capabilities.native_tools
    }

    /// One try, repeated at once in another way when the provider refuses how it was written.
    async fn ask(
        &self,
        request: &ModelRequest,
        on_delta: OnDelta<'_>,
    ) -> Result<ModelReply, ModelError> {
        let known = learned::recall(&self.route);
        let mut lessons = Lessons::new(known.clone());
        let mut notices = Vec::new();
        loop {
            let adjustments = &lessons.adjustments;
            let route = Route {
                adjustments: adjustments.clone(),
                ..self.route.clone()
            };
            let sent = outgoing(request, adjustments);
            let mut body = self.format.body(&self.settings, &route, &sent);
            if self.settings.drop_params {
                body.retain(|name, _| !adjustments.refused_fields.contains(name.as_str()));
            }
            let calls = [request, &sent].into_iter().flat_map(|it| &it.messages);
            let calls = calls.flat_map(ModelMessage::calls);
            let taken = calls.map(|call| call.id.clone()).collect();
            let failure = match self.exchange(&body, taken, on_delta).await {
                Ok(mut reply) => {
                    if lessons.adjustments != known {
                        learned::remember(&self.route, lessons.adjustments);
                    }
                    notices.extend(truncation::notice(&sent, reply.usage.prompt_tokens));
                    reply.notices = notices;
                    return Ok(reply);
                }
                Err(failure) => failure,
            };
            let refusal = Refusal {
                failure: &failure,
                request: &sent,
                body: &body,
                optional_fields: if self.settings.drop_params {
                    self.format.optional_fields()
                } else {
                    &[]
                },
            };
            match lessons.learn(&refusal) {
                Some(Lesson::Images) => notices.push(self.images_left_out(&failure.error)),
                Some(_) => {}
                None => return Err(failure.error),
            }
        }
    }

    /// Sends a body and reads the reply. Pieces of a reply that fails are void. `taken`: ids of calls that
    /// the conversation has already.
    async fn exchange(
        &self,
        body: &Map<String, Value>,
        taken: BTreeSet<String>,
        on_delta: OnDelta<'_>,
    ) -> Result<ModelReply, Failure> {
        let any_piece = AtomicBool::new(false);
        let on_piece = |delta| {
            any_piece.store(true, Ordering::Relaxed);
            on_delta(delta);
        };
        let exchange = Exchange {
            format: self.format,
            settings: &self.settings,
            endpoint: &self.route.endpoint,
            headers: &self.headers,
            mask: &self.mask,
        };
        let started = Instant::now();
        let answer = exchange.run(body, &on_piece).await;
        let latency = started.elapsed();
        let reply = answer.and_then(|raw| {
            let completion = Completion {
                settings: &self.settings,
                made_by: &self.route.made_by,
                mask: &self.mask,
                longest_id: SEARCHED_BYTES,
            };
            Ok(complete(raw, completion, taken)?)
        });
        if reply.is_err() && any_piece.into_inner() {
            on_delta(Delta::Discarded);
        }
        Ok(ModelReply {
            latency,
            ..self.pricing.priced(reply?)
        })
    }

    fn images_left_out(&self, refusal: &ModelError) -> Notice {
        let refusal = self.presentable(refusal.clone());
        Notice {
            code: "images_left_out",
            detail: format!("Images were left out of what the model is sent: {refusal}"),
        }
    }

    /// An error as it may be shown: without secrets, and then cut.
    fn presentable(&self, error: ModelError) -> ModelError {
        error.map_text(|text| clip(&self.mask.mask_up_to(&text, SEARCHED_BYTES)))
    }

    /// Whether the provider is sure to refuse a request because there is no key.
    fn lacks_key(&self) -> bool {
        let (key_header, _) = headers::key_header(&self.route, self.format, "");
        let own_address = self.settings.base_url.is_some();
        let sends_key = [key_header, "authorization"]
            .iter()
            .any(|name| self.headers.contains_key(*name));
        self.route.provider.needs_key && !own_address && !sends_key
    }
}

#[async_trait]
impl Model for HttpModel {
    fn name(&self) -> &str {
        &self.settings.model
    }

    fn limits(&self) -> ModelLimits {
        ModelLimits {
            input_tokens: self.pricing.context_window(),
            output_tokens: self.settings.max_output_tokens,
        }
    }

    fn has_price(&self) -> bool {
        self.pricing.is_known()
    }

    async fn reply(
        &self,
        request: &ModelRequest,
        on_delta: &(dyn Fn(Delta) + Send + Sync),
    ) -> Result<ModelReply, ModelError> {
        if self.lacks_key() {
            return Err(ModelError::Authentication(format!(
                "No API key is set for the model `{}`: set `llm.api_key`.",
                self.settings.model
            )));
        }
        retrying(&self.schedule, || async {
            let answer = self.ask(request, on_delta).await;
            answer.map_err(|error| self.presentable(error))
        })
        .await
    }
}

impl fmt::Debug for HttpModel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HttpModel")
            .field("model", &self.settings.model)
            .field("host", &self.route.endpoint.host_str())
            .finish_non_exhaustive()
    }
}
