use serde_json::Value;

use super::render::{Answer, Refusal};
use super::rule::Rule;
use super::said::Said;
use super::{chat, messages, responses};

/// A wire format that the server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// OpenAI's Chat Completions.
    Chat,
    /// OpenAI's Responses.
    Responses,
    /// Anthropic's Messages.
    Messages,
}

impl Format {
    pub const ALL: [Self; 3] = [Self::Chat, Self::Responses, Self::Messages];

    /// The format that is spoken at a request's path.
    pub(super) fn at(path: &str) -> Option<Self> {
        let path = path.split('?').next().unwrap_or_default();
        match path {
            "/v1/chat/completions" => Some(Self::Chat),
            "/v1/responses" => Some(Self::Responses),
            "/v1/messages" => Some(Self::Messages),
            _ => None,
        }
    }

    pub(super) fn rules(self) -> &'static [Rule] {
        match self {
            Self::Chat => &chat::RULES,
            Self::Responses => &responses::RULES,
            Self::Messages => &messages::RULES,
        }
    }

    /// A reply as an answer to `asked`, and the items in it that may come back.
    pub(super) fn answer(self, said: &Said, asked: &Value) -> Answer {
        match self {
            Self::Chat => chat::answer(said, asked),
            Self::Responses => responses::answer(said, asked),
            Self::Messages => messages::answer(said),
        }
    }

    /// An error that comes with status 200: whole, and as the last event of a stream.
    pub(super) fn failure(self, failure: &Refusal) -> (Value, String) {
        match self {
            Self::Chat => chat::failure(failure),
            Self::Responses => responses::failure(failure),
            Self::Messages => messages::failure(failure),
        }
    }

    pub(super) fn refusal(self, refusal: &Refusal) -> Value {
        match self {
            Self::Chat | Self::Responses => chat::refusal(refusal),
            Self::Messages => messages::refusal(refusal),
        }
    }

    /// How the provider says that a prompt is too long.
    pub(super) fn overflow(self) -> &'static str {
        match self {
            Self::Chat => chat::OVERFLOW,
            Self::Responses => responses::OVERFLOW,
            Self::Messages => messages::OVERFLOW,
        }
    }
}
