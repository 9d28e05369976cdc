//! Tool calls written as text, for models whose servers know no others. `docs/MODELS.md` has the form.

mod asked;
mod found;
mod told;

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::{Delta, Model, ModelError, ModelLimits, ModelReply, ModelRequest};

use told::TextBeforeCalls;

/// A model whose calls may come as text.
pub(crate) struct TextCalls {
    model: Arc<dyn Model>,
    /// It is asked for its calls as text, because it makes no others.
    only_text: bool,
}

impl TextCalls {
    pub(crate) fn new(model: Arc<dyn Model>, only_text: bool) -> Self {
        Self { model, only_text }
    }
}

#[async_trait]
impl Model for TextCalls {
    fn name(&self) -> &str {
        self.model.name()
    }

    fn limits(&self) -> ModelLimits {
        self.model.limits()
    }

    fn has_price(&self) -> bool {
        self.model.has_price()
    }

    fn writes_texts(&self) -> bool {
        self.model.writes_texts()
    }

    async fn reply(
        &self,
        request: &ModelRequest,
        on_delta: &(dyn Fn(Delta) + Send + Sync),
    ) -> Result<ModelReply, ModelError> {
        if request.tools.is_empty() {
            return self.model.reply(request, on_delta).await;
        }
        if !self.only_text {
            let reply = self.model.reply(request, on_delta).await?;
            return Ok(found::read_calls(reply, &request.tools, false));
        }
        let before_calls = Mutex::new(TextBeforeCalls::default());
        let on_piece = |delta| {
            let mut before_calls = before_calls.lock().unwrap_or_else(PoisonError::into_inner);
            let told = match delta {
                Delta::Text(text) => before_calls.push(&text).map(Delta::Text),
                Delta::Discarded => {
                    *before_calls = TextBeforeCalls::default();
                    Some(Delta::Discarded)
                }
                Delta::Reasoning(text) => Some(Delta::Reasoning(text)),
            };
            drop(before_calls);
            if let Some(delta) = told {
                on_delta(delta);
            }
        };
        let asked = asked::with_calls_as_text(request);
        let reply = self.model.reply(&asked, &on_piece).await?;
        Ok(found::read_calls(reply, &request.tools, true))
    }
}

#[cfg(test)]
mod tests;
