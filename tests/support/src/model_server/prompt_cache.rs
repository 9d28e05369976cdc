use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value;

use super::format::Format;
use super::rule::{list, text, without_cache_marks};

const BYTES_PER_TOKEN: usize = 4;
/// OpenAI caches prefixes of whole blocks of so many tokens,
const BLOCK_TOKENS: usize = 128;
/// and none that are shorter than this.
const SHORTEST_PREFIX_TOKENS: usize = 1_024;
/// Anthropic looks for a cached prefix at each mark and at so many blocks before it.
const LOOKED_AT_BEFORE_MARK: usize = 20;

/// The prefixes of prompts that a provider has cached. Nothing is ever forgotten.
#[derive(Default)]
pub(super) struct PromptCache {
    /// Hashes of prefixes.
    prefixes: HashSet<u64>,
}

/// The tokens of a prompt, made up from its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PromptTokens {
    /// All of them.
    pub(super) input: usize,
    pub(super) cache_read: usize,
    /// Where the provider tells them.
    pub(super) cache_write: usize,
}

/// A tool, a part of the system prompt, or a part of a message.
struct Piece {
    text: String,
    is_marked: bool,
}

impl PromptCache {
    /// Counts a prompt as its provider does, and caches it.
    pub(super) fn take(&mut self, format: Format, body: &Value) -> PromptTokens {
        let pieces = pieces(format, body);
        match format {
            Format::Messages => self.take_marked(text(&body["model"]), &pieces),
            Format::Chat | Format::Responses => {
                let key = (text(&body["model"]), text(&body["prompt_cache_key"]));
                self.take_blocks(key, &pieces)
            }
        }
    }

    /// Anthropic's way: what is marked is cached, with all before it.
    fn take_marked(&mut self, model: &str, pieces: &[Piece]) -> PromptTokens {
        let mut hasher = hasher_of(model);
        let mut bytes = 0;
        let mut marked_bytes = 0;
        let mut read_bytes = 0;
        let mut written = Vec::new();
        let marks: Vec<usize> = positions(pieces).collect();
        for (at, piece) in pieces.iter().enumerate() {
            piece.text.hash(&mut hasher);
            bytes += piece.text.len();
            let prefix = hasher.finish();
            let is_looked_at = marks
                .iter()
                .any(|mark| (at..=at + LOOKED_AT_BEFORE_MARK).contains(mark));
            if is_looked_at && self.prefixes.contains(&prefix) {
                read_bytes = bytes;
            }
            if piece.is_marked {
                marked_bytes = bytes;
                written.push(prefix);
            }
        }
        self.prefixes.extend(written);
        let cache_read = read_bytes.div_ceil(BYTES_PER_TOKEN);
        PromptTokens {
            input: bytes.div_ceil(BYTES_PER_TOKEN),
            cache_read,
            cache_write: marked_bytes.div_ceil(BYTES_PER_TOKEN) - cache_read,
        }
    }

    /// OpenAI's way: whatever was at the beginning of an earlier prompt with the same key, by blocks.
    fn take_blocks(&mut self, key: impl Hash, pieces: &[Piece]) -> PromptTokens {
        let prompt: String = pieces.iter().map(|piece| piece.text.as_str()).collect();
        let mut hasher = hasher_of(key);
        let mut cache_read = 0;
        let blocks = prompt
            .as_bytes()
            .chunks_exact(BLOCK_TOKENS * BYTES_PER_TOKEN);
        for (at, block) in blocks.enumerate() {
            block.hash(&mut hasher);
            let tokens = (at + 1) * BLOCK_TOKENS;
            if !self.prefixes.insert(hasher.finish()) && tokens >= SHORTEST_PREFIX_TOKENS {
                cache_read = tokens;
            }
        }
        PromptTokens {
            input: prompt.len().div_ceil(BYTES_PER_TOKEN),
            cache_read,
            cache_write: 0,
        }
    }
}

fn hasher_of(key: impl Hash) -> DefaultHasher {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher
}

fn positions(pieces: &[Piece]) -> impl Iterator<Item = usize> {
    let marked = pieces.iter().enumerate();
    marked
        .filter(|(_, piece)| piece.is_marked)
        .map(|(at, _)| at)
}

/// A prompt in the order in which a model reads it: tools first, and what is not of the prompt left out.
fn pieces(format: Format, body: &Value) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = list(&body["tools"]).iter().map(piece).collect();
    match format {
        Format::Chat => pieces.extend(list(&body["messages"]).iter().map(piece)),
        Format::Responses => {
            pieces.push(piece(&body["instructions"]));
            pieces.extend(list(&body["input"]).iter().map(piece));
        }
        Format::Messages => {
            pieces.extend(list(&body["system"]).iter().map(piece));
            // Other values of these are another prompt from here on.
            pieces.extend([&body["tool_choice"], &body["thinking"]].map(piece));
            for message in list(&body["messages"]) {
                let content = list(&message["content"]).iter().map(piece);
                pieces.extend(content.map(|part| Piece {
                    text: format!("{}:{}", text(&message["role"]), part.text),
                    ..part
                }));
            }
        }
    }
    pieces
}

fn piece(value: &Value) -> Piece {
    Piece {
        text: without_cache_marks(value).to_string(),
        is_marked: !value["cache_control"].is_null(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Two messages of this many tokens each, more or less.
    const LONG: usize = 2_000;

    fn marked(said: &[&str]) -> Value {
        let messages: Vec<Value> = said
            .iter()
            .map(|said| json!({"role": "user", "content": [{"type": "text", "text": said}]}))
            .collect();
        let mut body = json!({"model": "m", "messages": messages});
        let last = said.len() - 1;
        body["messages"][last]["content"][0]["cache_control"] = json!({"type": "ephemeral"});
        body
    }

    fn unmarked(key: &str, said: &[&str]) -> Value {
        let said = said
            .iter()
            .map(|said| json!({"role": "user", "content": said}));
        json!({"model": "m", "prompt_cache_key": key, "messages": said.collect::<Vec<_>>()})
    }

    #[test]
    fn what_was_marked_is_read_by_the_next_prompt_that_begins_with_it() {
        let mut cache = PromptCache::default();
        let mut take = |said: &[&str]| cache.take(Format::Messages, &marked(said));
        let first = take(&["one"]);
        assert_eq!((first.cache_read, first.cache_write), (0, first.input));
        let second = take(&["one", "two"]);
        assert_eq!(second.cache_read, first.input);
        assert_eq!(second.cache_write, second.input - first.input);
        assert_eq!(take(&["other", "two"]).cache_read, 0);
        let many: Vec<&str> = ["one"].into_iter().chain(["more"; 21]).collect();
        assert_eq!(take(&many).cache_read, 0, "it is too far before the mark");
    }

    #[test]
    fn what_began_an_earlier_prompt_with_the_same_key_is_read_by_blocks() {
        let mut cache = PromptCache::default();
        let long = "x".repeat(LONG * BYTES_PER_TOKEN);
        let mut take = |key: &str, said: &[&str]| cache.take(Format::Chat, &unmarked(key, said));
        let first = take("k", &[&long]);
        assert_eq!(first.cache_read, 0);
        let second = take("k", &[&long, &long]);
        assert_eq!(second.cache_read, first.input / BLOCK_TOKENS * BLOCK_TOKENS);
        assert_eq!(take("another", &[&long]).cache_read, 0);
        assert_eq!(take("k", &["short"]).cache_read, 0);
        assert_eq!(take("k", &["short"]).cache_read, 0, "none is that short");
    }
}
