//! How large a context is.

use core_model::{Content, usage::TokenUsage};
use llm_client::ModelMessage;

use super::{Item, ModelContext};

/// English text has about four characters a token, code fewer.
const CHARS_PER_TOKEN: u64 = 4;
/// What providers count for one image, more or less.
const TOKENS_PER_IMAGE: u64 = 1_500;

/// A context that a provider counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    /// The provider's count: the prompt and its tools.
    tokens: u64,
    /// Our estimate of the messages of the same prompt.
    estimate: u64,
}

impl ModelContext {
    /// Takes note of what a provider counted for the context as it is now.
    pub(in crate::turn) fn measure(&mut self, usage: &TokenUsage) {
        let estimate = self.tokens;
        let tokens = usage.prompt_tokens;
        self.measured = (tokens > 0).then_some(Measured { tokens, estimate });
    }

    /// How many tokens the context has, by the provider's last count and an estimate of what has come
    /// since.
    pub(in crate::turn) fn estimated_tokens(&self) -> u64 {
        let estimate = self.tokens;
        match self.measured {
            Some(measured) => {
                let more = estimate.saturating_sub(measured.estimate);
                measured.tokens.saturating_add(more)
            }
            None => estimate,
        }
    }

    /// Shows no more than so many characters of what a tool said.
    pub(in crate::turn) fn shorten_tool_texts(&mut self, chars: usize) {
        self.longest_tool_text = Some(chars);
        self.rendered.forget_from(0);
        self.measured = None;
    }
}

impl Item {
    pub(super) fn tokens(&self) -> u64 {
        match self {
            Self::System(shown) | Self::Said(shown) => shown.tokens,
            Self::Calls(group) => group.tokens(),
        }
    }
}

/// An estimate for a message.
pub(super) fn tokens_of(message: &ModelMessage) -> u64 {
    let calls = message.calls();
    let called: usize = calls
        .map(|call| call.name.len() + call.arguments.len())
        .sum();
    let content: &[Content] = match message {
        ModelMessage::System(content) | ModelMessage::User(content) => content,
        ModelMessage::ToolResult { content, .. } => content,
        ModelMessage::Assistant(_) => return tokens_of_chars(message.text().len() + called),
    };
    tokens_of_content(content) + tokens_of_chars(called)
}

pub(super) fn tokens_of_content(content: &[Content]) -> u64 {
    let tokens = content.iter().map(|part| match part {
        Content::Text { text, .. } => tokens_of_chars(text.len()),
        Content::Image { image_urls, .. } => image_urls.len() as u64 * TOKENS_PER_IMAGE,
    });
    tokens.sum()
}

pub(super) fn tokens_of_chars(chars: usize) -> u64 {
    (chars as u64).div_ceil(CHARS_PER_TOKEN)
}

/// At most so many characters of a text, and a note where it was cut.
pub(in crate::turn) fn clip(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((end, _)) => format!("{}\n[cut: the rest was too long]", &text[..end]),
        None => text.to_owned(),
    }
}
