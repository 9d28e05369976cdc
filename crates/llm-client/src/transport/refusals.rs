//! What a provider's refusal of a request teaches: how the same request is written so that it is taken.

use std::collections::BTreeSet;
use std::sync::Arc;

use core_model::Role;
use serde_json::{Map, Value};

use super::exchange::Failure;
use super::outgoing::states_of;
use crate::adjustments::{Adjustments, ContentBesideCalls, ReasoningText, fingerprint};
use crate::{ModelError, ModelMessage};

/// A request that was refused, and why.
pub(super) struct Refusal<'a> {
    pub(super) failure: &'a Failure,
    /// As they were sent.
    pub(super) messages: &'a [Arc<ModelMessage>],
    pub(super) body: &'a Map<String, Value>,
    /// Fields of the body that may be left out.
    pub(super) optional_fields: &'a [&'static str],
}

/// What was learned while one request is tried.
pub(super) struct Lessons {
    pub(super) adjustments: Adjustments,
    content_tried: BTreeSet<ContentBesideCalls>,
}

/// What a refusal was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lesson {
    Images,
    ProviderState,
    CallIds,
    Roles,
    ReasoningText,
    ContentBesideCalls,
    Fields,
}

impl Lessons {
    pub(super) fn new(adjustments: Adjustments) -> Self {
        let content_tried = [adjustments.content_beside_calls].into();
        Self {
            adjustments,
            content_tried,
        }
    }

    /// Adjusts to a refusal. None when it says nothing that could be done, or was done already.
    pub(super) fn learn(&mut self, refusal: &Refusal<'_>) -> Option<Lesson> {
        if !matches!(
            refusal.failure.error,
            ModelError::BadRequest { .. } | ModelError::Unavailable { .. }
        ) {
            return None;
        }
        let said = refusal.said();
        let lesson = if self.images(refusal, &said) {
            Lesson::Images
        } else if self.provider_state(refusal, &said) {
            Lesson::ProviderState
        } else if self.call_ids(&said) {
            Lesson::CallIds
        } else if self.roles(refusal, &said) {
            Lesson::Roles
        } else if self.reasoning_text(refusal, &said) {
            Lesson::ReasoningText
        } else if self.content_beside_calls(refusal, &said) {
            Lesson::ContentBesideCalls
        } else if self.fields(refusal, &said) {
            Lesson::Fields
        } else {
            return None;
        };
        tracing::info!(
            ?lesson,
            "the model's provider refused how a request was written"
        );
        Some(lesson)
    }

    /// The newest images are left out first: those before were taken once.
    fn images(&mut self, refusal: &Refusal<'_>, said: &str) -> bool {
        const ABOUT_IMAGES: [&str; 8] = [
            "image",
            "vision",
            "multimodal",
            "mmproj",
            "while downloading",
            "base64",
            "media type",
            "mime type",
        ];
        const TAKES_NONE: [&str; 8] = [
            "support image",
            "image input",
            "image_url is only supported",
            "not a vision",
            "not a multimodal",
            "unknown variant `image_url`",
            "not supported by this model",
            "mmproj",
        ];
        let messages = refusal.messages;
        let images_of = |messages: &[Arc<ModelMessage>]| -> Vec<u64> {
            let images = messages.iter().flat_map(|message| message.images());
            images.map(fingerprint).collect()
        };
        let all = images_of(messages);
        if !says(said, &ABOUT_IMAGES) || all.is_empty() {
            return false;
        }
        if says(said, &TAKES_NONE) {
            self.adjustments.no_images = true;
            return true;
        }
        if !refusal.is_bad_request() {
            return false;
        }
        let last_reply = messages
            .iter()
            .rposition(|message| message.role() == Role::Assistant);
        let newest = images_of(&messages[last_reply.unwrap_or(0)..]);
        let refused = if newest.is_empty() { all } else { newest };
        self.adjustments.left_out.extend(refused);
        true
    }

    fn provider_state(&mut self, refusal: &Refusal<'_>, said: &str) -> bool {
        const ABOUT_STATE: [&str; 11] = [
            "signature",
            "encrypted",
            "thinking block",
            "reasoning_details",
            "reasoning item",
            "of type 'reasoning'",
            "blocks cannot be modified",
            "cannot be `thinking`",
            "required following item",
            "required 'reasoning' item",
            "items are not persisted",
        ];
        if !refusal.is_bad_request() || !says(said, &ABOUT_STATE) {
            return false;
        }
        let unsigned = says(said, &["thought_signature", "thought signature"]);
        if unsigned && said.contains("missing") && !self.adjustments.marks_unsigned_calls {
            self.adjustments.marks_unsigned_calls = true;
            return true;
        }
        let states = refusal
            .messages
            .iter()
            .flat_map(|message| states_of(message));
        let before = self.adjustments.left_out.len();
        self.adjustments.left_out.extend(states.map(fingerprint));
        self.adjustments.left_out.len() > before
    }

