use super::{Capabilities, EffortLevels, Thinking};

/// What a name says of a model that the list does not have: new names of known families are taken to be like the
/// newest known of them, and in doubt like the one that takes least.
pub(super) fn guessed(name: &str) -> Capabilities {
    let names = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    let unknown = Capabilities {
        plain_content: names(&["deepseek", "glm-", "kimi-k2-instruct"]),
        vision: None,
        cache_control: names(&["claude"]),
        cache_min_tokens: None,
        reasoning_effort: false,
        effort_levels: EffortLevels::new(""),
        reasons: false,
        reasoning_text_back: names(&["deepseek-reasoner", "kimi-k2", "minimax-m2", "glm-4.7"]),
        thinking: Thinking::None,
        sampling: true,
        forced_tool_choice: true,
        prefill: true,
        responses: false,
        native_tools: true,
        context_window: None,
        max_output_tokens: None,
    };
    let last = name.rsplit('/').next().unwrap_or(name);
    if let Some(at) = last.find("claude") {
        return claude(&last[at..], unknown);
    }
    if takes_effort(last) {
        return Capabilities {
            reasoning_effort: true,
            effort_levels: EffortLevels::new("low,medium,high"),
            reasons: true,
            responses: is_of_family(last, "gpt", 5) || last.starts_with("codex"),
            ..unknown
        };
    }
    unknown
}

/// Models of Claude by their version: each generation took less than the one before.
fn claude(name: &str, unknown: Capabilities) -> Capabilities {
    let version = claude_version(name).unwrap_or((u32::MAX, 0));
    let thinking = match version {
        (..=2, _) | (3, ..=6) => Thinking::None,
        (3, _) | (4, ..=5) => Thinking::Budget,
        (4, _) | (5, ..=4) => Thinking::Adaptive,
        (5.., _) => Thinking::Always,
    };
    let effort = match thinking {
        Thinking::None | Thinking::Budget => "",
        Thinking::Adaptive | Thinking::Always => "low,medium,high",
    };
    Capabilities {
        vision: Some(version >= (3, 0)),
        thinking,
        reasons: thinking != Thinking::None,
        effort_levels: EffortLevels::new(effort),
        sampling: version < (4, 7),
        prefill: version < (4, 6),
        forced_tool_choice: version < (5, 1),
        ..unknown
    }
}

/// `(4, 5)` of `claude-opus-4-5-20251101`, `(3, 7)` of `claude-3.7-sonnet`.
fn claude_version(name: &str) -> Option<(u32, u32)> {
    let parts = name.split(['-', '.', '@', ':']);
    let mut numbers = parts.map(|part| match part.parse::<u32>() {
        Ok(number) if part.len() <= 2 => Some(number),
        Ok(_) | Err(_) => None,
    });
    let major = numbers.by_ref().find_map(|number| number)?;
    Some((major, numbers.next().flatten().unwrap_or(0)))
}

/// Whether a model of OpenAI or Google reasons as much as it is told.
fn takes_effort(name: &str) -> bool {
    const EXCEPT: [&str; 4] = ["-chat", "o1-mini", "o1-preview", "image"];
    let family = is_of_family(name, "gpt", 5)
        || is_of_family(name, "gemini", 3)
        || ["gpt-oss", "gemini-2.5-pro", "o1", "o3", "o4", "codex"]
            .iter()
            .any(|family| is_member(name, family));
    family && !EXCEPT.iter().any(|part| name.contains(part))
}

/// `gpt-5.9-mini` is of the family `gpt` since 5; `gpt-50` is not, as nobody knows it.
fn is_of_family(name: &str, family: &str, since: u32) -> bool {
    let rest = name
        .strip_prefix(family)
        .and_then(|rest| rest.strip_prefix('-'));
    let Some(rest) = rest else { return false };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (major, rest) = rest.split_at(digits);
    digits == 1 && major.parse().is_ok_and(|major: u32| major >= since) && is_end(rest)
}

fn is_member(name: &str, family: &str) -> bool {
    name.strip_prefix(family).is_some_and(is_end)
}

fn is_end(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with(['-', '.', ':'])
}
