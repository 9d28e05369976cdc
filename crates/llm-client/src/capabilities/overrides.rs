use serde_json::{Map, Value};

use super::{Capabilities, Thinking};

/// Applies the settings' `capability_overrides`: the keys of the public SDK, and for what it has none, of the
/// list of models. Unknown keys and values of another type are left alone.
pub(super) fn apply(known: &mut Capabilities, overrides: &Map<String, Value>) {
    for (key, value) in overrides {
        match (key.as_str(), value) {
            ("thinking_mode", Value::String(mode)) => match mode.as_str() {
                "adaptive" => known.thinking = Thinking::Adaptive,
                "manual" => known.thinking = Thinking::Budget,
                "none" => known.thinking = Thinking::None,
                _ => {}
            },
            (key, Value::Bool(value)) => set(known, key, *value),
            _ => {}
        }
    }
}

fn set(known: &mut Capabilities, key: &str, value: bool) {
    let field = match key {
        "supports_vision" => {
            known.vision = Some(value);
            return;
        }
        "supports_reasoning_effort" => &mut known.reasoning_effort,
        "supports_sampling_params" => &mut known.sampling,
        "supports_prompt_cache" => &mut known.cache_control,
        "supports_responses_api" => &mut known.responses,
        "supports_forced_tool_use" => &mut known.forced_tool_choice,
        "supports_assistant_prefill" => &mut known.prefill,
        "supports_function_calling" => &mut known.native_tools,
        _ => return,
    };
    *field = value;
}
