use serde_json::Value;

use super::prompt_cache::PromptTokens;

/// A part of what a model says, in whichever format.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Thoughts, with what the provider wants back of them.
    Reasoning(String),
    /// Thoughts that the provider keeps to itself.
    HiddenReasoning,
    Text(String),
    /// A tool's name and arguments; a string is sent as the arguments' text as it stands.
    Call(String, Value),
}

impl Part {
    pub fn call(tool: &str, arguments: Value) -> Self {
        Self::Call(tool.to_owned(), arguments)
    }
}

/// Why a model stops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stop {
    /// It said all it wanted.
    #[default]
    Done,
    /// The limit on a reply's length cut its last part in half.
    Length,
    /// The provider's filter withheld the rest.
    Filtered,
}

/// What one reply says.
pub(super) struct Said {
    /// The model's name as the request has it.
    pub(super) model: String,
    /// Never empty unless the model says nothing at all.
    pub(super) items: Vec<Item>,
    pub(super) stop: Stop,
    /// Distinguishes the server's replies.
    pub(super) number: usize,
    pub(super) style: Style,
    pub(super) usage: Usage,
}

/// A part with a number that no other part of this server has.
pub(super) struct Item {
    pub(super) number: usize,
    pub(super) part: SaidPart,
    /// Whether it is sent up to here only.
    pub(super) cut: bool,
}

pub(super) enum SaidPart {
    Reasoning(String),
    HiddenReasoning,
    Text(String),
    Call { tool: String, arguments: String },
}

/// What some providers of a format add to replies, because they want it back.
#[derive(Clone, Copy, Default)]
pub(super) struct Style {
    /// Gemini's signatures of calls.
    pub(super) thought_signatures: bool,
    /// OpenRouter's list of thoughts.
    pub(super) reasoning_details: bool,
    /// Mistral's ids of calls.
    pub(super) nine_character_ids: bool,
}

/// Counts of tokens, made up from lengths.
#[derive(Clone, Copy)]
pub(super) struct Usage {
    pub(super) prompt: PromptTokens,
    /// Thoughts included.
    pub(super) output: usize,
    pub(super) reasoning: usize,
}

impl Said {
    /// `number` is its own, and with those that follow its parts'.
    pub(super) fn new(
        model: &str,
        parts: Vec<Part>,
        stop: Stop,
        number: usize,
        prompt: PromptTokens,
        style: Style,
    ) -> Self {
        let last = parts.len();
        let items = parts.into_iter().enumerate().map(|(at, part)| {
            let cut = stop == Stop::Length && at + 1 == last;
            Item {
                number: number + at,
                part: said_part(part, cut),
                cut,
            }
        });
        let items: Vec<Item> = items.collect();
        let reasoning = items.iter().map(Item::reasoning_length).sum::<usize>();
        let output = items.iter().map(Item::length).sum::<usize>();
        Self {
            model: model.to_owned(),
            items,
            stop,
            number,
            style,
            usage: Usage {
                prompt,
                output: output.div_ceil(4),
                reasoning: reasoning.div_ceil(4),
            },
        }
    }

    pub(super) fn has_calls(&self) -> bool {
        let mut items = self.items.iter();
        items.any(|item| matches!(item.part, SaidPart::Call { .. }))
    }
}

impl Item {
    fn length(&self) -> usize {
        match &self.part {
            SaidPart::Reasoning(text) | SaidPart::Text(text) => text.len(),
            SaidPart::HiddenReasoning => 0,
            SaidPart::Call { arguments, .. } => arguments.len(),
        }
    }

    fn reasoning_length(&self) -> usize {
        match &self.part {
            SaidPart::Reasoning(text) => text.len(),
            SaidPart::HiddenReasoning | SaidPart::Text(_) | SaidPart::Call { .. } => 0,
        }
    }
}

fn said_part(part: Part, cut: bool) -> SaidPart {
    let kept = |text: String| match cut {
        true => text.chars().take(text.chars().count() / 2).collect(),
        false => text,
    };
    match part {
        Part::Reasoning(text) => SaidPart::Reasoning(kept(text)),
        Part::HiddenReasoning => SaidPart::HiddenReasoning,
        Part::Text(text) => SaidPart::Text(kept(text)),
        Part::Call(tool, arguments) => SaidPart::Call {
            tool,
            arguments: kept(match arguments.as_str() {
                Some(text) => text.to_owned(),
                None => arguments.to_string(),
            }),
        },
    }
}

/// Streamed text and arguments come in pieces of about this many characters.
const PIECE: usize = 7;

pub(super) fn pieces(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let pieces = characters.chunks(PIECE);
    pieces.map(|piece| piece.iter().collect()).collect()
}
