//! OpenAI's Responses.

mod check;
mod items;
mod output;
mod reply;
#[cfg(test)]
mod tests;

use serde_json::Value;

use super::render::Answer;
use super::said::Said;

pub(super) use check::RULES;

pub(super) const OVERFLOW: &str = "Your input exceeds the context window of this model. Please adjust your input and try \
     again.";

pub(super) fn answer(said: &Said, asked: &Value) -> Answer {
    reply::answer(said, asked)
}
