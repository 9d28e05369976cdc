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
    /// Works fully, or at all, only over OpenAI's Responses where that is offered.
    pub(crate) responses: bool,
    /// Takes `prompt_cache_retention`.
    pub(crate) prompt_cache_retention: bool,
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
            responses: needs_responses(&model),
            prompt_cache_retention: takes_prompt_cache_retention(&model),
        }
    }

    /// The effort to ask of the model. Every client's settings ask for "high", but most models refuse
    /// the field: it is sent to those known to take it, and sent when the settings ask for anything
    /// else.
    pub(crate) fn effort(&self, settings: &LlmSettings) -> Option<String> {
        let effort = settings.reasoning_effort.as_ref();
        let by_default = settings.reasoning_effort == LlmSettings::default().reasoning_effort;
        let effort = effort.filter(|effort| !effort.is_empty());
        effort
            .filter(|_| !by_default || self.reasoning_effort)
            .cloned()
    }
}

/// Chat Completions refuses function tools beside a reasoning effort since GPT-5.4; the models for
/// coding and the largest ones of the o-series were never offered there.
fn needs_responses(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    let Some((major, minor)) = gpt_version(name) else {
        let of_o_series = ["o1-", "o3-"].iter().any(|start| name.starts_with(start));
        return name.starts_with("codex-") || (of_o_series && name.contains("-pro"));
    };
    let pro_or_codex = name.contains("-pro") || name.contains("codex");
    (major, minor) >= (5, 4) || (major == 5 && pro_or_codex)
}

/// OpenAI's table of models whose prompts are kept for a day; the small ones are not in it.
fn takes_prompt_cache_retention(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    let small = ["-mini", "-nano"].iter().any(|part| name.contains(part));
    !small && gpt_version(name).is_some_and(|version| version >= (5, 0) || version == (4, 1))
}

/// The version in `gpt-5.4-mini`, as (5, 4). A major version has one digit: `gpt-35` is another name of
/// GPT-3.5.
fn gpt_version(name: &str) -> Option<(u32, u32)> {
    let version = name.strip_prefix("gpt-")?;
    let end = version.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (version, rest) = version.split_at(end.unwrap_or(version.len()));
    if !rest.is_empty() && !rest.starts_with(['-', ':']) {
        return None;
    }
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    let major = Some(major).filter(|digits| digits.len() == 1)?;
    Some((major.parse().ok()?, minor.parse().ok()?))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_openai_models_work_over_responses_only() {
        for model in [
            "gpt-5.4",
            "gpt-5.4-mini",
            "gpt-5.6-2026-09-01",
            "gpt-5.10",
            "gpt-6",
            "gpt-6-mini",
            "openai/gpt-6.1",
            "gpt-5-codex",
            "gpt-5.1-codex-max",
            "codex-mini-latest",
            "o1-pro",
            "o3-pro-2025-06-10",
            "gpt-5-pro",
        ] {
            assert!(needs_responses(model), "{model}");
        }
        for model in [
            "gpt-5",
            "gpt-5.2",
            "gpt-5-mini",
            "gpt-4o",
            "gpt-4.1",
            "gpt-35-turbo",
            "gpt-oss-120b",
            "o3",
            "o3-mini",
            "claude-opus-5",
            "gemini-3-pro",
            "fake",
            "gpt-",
            "gpt-5.x",
        ] {
            assert!(!needs_responses(model), "{model}");
        }
    }

    #[test]
    fn prompts_of_large_models_may_be_kept_longer() {
        for model in ["gpt-5", "gpt-5.6", "gpt-4.1", "gpt-6", "gpt-5.1-codex"] {
            assert!(takes_prompt_cache_retention(model), "{model}");
        }
        for model in [
            "gpt-5-mini",
            "gpt-5.4-nano",
            "gpt-4o",
            "o3",
            "claude-opus-5",
        ] {
            assert!(!takes_prompt_cache_retention(model), "{model}");
        }
    }
}
