use core_model::usage::TokenUsage;
use serde_json::Value;

/// The token counts of a reply. A streamed one tells them at its beginning and at its end, each time
/// what has come so far; proxies leave some out of one or the other, as null or 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Usage {
    /// Without what was read from and written to the cache.
    input: u64,
    cache_read: u64,
    cache_write: u64,
    output: u64,
    thinking: u64,
}

impl Usage {
    pub(super) fn take(&mut self, usage: &Value) {
        let larger = |count: &mut u64, path: &str| {
            let told = usage.pointer(path).and_then(Value::as_u64);
            *count = told.unwrap_or(0).max(*count);
        };
        larger(&mut self.input, "/input_tokens");
        larger(&mut self.cache_read, "/cache_read_input_tokens");
        larger(&mut self.cache_write, "/cache_creation_input_tokens");
        larger(&mut self.output, "/output_tokens");
        larger(&mut self.thinking, "/output_tokens_details/thinking_tokens");
    }
}

impl From<Usage> for TokenUsage {
    fn from(usage: Usage) -> Self {
        let cached = usage.cache_read.saturating_add(usage.cache_write);
        Self {
            prompt_tokens: usage.input.saturating_add(cached),
            completion_tokens: usage.output,
            cache_read_tokens: usage.cache_read,
            cache_write_tokens: usage.cache_write,
            reasoning_tokens: usage.thinking,
            ..Self::default()
        }
    }
}
