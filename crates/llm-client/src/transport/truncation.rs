use std::sync::Arc;

use core_model::Content;

use crate::{ModelMessage, Notice, Part};

/// Context windows that local servers have unless they are told otherwise.
const USUAL_DEFAULTS: [u64; 3] = [2_048, 4_096, 8_192];
const BYTES_PER_TOKEN: u64 = 4;

/// Says so when a server read less of the prompt than it was sent: far fewer tokens than the text must have,
/// and as many as a window of a usual size holds. Such servers say nothing and answer all the same.
pub(super) fn notice(messages: &[Arc<ModelMessage>], prompt_tokens: u64) -> Option<Notice> {
    let window = USUAL_DEFAULTS
        .into_iter()
        .find(|window| prompt_tokens <= *window)?;
    if prompt_tokens <= window / 2 {
        return None;
    }
    let estimate = text_bytes(messages) / BYTES_PER_TOKEN;
    (estimate > window && estimate >= 2 * prompt_tokens).then(|| Notice {
        code: "prompt_truncated",
        detail: format!(
            "The model's server read about {prompt_tokens} tokens of a prompt of about {estimate}: it \
             seems to have a context window of {window} and to cut off the rest without a word. The \
             agent then forgets what it was asked. Give the server a larger window: \
             OLLAMA_CONTEXT_LENGTH=32768 for Ollama, --ctx-size 32768 for llama.cpp, \"Context Length\" \
             in LM Studio, --max-model-len for vLLM."
        ),
    })
}

fn text_bytes(messages: &[Arc<ModelMessage>]) -> u64 {
    let content_bytes = |content: &[Content]| -> usize {
        let texts = content.iter().filter_map(Content::as_text);
        texts.map(str::len).sum()
    };
    let messages = messages.iter().map(|message| match message.as_ref() {
        ModelMessage::System(content)
        | ModelMessage::User(content)
        | ModelMessage::ToolResult { content, .. } => content_bytes(content),
        ModelMessage::Assistant(said) => {
            let parts = said.blocks.iter().map(|block| match &block.part {
                Part::Text(text) => text.len(),
                // Not all of them go back.
                Part::Reasoning(_) => 0,
                Part::Call(call) => call.arguments.len(),
            });
            parts.sum()
        }
    });
    messages.sum::<usize>() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noticed(prompt_bytes: usize, prompt_tokens: u64) -> bool {
        let text = Content::text("x".repeat(prompt_bytes));
        let messages = [Arc::new(ModelMessage::User(vec![text]))];
        let notice = notice(&messages, prompt_tokens);
        assert!(
            notice
                .iter()
                .all(|notice| notice.detail.contains("OLLAMA_CONTEXT_LENGTH"))
        );
        notice.is_some()
    }

    #[test]
    fn a_prompt_of_which_only_a_usual_window_was_read_is_noticed() {
        assert!(noticed(60_000, 4_096));
        assert!(noticed(60_000, 3_500));
        assert!(noticed(100_000, 8_000));
        assert!(!noticed(16_000, 4_000), "all of it was read");
        assert!(!noticed(60_000, 15_000), "all of it was read");
        assert!(!noticed(4_000, 900), "nothing is near a window");
        assert!(!noticed(60_000, 0), "nothing was counted");
        assert!(!noticed(400_000, 60_000), "no window of a usual size");
    }
}
