mod by_name;
mod effort;
mod overrides;
#[cfg(test)]
mod tests;

use core_model::LlmSettings;

pub(crate) use effort::EffortLevels;

use crate::models::{self, ModelRow};
use crate::provider::Provider;

/// What a model takes and wants, where models differ: by the settings' `capability_overrides`, else by the
/// list of models, else, for new names of known families, by name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Capabilities {
    /// Content of messages must be a string where it could be a list of parts.
    pub(crate) plain_content: bool,
    /// Takes images. None: not known.
    pub(crate) vision: Option<bool>,
    /// Caches the prefixes that `cache_control` marks.
    pub(crate) cache_control: bool,
    /// The shortest prefix that is cached, in tokens, when it is known.
    pub(crate) cache_min_tokens: Option<u64>,
    /// Takes a level of reasoning effort although the user did not ask for one.
    pub(crate) reasoning_effort: bool,
    pub(crate) effort_levels: EffortLevels,
    /// Thinks before it answers, whether or not that can be set.
    pub(crate) reasons: bool,
    /// Wants its reasoning back as text with the calls it led to.
    pub(crate) reasoning_text_back: bool,
    /// How thinking is asked for in Anthropic's format.
    pub(crate) thinking: Thinking,
    /// Takes `temperature`, `top_p` and `top_k`.
    pub(crate) sampling: bool,
    /// Can be made to call a tool, or a certain one.
    pub(crate) forced_tool_choice: bool,
    /// Continues an assistant message that the request ends with.
    pub(crate) prefill: bool,
    /// Is to be asked in OpenAI's format Responses: it takes nothing else, or tools beside reasoning only there.
    pub(crate) responses: bool,
    /// Takes tools as such; else they are described in the prompt and calls are read from its text.
    pub(crate) native_tools: bool,
    /// The longest prompt, in tokens.
    pub(crate) context_window: Option<u64>,
    /// The longest reply, in tokens.
    pub(crate) max_output_tokens: Option<u64>,
}

/// How thinking is asked for in Anthropic's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thinking {
    /// It cannot be.
    None,
    /// With a budget of tokens: `{"type": "enabled", "budget_tokens": …}`.
    Budget,
    /// The model decides how much: `{"type": "adaptive"}`, with a level of effort beside it.
    Adaptive,
    /// Like `Adaptive`, and it cannot be switched off.
    Always,
}

impl Capabilities {
    /// `model` is the name as its provider knows it; a name of the model in the settings outranks it.
    pub(crate) fn of(settings: &LlmSettings, provider: &Provider, model: &str) -> Self {
        let canonical = settings.model_canonical_name.as_deref();
        let named = canonical.filter(|name| !name.is_empty()).unwrap_or(model);
        let lower = named.to_lowercase();
        let mut known = match models::row_of(provider.prefix, named) {
            Some(row) => Self::listed(row, provider, &lower),
            None => by_name::guessed(&lower),
        };
        known.plain_content |= provider.chat.plain_content;
        if let Some(plain) = settings.force_string_serializer {
            known.plain_content = plain;
        }
        overrides::apply(&mut known, &settings.capability_overrides);
        if settings.disable_vision == Some(true) {
            known.vision = Some(false);
        }
        known.native_tools &= settings.native_tool_calling;
        known
    }

    /// Whether images are sent. They are if it is not known that the model refuses them.
    pub(crate) fn takes_images(&self) -> bool {
        self.vision != Some(false)
    }

    /// The level of effort to ask for. Every client's settings ask for "high", but most models refuse the
    /// field: it is sent to those known to take it, and sent when the settings ask for anything else.
    pub(crate) fn effort<'a>(&self, settings: &'a LlmSettings) -> Option<&'a str> {
        let asked = settings.reasoning_effort.as_deref();
        let by_default = settings.reasoning_effort == LlmSettings::default().reasoning_effort;
        let asked = asked.filter(|level| !level.is_empty());
        let asked = asked.filter(|_| !by_default || self.reasoning_effort);
        Some(self.effort_levels.closest(asked?))
    }

    /// A model as the list describes it; what the list does not have follows from the name.
    fn listed(row: ModelRow, provider: &Provider, name: &str) -> Self {
        let flag = |word: &str, opposite: &str| match (row.says(word), row.says(opposite)) {
            (true, _) => Some(true),
            (false, true) => Some(false),
            (false, false) => None,
        };
        let effort_levels = EffortLevels::new(row.effort_levels());
        // Who runs a model chooses its limits: those of another service say nothing.
        let limits_hold = !provider.local_limits || row.is_offered_by(provider.prefix);
        let limit = |tokens: Option<u64>| tokens.filter(|_| limits_hold);
        Self {
            vision: flag("vision", "no-vision"),
            cache_min_tokens: row.shortest_cached(),
            reasoning_effort: !effort_levels.is_empty() && !name.contains("claude"),
            effort_levels,
            reasons: row.says("reasoning"),
            thinking: match (row.says("budget"), row.says("adaptive"), row.says("always")) {
                (_, _, true) => Thinking::Always,
                (_, true, _) => Thinking::Adaptive,
                (true, _, _) => Thinking::Budget,
                (false, false, false) => Thinking::None,
            },
            sampling: !row.says("no-sampling"),
            forced_tool_choice: !row.says("no-forced-tool"),
            prefill: !row.says("no-prefill"),
            responses: row.says("responses"),
            native_tools: !row.says("no-tools"),
            context_window: limit(row.longest_prompt()),
            max_output_tokens: limit(row.longest_reply()),
            ..by_name::guessed(name)
        }
    }
}
