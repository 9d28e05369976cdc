use core_model::{Agent, LlmSettings};
use llm_client::ModelLimits;
use serde::Deserialize;
use serde_json::Value;

/// Part of a model's window that stays free for its reply when nothing says how long that may be.
const RESERVE_FRACTION: u64 = 8;
/// No reply needs more free tokens than this.
const MAX_RESERVE: u64 = 32_000;

/// How the context is kept small: the keys and defaults of the public SDK's `LLMSummarizingCondenser`,
/// and `prompt`, which is ours.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct CondenserSettings {
    /// The model that writes summaries; the agent's own when it is not given.
    pub(crate) llm: Option<LlmSettings>,
    /// More events than this are condensed. None: any number, as long as the tokens fit.
    pub(crate) max_size: Option<usize>,
    /// More tokens than this are condensed, even where the model's window is larger.
    pub(crate) max_tokens: Option<u64>,
    /// Events at the start that stay.
    pub(crate) keep_first: usize,
    /// Less than this part of the events is not worth a summary.
    pub(crate) minimum_progress: f64,
    /// How often a summary is tried again with shorter events when the summarising model's window is too
    /// small.
    pub(crate) hard_context_reset_max_retries: u32,
    /// What each such try makes of the events' longest allowed text.
    pub(crate) hard_context_reset_context_scaling: f64,
    /// Instructions for the summarising model, instead of the built-in ones.
    pub(crate) prompt: Option<String>,
}

impl Default for CondenserSettings {
    fn default() -> Self {
        Self {
            llm: None,
            max_size: Some(240),
            max_tokens: None,
            keep_first: 2,
            minimum_progress: 0.1,
            hard_context_reset_max_retries: 5,
            hard_context_reset_context_scaling: 0.8,
            prompt: None,
        }
    }
}

impl CondenserSettings {
    /// The settings of an agent; None where it switches condensation off. An agent that says nothing is
    /// condensed only when its model's window is full.
    ///
    /// # Errors
    /// What is wrong with them, in words.
    pub(crate) fn of(agent: &Agent) -> Result<Option<Self>, String> {
        Self::read(agent.condenser.as_ref().unwrap_or(&Value::Null))
    }

    /// As [`Self::of`], for the value of the agent's `condenser`.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(crate) fn read(given: &Value) -> Result<Option<Self>, String> {
        if given.is_null() {
            return Ok(Some(Self {
                max_size: None,
                ..Self::default()
            }));
        }
        if !given.is_object() {
            return Err("`condenser` is an object".to_owned());
        }
        match given["kind"].as_str() {
            Some("NoOpCondenser") => Ok(None),
            Some("LLMSummarizingCondenser") | None => {
                let settings = Self::deserialize(given)
                    .map_err(|error| format!("`condenser` cannot be read: {error}"))?;
                settings.checked().map(Some)
            }
            Some("PipelineCondenser") => {
                let inner = given["condensers"].as_array();
                let mut found = None;
                for condenser in inner.into_iter().flatten() {
                    found = found.or(Self::read(condenser)?);
                }
                Ok(found)
            }
            Some(other) => Err(format!(
                "the condenser {other:?} is not known: use LLMSummarizingCondenser, \
                 PipelineCondenser or NoOpCondenser"
            )),
        }
    }

    fn checked(self) -> Result<Self, String> {
        if self
            .max_size
            .is_some_and(|most| self.keep_first.saturating_add(1) >= most / 2)
        {
            return Err(
                "`condenser.keep_first` must be less than half of `condenser.max_size`, less 1"
                    .to_owned(),
            );
        }
        if self.max_tokens == Some(0) {
            return Err("`condenser.max_tokens` is at least 1".to_owned());
        }
        let fraction = |value: f64| value > 0.0 && value < 1.0;
        if !fraction(self.minimum_progress) || !fraction(self.hard_context_reset_context_scaling) {
            return Err(
                "`condenser.minimum_progress` and `condenser.hard_context_reset_context_scaling` \
                 are between 0 and 1"
                    .to_owned(),
            );
        }
        Ok(self)
    }

    /// How many tokens the context may have: what the settings say, and what the model's window leaves
    /// beside a reply, whichever is less.
    pub(super) fn token_limit(&self, model: ModelLimits) -> Option<u64> {
        let fitting = model.input_tokens.map(|window| {
            let reserve = model.output_tokens.unwrap_or(window / RESERVE_FRACTION);
            let reserve = reserve.min(MAX_RESERVE).min(window / 2);
            window - reserve
        });
        [self.max_tokens, fitting].into_iter().flatten().min()
    }
}