    fn call_ids(&mut self, said: &str) -> bool {
        let about_ids = says(said, &["call id", "call_id"]);
        let nine = says(said, &["length of 9", "length 9", "9 alphanumeric"]);
        about_ids && nine && !std::mem::replace(&mut self.adjustments.short_call_ids, true)
    }

    fn roles(&mut self, refusal: &Refusal<'_>, said: &str) -> bool {
        let about_order = said.contains("role") && says(said, &["after", "alternate"]);
        let follows = refusal.sent().zip(refusal.sent().skip(1));
        let mut follows = follows.map(|(before, message)| (&before["role"], &message["role"]));
        about_order
            && follows.any(|(before, role)| before == "tool" && role == "user")
            && !std::mem::replace(&mut self.adjustments.reply_after_results, true)
    }

    fn reasoning_text(&mut self, refusal: &Refusal<'_>, said: &str) -> bool {
        const WANTED: [&str; 5] = ["missing", "must be", "required", "passed back", "provide "];
        if !says_word(said, "reasoning_content") {
            return false;
        }
        let sent = refusal
            .sent()
            .any(|message| message.get("reasoning_content").is_some());
        let wanted = says(said, &WANTED) && !said.contains("must not");
        let learned = match (wanted, self.adjustments.reasoning_text) {
            (true, ReasoningText::AsItCame) => ReasoningText::Always,
            (false, ReasoningText::AsItCame | ReasoningText::Always)
                if sent && is_not_supported(said) =>
            {
                ReasoningText::Never
            }
            (true | false, _) => return false,
        };
        self.adjustments.reasoning_text = learned;
        true
    }

    /// Tries each way once.
    fn content_beside_calls(&mut self, refusal: &Refusal<'_>, said: &str) -> bool {
        const PHRASES: [&str; 8] = [
            "required", "missing", "must", "null", "empty", "none", "expected", "invalid",
        ];
        const WAYS: [ContentBesideCalls; 3] = [
            ContentBesideCalls::Absent,
            ContentBesideCalls::Empty,
            ContentBesideCalls::Null,
        ];
        let silent = |message: &Value| {
            let content = &message["content"];
            message["tool_calls"].is_array() && (content.is_null() || content == "")
        };
        if !says_word(said, "content") || !says(said, &PHRASES) || !refusal.sent().any(silent) {
            return false;
        }
        let Some(next) = WAYS.iter().find(|way| !self.content_tried.contains(way)) else {
            return false;
        };
        self.content_tried.insert(*next);
        self.adjustments.content_beside_calls = *next;
        true
    }

    fn fields(&mut self, refusal: &Refusal<'_>, said: &str) -> bool {
        if !refusal.is_bad_request() || !is_not_supported(said) {
            return false;
        }
        let sent = |field: &&&str| refusal.body.contains_key(**field);
        let named = |field: &&&str| says_word(said, field) || refusal.names_inside(said, field);
        let fields = refusal.optional_fields.iter().filter(sent).filter(named);
        let before = self.adjustments.refused_fields.len();
        self.adjustments.refused_fields.extend(fields);
        self.adjustments.refused_fields.len() > before
    }
}

impl Refusal<'_> {
    /// All the provider said, in lower case.
    fn said(&self) -> String {
        let Failure { error, body } = self.failure;
        format!("{error}\n{body}").to_lowercase()
    }

    /// Whether it names something that a field of the body holds.
    fn names_inside(&self, said: &str, field: &str) -> bool {
        let held = self.body.get(field).and_then(Value::as_object);
        let mut names = held.into_iter().flat_map(Map::keys);
        names.any(|name| name != "type" && says_word(said, name))
    }

    fn is_bad_request(&self) -> bool {
        matches!(self.failure.error, ModelError::BadRequest { .. })
    }

    /// The messages of Chat Completions and Messages, in the provider's form.
    fn sent(&self) -> impl Iterator<Item = &Value> {
        let messages = self.body.get("messages").and_then(Value::as_array);
        messages.into_iter().flatten()
    }
}

fn says(said: &str, phrases: &[&str]) -> bool {
    phrases.iter().any(|phrase| said.contains(phrase))
}

fn is_not_supported(said: &str) -> bool {
    const PHRASES: [&str; 9] = [
        "support",
        "unknown",
        "unrecognized",
        "unexpected",
        "extra",
        "not permitted",
        "not allowed",
        "cannot find",
        "deprecated",
    ];
    says(said, &PHRASES)
}

/// Whether a text holds a field's name as a word of its own.
fn says_word(said: &str, field: &str) -> bool {
    let part_of_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    said.split(|c| !part_of_word(c)).any(|word| word == field)
}
