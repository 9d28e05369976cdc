use core_model::LlmSettings;
use serde_json::{Value, json};

use crate::capabilities::{Capabilities, Thinking};

const SMALLEST_BUDGET: u64 = 1_024;

/// The field `thinking`; null when it is not sent. `longest_reply` includes the thoughts.
pub(super) fn thinking(settings: &LlmSettings, takes: &Capabilities, longest_reply: u64) -> Value {
    match takes.thinking {
        Thinking::None => Value::Null,
        Thinking::Budget if is_off(settings) => Value::Null,
        Thinking::Budget => {
            // The other half is for what it says and does.
            let budget = settings.extended_thinking_budget.unwrap_or(0);
            let budget = budget.min(longest_reply / 2);
            if budget < SMALLEST_BUDGET {
                return Value::Null;
            }
            json!({"type": "enabled", "budget_tokens": budget})
        }
        Thinking::Adaptive if is_off(settings) => json!({"type": "disabled"}),
        // By default, newer models keep the text to themselves, and what they say between calls too.
        Thinking::Adaptive | Thinking::Always => {
            json!({"type": "adaptive", "display": "summarized"})
        }
    }
}

/// The field `output_config`; null when it is not sent, as when the settings ask for no level there is.
pub(super) fn output_config(settings: &LlmSettings, takes: &Capabilities) -> Value {
    let asked = settings.reasoning_effort.as_deref().unwrap_or_default();
    let switched_off = is_off(settings) && takes.thinking != Thinking::Always;
    let level = takes.effort_levels.closest(asked);
    let known = takes.effort_levels.iter().any(|known| known == level);
    if switched_off || !known {
        return Value::Null;
    }
    json!({"effort": level})
}

fn is_off(settings: &LlmSettings) -> bool {
    settings.reasoning_effort.as_deref() == Some("none")
}
