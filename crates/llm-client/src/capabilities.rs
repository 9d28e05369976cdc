use core_model::LlmSettings;

use crate::provider::Provider;

/// What a model takes and wants, where models differ.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Capabilities {
    /// Content of messages must be a string where it could be a list of parts.
    pub(crate) plain_content: bool,
    /// Takes images.
    pub(crate) vision: bool,
    /// Caches the prefixes that `cache_control` marks.
    pub(crate) cache_control: bool,
    /// Takes `reasoning_effort` although the user did not ask for it.
    pub(crate) reasoning_effort: bool,
    /// Wants its reasoning back as text with the calls it led to.
    pub(crate) reasoning_text_back: bool,
}

impl Capabilities {
    /// `model` is the name as its provider knows it.
    pub(crate) fn of(settings: &LlmSettings, provider: &Provider, model: &str) -> Self {
        let model = model.to_lowercase();
        let names = |parts: &[&str]| parts.iter().any(|part| model.contains(part));
        Self {
            plain_content: settings.force_string_serializer.unwrap_or_else(|| {
                provider.plain_content || names(&["deepseek", "glm-", "kimi-k2-instruct"])
            }),
            vision: settings.disable_vision != Some(true),
            cache_control: names(&["claude"]),
            reasoning_effort: takes_reasoning_effort(&model),
            reasoning_text_back: names(&["deepseek-reasoner", "kimi-k2", "minimax-m2", "glm-4.7"]),
        }
    }
}

fn takes_reasoning_effort(model: &str) -> bool {
    const FAMILIES: [&str; 7] = [
        "gpt-5",
        "o1",
        "o3",
        "o4",
        "gpt-oss",
        "gemini-2.5-pro",
        "gemini-3",
    ];
    const EXCEPT: [&str; 3] = ["-chat", "o1-mini", "o1-preview"];
    let name = model.rsplit('/').next().unwrap_or(model);
    let in_family = FAMILIES.iter().any(|family| {
        name.strip_prefix(family)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.', ':']))
    });
    in_family && !EXCEPT.iter().any(|part| name.contains(part))
}
